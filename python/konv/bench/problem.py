"""What is computed in a benchmark, and what is asked of those who compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from konv.bench.layers import Layer

Array = NDArray[Any]

DIRECTIONS = ("forward", "input", "weight")
LAYOUTS = ("NCHW", "NHWC")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Problem:
    """A layer, the direction asked for, and arrays of the layer's shapes.

    Attributes
    ----------
    x, gy
        Input and gradient of the output, NCHW.
    weights
        One for each of the layer's passes.
    layout
        The layout in which konv is called.
    """

    layer: Layer
    direction: str
    x: Array
    weights: tuple[Array, ...]
    gy: Array
    layout: str = "NCHW"

    @classmethod
    def random(cls, layer: Layer, direction: str, *, layout: str = "NCHW", dtype: str = "float32") -> Problem:
        """Fill the arrays with normal numbers, the weight scaled as networks do."""
        rng = np.random.default_rng(0)
        x, gy = (rng.standard_normal(shape).astype(dtype) for shape in (layer.input_shape, layer.output_shape))
        return cls(layer, direction, x, tuple(_weight(rng, part, dtype) for part in layer.passes), gy, layout)

    @property
    def w(self) -> Array:
        """The weight, of a layer in one pass."""
        (weight,) = self.weights
        return weight

    @property
    def passes(self) -> list[tuple[Layer, Array]]:
        """The layer's passes, each with its weight."""
        return list(zip(self.layer.passes, self.weights, strict=True))

    @property
    def length(self) -> int:
        """How many products one value of the result adds up."""
        layer = self.layer
        n, k, height, width = layer.output_shape
        if self.direction == "forward":
            return layer.C // layer.groups * layer.R * layer.S
        return k // layer.groups * layer.R * layer.S if self.direction == "input" else n * height * width


def _weight(rng: np.random.Generator, layer: Layer, dtype: str) -> Array:
    shape = (1, *layer.weight_shape[1:]) if layer.is_filter else layer.weight_shape
    weight = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return np.array(np.broadcast_to(weight, layer.weight_shape), dtype, order="C")


@dataclass(frozen=True)
class Prepared:
    """A call that can be timed, and how to read what it returns as an NCHW array (a weight: KCRS)."""

    run: Callable[[], Any]
    fetch: Callable[[Any], Array] = np.asarray


class Contender(Protocol):
    """Something that can be timed."""

    name: str

    def prepare(self, problem: Problem) -> Prepared | None:
        """Return a call that computes the problem, or None where the contender does not apply."""


def chain(calls: Sequence[Callable[[Any], Any]], x: Any) -> Callable[[], Any]:
    """Return a call that applies one function, or one after another, to x."""
    if len(calls) == 1:
        (only,) = calls
        return lambda: only(x)
    first, second = calls
    return lambda: second(first(x))
