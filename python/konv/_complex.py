"""Convolution of complex arrays: four of their real and imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._arrays import Array, check_array, check_elements, check_out

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
        check_array(array, name)
        check_elements(array, name, input.dtype, "" if name == "out" else "input")
    if activation is not None:
        raise ValueError(f"activation: complex results take none, got {activation!r}")
    if residual is not None:
        raise ValueError("residual: complex results take none")


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
        check_out(out, re.shape, input.dtype, [input, weight, bias])
    result: Array = np.empty_like(re, dtype=input.dtype) if out is None else out
    result.real, result.imag = re, im
    return result
