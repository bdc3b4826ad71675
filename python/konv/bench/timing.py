"""Interleaved timing: each round gives every contender its turn, so that drift hits all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import numpy as np

from konv.bench.engine import OURS
from konv.bench.layers import Layer
from konv.bench.problem import Array, Contender, Prepared, Problem

# Threads of the contender before may still spin: each turn starts after this pause, in seconds.
PAUSE = 0.03
# How long a turn lasts, in seconds.
TURN = 0.03
# Whose first call takes this long, in seconds, and this many times as long as konv's, is not called again.
SLOW_SECONDS, SLOW_RATIO = 0.3, 20


@dataclass(frozen=True)
class Timing:
    """Median and quartiles of a contender's turns, in seconds a call."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, turns: Sequence[float]) -> Timing:
        """Summarise turns."""
        low, middle, high = quantiles(turns, n=4, method="inclusive") if len(turns) > 1 else [turns[0]] * 3
        return cls(middle, low, high, len(turns))

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a fraction of the median."""
        return (self.high - self.low) / 2 / self.median


class Compared:
    """What the figures of one problem say about konv and its peers; subclasses are dataclasses of these fields."""

    timings: dict[str, Timing]
    wrong: dict[str, float]
    failed: dict[str, str]

    def ratio(self, contender: str, ours: str = "konv") -> float | None:
        """How many times faster konv is than `contender`."""
        if ours not in self.timings or contender not in self.timings:
            return None
        return self.timings[contender].median / self.timings[ours].median

    @property
    def best_peer(self) -> str | None:
        """The fastest of the peers whose result is right."""
        peers = [name for name in self.timings if name not in OURS and name not in self.wrong]
        return min(peers, key=lambda name: self.timings[name].median, default=None)

    def against_best(self, ours: str = "konv") -> float | None:
        """How many times faster konv is than the fastest peer."""
        best = self.best_peer
        return None if best is None else self.ratio(best, ours)


@dataclass
class Row(Compared):
    """The figures of one layer in one direction.

    Attributes
    ----------
    timings
        By contender; one that does not apply is missing.
    wrong
        Contenders whose result differs from konv's by more than rounding explains: the largest
        difference, relative to the largest value.
    failed
        Contenders that raised an error: what they said.
    chosen
        The algorithm that konv chose, of a layer in one pass.
    """

    layer: Layer
    direction: str
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    chosen: str = ""

    def gflops(self, contender: str = "konv") -> float:
        """10^9 FLOPs of the direct convolution a second."""
        return self.layer.flops / self.timings[contender].median / 1e9


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios: twice as fast and half as fast make 1."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def turn(run: Callable[[], Any], seconds: float, first: float) -> float:
    """Time the best of a few calls in a row, or the one call of a run that takes long, as its `first` call says."""
    if first < 10 * seconds:
        run()
    best, end, calls = math.inf, time.perf_counter() + seconds, 0
    least = 2 if first < 10 * seconds else 1
    while calls < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return best


def largest_difference(ours: Array, theirs: Array) -> float:
    """Return the largest difference, relative to the largest value; infinite for NaN or another shape."""
    if ours.shape != theirs.shape:
        return math.inf
    largest = float(np.abs(ours).max(initial=0.0)) or 1.0
    difference = float(np.abs(ours - theirs).max(initial=0.0)) / largest
    return math.inf if math.isnan(difference) else difference


def allowed_difference(problem: Problem) -> float:
    """How far two right results may be apart, relative to the largest value.

    Each may be off by about eps times the sum of magnitudes, which is sqrt(length) times a typical value.
    """
    return 16 * float(np.finfo(problem.x.dtype).eps) * math.sqrt(problem.length)


@dataclass
class _Entrant:
    name: str
    prepared: Prepared
    first: float = 0.0
    turns: list[float] = field(default_factory=list)


def _enter(contender: Contender, problem: Problem, row: Row) -> tuple[_Entrant, Array] | None:
    """Prepare a contender and let it compute once; a peer's error goes into the row."""
    try:
        prepared = contender.prepare(problem)
        if prepared is None:
            return None
        entrant = _Entrant(contender.name, prepared)
        start = time.perf_counter()
        value = prepared.run()
        entrant.first = time.perf_counter() - start
        return entrant, np.asarray(prepared.fetch(value))
    except Exception as error:  # whatever a peer raises is a result, and no reason to stop
        if contender.name in OURS:
            raise
        row.failed[contender.name] = f"{type(error).__name__}: {error}".partition("\n")[0]
        return None


def measure(problem: Problem, field_of: Sequence[Contender], rounds: int = 5, seconds: float = TURN) -> Row:
    """Time every contender on one problem, and compare their results with konv's.

    Parameters
    ----------
    problem
        What to compute.
    field_of
        The contenders; konv comes first.
    rounds
        How often each has its turn.
    seconds
        How long a turn lasts.
    """
    row = Row(problem.layer, problem.direction)
    entrants: list[_Entrant] = []
    expected: Array | None = None
    for contender in field_of:
        entered = _enter(contender, problem, row)
        if entered is None:
            continue
        entrant, value = entered
        entrants.append(entrant)
        if expected is None:
            expected = value
        elif (difference := largest_difference(expected, value)) > allowed_difference(problem):
            row.wrong[entrant.name] = difference
    longest = max(SLOW_SECONDS, SLOW_RATIO * entrants[0].first)
    for _ in range(rounds):
        for entrant in entrants:
            if entrant.first < longest:
                time.sleep(PAUSE)
                entrant.turns.append(turn(entrant.prepared.run, seconds, entrant.first))
    row.timings = {entrant.name: Timing.of(entrant.turns or [entrant.first]) for entrant in entrants}
    return row
