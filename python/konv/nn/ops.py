"""Arithmetic on symbols: what losses are written in, with the names of keras.ops.

A symbol stands for rows of numbers, (rows, columns), that the compiler will know: its operators and the functions here
add nodes to a graph, which differentiates itself. Reductions keep their axis.

>>> from konv import nn
>>> def asymmetric(y_true, y_pred):
...     error = y_true - y_pred
...     return nn.ops.mean(nn.ops.maximum(2 * error, -error), axis=-1)
>>> model = nn.Sequential([nn.Input((3,)), nn.Dense(1)])
>>> model.compile("adam", asymmetric)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._graph import ir

__all__ = [
    "Symbol", "abs", "clip", "exp", "log", "maximum", "mean", "minimum", "relu", "sigmoid", "softmax",
    "softmax_cross_entropy", "softplus", "sqrt", "square", "sum", "tanh",
]  # fmt: skip


class Symbol:
    """Rows of numbers that a program will compute; made by konv, combined by users' losses."""

    __array_ufunc__ = None  # NumPy leaves operators to us

    def __init__(self, graph: ir.Graph, value: ir.Value) -> None:
        self.graph, self.node_value = graph, value

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns)."""
        return self.node_value.shape

    def unary(self, kind: str, **parameters: float) -> Symbol:
        """Apply one of the compiler's functions to each element."""
        attributes: dict[str, Any] = {"kind": kind, **parameters}
        return Symbol(self.graph, self.graph.add("unary", [self.node_value], self.shape, **attributes))

    def binary(self, kind: str, other: Symbol | float, *, swapped: bool = False) -> Symbol:
        """Join two symbols, or a symbol and a number, element by element; shapes broadcast."""
        if not isinstance(other, Symbol):
            number = np.full((1,) * self.node_value.rank, float(other), self.node_value.dtype)
            other = Symbol(self.graph, ir.constant(number))
        a, b = (other, self) if swapped else (self, other)
        shape = np.broadcast_shapes(a.shape, b.shape)
        return Symbol(self.graph, self.graph.add("binary", [a.node_value, b.node_value], shape, kind=kind))

    def __add__(self, other: Symbol | float) -> Symbol:
        return self.binary("add", other)

    def __radd__(self, other: Symbol | float) -> Symbol:
        return self.binary("add", other)

    def __sub__(self, other: Symbol | float) -> Symbol:
        return self.binary("subtract", other)

    def __rsub__(self, other: Symbol | float) -> Symbol:
        return self.binary("subtract", other, swapped=True)

    def __mul__(self, other: Symbol | float) -> Symbol:
        return self.binary("multiply", other)

    def __rmul__(self, other: Symbol | float) -> Symbol:
        return self.binary("multiply", other)

    def __truediv__(self, other: Symbol | float) -> Symbol:
        return self.binary("divide", other)

    def __rtruediv__(self, other: Symbol | float) -> Symbol:
        return self.binary("divide", other, swapped=True)

    def __neg__(self) -> Symbol:
        return self.unary("negate")

    def __getitem__(self, item: Any) -> Symbol:
        """Columns: ``y[:, 2:4]`` or ``y[..., 0:1]``."""
        if not isinstance(item, tuple) or len(item) != 2 or not isinstance(item[1], slice):
            raise TypeError(f"a symbol is cut by columns, such as y[:, 0:2], got {item!r}")
        if item[0] is not Ellipsis and item[0] != slice(None):
            raise TypeError(f"all rows of a symbol have to stay, got {item!r}")
        start, stop, step = item[1].indices(self.shape[1])
        count = len(range(start, stop, step))
        if step < 1 or count == 0:
            raise ValueError(f"columns must be a rising range that is not empty, got {item[1]}")
        slices = ((0, 1), (start, step))
        return Symbol(self.graph, self.graph.add("slice", [self.node_value], (self.shape[0], count), slices=slices))


def _function(name: str, kind: str, text: str) -> Callable[[Symbol], Symbol]:
    def function(x: Symbol) -> Symbol:
        return x.unary(kind)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


abs = _function("abs", "absolute", "Return the magnitude of each element.")
exp = _function("exp", "exponential", "Return e to the power of each element.")
log = _function("log", "log", "Return the natural logarithm of each element.")
sqrt = _function("sqrt", "square_root", "Return the square root of each element.")
sigmoid = _function("sigmoid", "sigmoid", "Return 1 / (1 + exp(-x)) of each element.")
tanh = _function("tanh", "tanh", "Return the hyperbolic tangent of each element.")
softplus = _function("softplus", "softplus", "Return log(1 + exp(x)) of each element.")
relu = _function("relu", "relu", "Return max(x, 0) of each element.")


def square(x: Symbol) -> Symbol:
    """Return x * x."""
    return x * x


def clip(x: Symbol, x_min: float, x_max: float) -> Symbol:
    """Return x where it lies within the bounds, else the nearer bound."""
    return x.unary("clip", p=float(x_min), q=float(x_max))


def maximum(x1: Symbol | float, x2: Symbol | float) -> Symbol:
    """Return the larger of two elements."""
    return _pair("maximum", x1, x2)


def minimum(x1: Symbol | float, x2: Symbol | float) -> Symbol:
    """Return the smaller of two elements."""
    return _pair("minimum", x1, x2)


def _pair(kind: str, x1: Symbol | float, x2: Symbol | float) -> Symbol:
    if isinstance(x1, Symbol):
        return x1.binary(kind, x2)
    if isinstance(x2, Symbol):
        return x2.binary(kind, x1)
    raise TypeError(f"one of x1 and x2 must be a symbol, got {x1!r} and {x2!r}")


def sum(x: Symbol, axis: int = -1) -> Symbol:
    """Return the sum of each row (axis -1 or 1) or column (axis 0); the axis stays, with one element."""
    if axis not in (-1, 0, 1):
        raise ValueError(f"axis must be -1, 0 or 1, got {axis}")
    shape = (1, x.shape[1]) if axis == 0 else (x.shape[0], 1)
    return Symbol(x.graph, x.graph.add("sum", [x.node_value], shape))


def mean(x: Symbol, axis: int = -1) -> Symbol:
    """Return the mean of each row (axis -1 or 1) or column (axis 0); the axis stays, with one element."""
    count = x.shape[0] if axis == 0 else x.shape[1]
    return sum(x, axis) * (1 / max(1, count))


def softmax(x: Symbol) -> Symbol:
    """Return exp(x) over the row's sum of exp(x)."""
    return Symbol(x.graph, x.graph.add("softmax", [x.node_value], x.shape, axis=1))


def softmax_cross_entropy(scores: Symbol, labels: Symbol) -> Symbol:
    """Return the cross-entropy of each row's softmax with class numbers, or with rows of shares."""
    loss, _ = scores.graph.add_many(
        "cross_entropy", [scores.node_value, labels.node_value], [(scores.shape[0],), scores.shape]
    )
    return Symbol(scores.graph, scores.graph.add("reshape", [loss], (scores.shape[0], 1)))
