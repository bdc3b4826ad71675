"""What front ends have in common when they add nodes to a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .ir import Value

Add = Callable[..., Value]  # (op, inputs, shape, **attributes), as Graph.add


def dense(add: Add, rows: Value, kernel: Any, bias: list[Any]) -> Value:
    """Rows (n, in) times a kernel (out, in, 1, 1), as a convolution of one row of n pixels; returns (n, out)."""
    (count, inside), outputs = rows.shape, kernel.shape[0]
    image = add("reshape", [rows], (1, 1, count, inside))
    image = add("transpose", [image], (1, inside, 1, count), order=(0, 3, 1, 2))
    one = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1}
    y = add("conv", [image, kernel, *bias], (1, outputs, 1, count), **one)
    y = add("transpose", [y], (1, 1, count, outputs), order=(0, 2, 3, 1))
    return add("reshape", [y], (count, outputs))
