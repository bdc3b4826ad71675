"""Convolution of complex arrays: four of their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Positions of arguments in the compiled functions.
_BIAS, _ACTIVATION, _RESIDUAL, _OUT = 2, 9, 10, 12


def is_complex(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "c"


def _check(input: Array, others: dict[str, Any], activation: Any, residual: Any) -> None:
    if not is_complex(input) or input.dtype.itemsize > 16:
        raise TypeError(f"input: expected dtype complex64 or complex128 like other arrays, got {input.dtype}")
    for name, array in others.items():
        if array is None:
            continue
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected an array, got {type(array).__name__}; numpy.asarray converts")
        if array.dtype != input.dtype:
            raise TypeError(f"{name}: expected dtype {input.dtype} like input, got {array.dtype}")
    if activation is not None:
        raise ValueError(f"activation: complex results take none, got {activation!r}")
    if residual is not None:
        raise ValueError("residual: complex results take none")


def _overlaps_itself(a: Array) -> bool:
    extent = a.itemsize
    for stride, size in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (size - 1)
    return False


def _check_out(out: Array, result: Array, inputs: list[Any]) -> None:
    if out.shape != result.shape:
        raise ValueError(f"out: expected shape {result.shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out: expected a writable array")
    if _overlaps_itself(out):
        raise ValueError("out: its elements overlap one another in memory")
    if any(array is not None and np.shares_memory(out, array) for array in inputs):
        raise ValueError("out: expected memory that no input shares")


def conv(function: Callable[..., Any], args: list[Any]) -> Array:
    """``(a + bi) * (c + di) = (ac - bd) + (ad + bc)i``; nothing is conjugated, as in PyTorch."""
    input, weight, bias, out = args[0], args[1], args[_BIAS], args[_OUT]
    _check(input, {"weight": weight, "bias": bias, "out": out}, args[_ACTIVATION], args[_RESIDUAL])
    # In the order of memory that the arrays have.
    real, imaginary = input.real.copy("K"), input.imag.copy("K")

    def part(first: Array, second: Array, bias: Array | None) -> Array:
        call = [real, first, bias, *args[3:]]
        call[_OUT] = None
        sums = function(*call)
        call[0], call[1], call[_BIAS] = imaginary, second, None
        call[_RESIDUAL] = call[_OUT] = sums
        return function(*call)  # type: ignore[no-any-return]

    w, v = weight.real.copy("K"), weight.imag.copy("K")
    re = part(w, -v, None if bias is None else bias.real.copy())
    im = part(v, w, None if bias is None else bias.imag.copy())
    if out is not None:
        _check_out(out, re, [input, weight, bias])
    result: Array = np.empty_like(re, dtype=input.dtype) if out is None else out
    result.real, result.imag = re, im
    return result
