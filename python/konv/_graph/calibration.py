"""Ranges of activations, from samples: what int8 is calibrated with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .compiled import Compiled
from .int8 import Calibration, Range, byte_quantisation, observed
from .ir import Array, Graph
from .lower import Weights
from .narrow import numbering

METHODS = ("mse", "minmax", "percentile")
PERCENTILE = 99.99
BINS = 4096
SHARES = np.linspace(1.0, 0.1, 91)  # of the range, that "mse" tries


def check_method(method: str | tuple[str, float]) -> tuple[str, float]:
    """Return a method's name and its parameter.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    name, parameter = method if isinstance(method, tuple) and len(method) == 2 else (method, PERCENTILE)
    if name not in METHODS or (isinstance(method, tuple) and name != "percentile"):
        raise ValueError(f"method: expected one of {list(METHODS)} or ('percentile', number), got {method!r}")
    if not isinstance(parameter, (int, float)) or not 50 < parameter <= 100:
        raise ValueError(f"method: expected a percentile above 50 and up to 100, got {parameter!r}")
    return str(name), float(parameter)


class Observations:
    """What one graph's values were like: ranges and means, then, where a method asks for it, how they are spread."""

    def __init__(self, kinds: tuple[str, ...], inputs: int) -> None:
        self.kinds = kinds
        self.histograms: dict[int, Array] | None = None
        self._ranges: dict[int, Range] = {}
        self._sums: list[Any] = [0.0] * inputs
        self._counts = [0] * inputs

    @property
    def convolutions(self) -> int:
        return len(self._counts)

    def add(self, number: int, array: Array) -> None:
        """Take note of one value of one run."""
        if self.histograms is None:
            low, high = self._ranges.get(number, (0.0, 0.0))
            self._ranges[number] = min(low, _finite(array.min())), max(high, _finite(array.max()))
            return
        low, high = self._ranges[number]
        counts, _ = np.histogram(array, BINS, (low, high if high > low else low + 1))
        self.histograms[number] = self.histograms.get(number, np.zeros(BINS, np.int64)) + counts

    def add_input(self, number: int, array: Array) -> None:
        """Take note of one convolution's input."""
        if self.histograms is None:
            _finite(array.sum(dtype=np.float64))
            self._sums[number] = self._sums[number] + array.sum((0, *range(2, array.ndim)), np.float64)
            self._counts[number] += array.size // array.shape[1]

    def calibration(self, method: tuple[str, float]) -> Calibration:
        """The ranges by a method, and the means."""
        name, parameter = method
        ranges = dict(self._ranges)
        for number, counts in (self.histograms or {}).items():
            found = ranges[number]
            ranges[number] = (
                _percentile(counts, found, parameter) if name == "percentile" else _least_error(counts, found)
            )
        means = [total / count for total, count in zip(self._sums, self._counts, strict=True)]
        return Calibration(self.kinds, ranges, means)


def _finite(number: Any) -> float:
    if not np.isfinite(number):
        raise ValueError(f"samples: expected finite numbers in all layers, got {number}")
    return float(number)


def _percentile(counts: Array, found: Range, percent: float) -> Range:
    """Without the same share of the elements on both sides."""
    low, high = found
    edges = np.linspace(low, high, BINS + 1)
    total, share = np.cumsum(counts) / counts.sum(), (1 - percent / 100) / 2
    first, last = int(np.searchsorted(total, share, "right")), int(np.searchsorted(total, 1 - share))
    return float(edges[first]), float(edges[min(last, BINS - 1) + 1])


def _least_error(counts: Array, found: Range) -> Range:
    """The share of the range whose bytes are nearest to the elements, by the mean square."""
    low, high = found
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    best, least = found, np.inf
    for share in SHARES:
        q = byte_quantisation(low * share, high * share)
        numbers = (np.clip(np.rint(centres / q.scale) + q.zero, 0, 255) - q.zero) * q.scale
        error = float(counts @ (numbers - centres) ** 2)
        if error < least:
            best, least = (low * share, high * share), error
    return best


class Observed(Compiled):
    """A compiled graph that takes note of its values' ranges as it runs."""

    def __init__(
        self, graph: Graph, weights: Weights, threads: int, known: dict[Any, Observations], place: Any
    ) -> None:
        def watch(simplified: Graph) -> None:
            values, inputs = observed(simplified)
            _, kinds = numbering(simplified)
            self._observations = known.setdefault(place, Observations(kinds, len(inputs)))
            if self._observations.kinds != kinds:
                raise ValueError("samples: the network takes other steps for some of their shapes than for others")
            self._asked, self._numbers = len(simplified.outputs), list(values)
            simplified.outputs = [*simplified.outputs, *values.values(), *inputs]

        super().__init__(graph, weights, threads, watch)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        outputs = super().run(inputs)
        more = iter(outputs[self._asked :])
        for number in self._numbers:
            self._observations.add(number, next(more))
        for i, array in enumerate(more):
            self._observations.add_input(i, array)
        return outputs[: self._asked]
