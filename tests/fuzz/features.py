"""What this build has: operations by name, and element types and paddings that its families take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

import konv
from tests.fuzz.draw import dtype_of

FLOATS = ("float32", "float64")
HALVES = ("float16", "bfloat16")
BYTES = ("int8", "uint8")
INTEGERS = (*BYTES, "int16", "int32", "int64", "bool")


def function(name: str) -> Callable[..., Any] | None:
    """`konv.conv2d` for "conv2d", `konv.grad.conv2d_input` for "grad.conv2d_input"; None where there is no such."""
    found: Any = konv
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if callable(found) else None


def takes(name: str, argument: str) -> bool:
    called = function(name)
    return called is not None and argument in inspect.signature(called).parameters


@cache
def accepts(family: str, dtype: str, padding_mode: str = "zeros") -> bool:
    """Whether the family's two-dimensional operation computes such an element."""
    x = np.ones((1, 1, 3, 3), dtype_of(dtype))
    try:
        if family == "pool":
            konv.max_pool2d(x, 1)
        elif family == "gradient":
            konv.grad.conv2d_weight(x, x.shape, x, padding=1, padding_mode=padding_mode)
        else:
            konv.conv2d(x, x, padding=1, padding_mode=padding_mode)
    except (TypeError, ValueError):
        return False
    return True


def dtypes(family: str, extra: tuple[str, ...] = HALVES) -> tuple[str, ...]:
    return (*FLOATS, *(dtype for dtype in extra if accepts(family, dtype)))


def padding_modes(family: str) -> tuple[str, ...]:
    every = ("zeros", "reflect", "replicate", "circular")
    return tuple(mode for mode in every if accepts(family, "float32", mode))
