"""What Python asks of arrays itself, in the compiled core's words."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def check_array(value: Any, name: str) -> None:
    """Refuse what is neither an array nor shares its memory as one."""
    if getattr(value, "requires_grad", False):
        raise TypeError(f"{name}: this tensor requires grad, which konv would lose; pass tensor.detach()")
    shares = hasattr(value, "__dlpack__") or hasattr(value, "__array_interface__")
    if isinstance(value, np.generic) or not shares:
        raise TypeError(f"{name}: expected an array, got {type(value).__name__}; numpy.asarray converts")


def check_elements(array: Array, name: str, dtype: np.dtype[Any], like: str = "") -> None:
    """Refuse another dtype than this, which the array called `like` has, and elements that are not aligned."""
    if not array.dtype.isnative:
        raise TypeError(f"{name}: expected native byte order, got {array.dtype}")
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {dtype}{like and f' like {like}'}, got {array.dtype}")
    if not array.flags.aligned:
        raise ValueError(f"{name}: expected an aligned array; pass a copy")


def _overlaps_itself(a: Array) -> bool:
    extent = a.itemsize
    for stride, size in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (size - 1)
    return False


def check_out(out: Array, shape: tuple[int, ...], dtype: np.dtype[Any], inputs: list[Any]) -> None:
    """Refuse an `out` that cannot hold the result, or shares memory with one of `inputs`, each an array or None."""
    check_elements(out, "out", dtype)
    if out.shape != shape:
        raise ValueError(f"out: expected shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: expected a writable array")
    if _overlaps_itself(out):
        raise ValueError("out: its elements overlap one another in memory")
    if any(array is not None and np.shares_memory(out, array) for array in inputs):
        raise ValueError("out: expected memory that no input shares")
