"""Interleaved timing: each round gives every contender its turn, so that drift hits all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from konv.bench.contenders import Contender, Problem
from konv.bench.layers import Layer

# Threads of the contender before may still spin: each turn starts after this pause, in seconds.
PAUSE = 0.03


@dataclass
class Row:
    """The figures of one layer.

    Attributes
    ----------
    seconds
        By contender; a contender that was left out is missing.
    wrong
        Contenders whose result differs from konv's by more than rounding explains.
    """

    layer: Layer
    direction: str
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def ratio(self, contender: str) -> float | None:
        """How many times faster konv is than `contender`."""
        theirs = self.seconds.get(contender)
        return None if theirs is None else theirs / self.seconds["konv"]


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios: twice as fast and half as fast make 1."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _turn(run: Callable[[], Any], seconds: float) -> float:
    """The best of a few calls in a row."""
    time.sleep(PAUSE)
    run()
    best, end, calls = math.inf, time.perf_counter() + seconds, 0
    while calls < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return best


def time_interleaved(runs: dict[str, Callable[[], Any]], rounds: int, seconds: float) -> dict[str, float]:
    """The median over `rounds` of each run's best call in a turn of `seconds`."""
    turns: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            turns[name].append(_turn(run, seconds))
    return {name: median(times) for name, times in turns.items()}


def _agree(ours: Any, theirs: Any, length: int) -> bool:
    """Whether two float32 results of `length` products a value differ by rounding alone."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return False
    # Each may be off by about eps times the sum of magnitudes, sqrt(length) times a typical value.
    allowed = 16 * np.finfo(np.float32).eps * math.sqrt(length) * np.abs(ours).max(initial=0.0)
    return bool(np.abs(ours - theirs).max(initial=0.0) <= allowed)


def measure(
    layer: Layer,
    direction: str,
    field_of: Sequence[Contender],
    rounds: int = 5,
    seconds: float = 0.03,
) -> Row:
    """Time every contender on one layer, and compare their results with konv's.

    Parameters
    ----------
    layer
        The convolution.
    direction
        "forward", "input" (gradient with respect to the input) or "weight".
    field_of
        The contenders; konv must be among them.
    rounds
        How often each has its turn.
    seconds
        How long a turn lasts.
    """
    problem = Problem.random(layer, direction)
    prepared = {c.name: c.prepare(problem) for c in field_of}
    runs = {name: run for name, run in prepared.items() if run is not None}
    row = Row(layer, direction)
    ours = runs["konv"]()
    n, k, height, width = layer.output_shape
    length = {
        "forward": layer.C // layer.groups * layer.R * layer.S,
        "input": k // layer.groups * layer.R * layer.S,
        "weight": n * height * width,
    }[direction]
    row.wrong = [name for name, run in runs.items() if not _agree(ours, run(), length)]
    row.seconds = time_interleaved(runs, rounds, seconds)
    return row
