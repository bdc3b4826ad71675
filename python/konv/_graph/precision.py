"""In which numbers a model computes: what makes compiled programs of its graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from .bfloat16 import ToBFloat16
from .calibration import Observations, Observed, check_method
from .compiled import Compiled
from .int8 import ToInt8
from .ir import Graph
from .lower import Weights

MODES = ("bfloat16", "int8")
Sample = TypeVar("Sample")


class Precision:
    """The model's own dtype; other modes change graphs."""

    def compile(self, place: Any, graph: Graph, weights: Weights, threads: int) -> Compiled:  # noqa: ARG002
        """Compile one of a model's graphs; `place` tells those of one model apart, whatever their sizes."""
        return Compiled(graph, weights, threads)


class _BFloat16(Precision):
    def __init__(self) -> None:
        self._change = ToBFloat16()

    def compile(self, place: Any, graph: Graph, weights: Weights, threads: int) -> Compiled:  # noqa: ARG002
        return Compiled(graph, weights, threads, partial(self._change, natively=weights.target.has_bfloat16))


class _Calibrating(Precision):
    def __init__(self) -> None:
        self.known: dict[Any, Observations] = {}

    def compile(self, place: Any, graph: Graph, weights: Weights, threads: int) -> Compiled:
        return Observed(graph, weights, threads, self.known, place)


class _Int8(Precision):
    def __init__(self, known: dict[Any, Observations], method: tuple[str, float]) -> None:
        self._changes = {place: ToInt8(found.calibration(method)) for place, found in known.items()}

    def compile(self, place: Any, graph: Graph, weights: Weights, threads: int) -> Compiled:
        if place not in self._changes:
            raise ValueError("input: the network takes other steps for this shape than for the samples of calibration")
        return Compiled(graph, weights, threads, self._changes[place])


def quantised(
    mode: str,
    samples: Iterable[Sample] | None,
    method: str | tuple[str, float],
    runner: Callable[[Precision], Callable[[Sample], object]],
) -> Precision:
    """The precision of a mode, calibrated where it has to be.

    Parameters
    ----------
    mode : {"bfloat16", "int8"}
    samples : iterable
        For int8.
    method : str or (str, float)
        As `check_method` takes it.
    runner : callable
        Given a precision, returns what runs the model in it on one sample.
    """
    if mode not in MODES:
        raise ValueError(f"mode: expected one of {list(MODES)}, got {mode!r}")
    chosen = check_method(method)
    if mode == "bfloat16":
        if samples is not None:
            raise ValueError("samples: bfloat16 needs none")
        return _BFloat16()
    given = [] if samples is None else list(samples)
    if not given:
        raise ValueError("samples: int8 is calibrated on samples of what the model will see, got none")
    calibrating = _Calibrating()
    run = runner(calibrating)
    for sample in given:
        run(sample)
    if not calibrating.known:
        raise ValueError("samples: expected some that hold elements, got none")
    if not any(found.convolutions for found in calibrating.known.values()):
        raise ValueError("model: it has no convolution or dense layer of float32 to quantise")
    if chosen[0] != "minmax":
        for found in calibrating.known.values():
            found.histograms = {}
        for sample in given:
            run(sample)
    return _Int8(calibrating.known, chosen)
