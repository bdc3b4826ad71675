"""The gradient of the activations that convolutions take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _interop
from ._arrays import check_array, check_elements, check_out

if TYPE_CHECKING:
    from ._types import Activation, Array

__all__ = ["activation"]

_HALVES = ("float16", "bfloat16")


def activation(
    name: Activation | None,
    grad_output: Array,
    preactivation: Array,
    *,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of an activation with respect to what it was applied to, as PyTorch derives it.

    Parameters
    ----------
    name : str, (str, float) or None
        As `konv.conv2d` takes it: "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh" or
        "hardswish", or ("leaky_relu", slope).
    grad_output : ndarray
        Gradient of the activation's result: float32, float64, float16 or bfloat16, any shape and strides.
    preactivation : ndarray
        What the activation was applied to; the same shape and dtype.
    out : ndarray, optional
        Receives the result; of that shape and dtype, in memory of its own.
    threads : int, optional
        At most this many; by default `get_num_threads()`.

    Returns
    -------
    ndarray, shape and order of memory of `preactivation`, or `out`

    Raises
    ------
    TypeError
        An argument is not an array, or a dtype is unsupported or differs.
    ValueError
        The activation is unknown, or shapes differ. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.activation("relu", np.ones(3, np.float32), np.array([-1, 0, 2], np.float32))
    array([0., 0., 1.], dtype=float32)
    """
    given: dict[str, Any] = {"grad_output": grad_output, "preactivation": preactivation}
    if out is not None:
        given["out"] = out
    for known, value in given.items():
        check_array(value, known)
    if any(_interop.is_foreign(value) for value in given.values()):
        return _interop.call(activation, name, grad_output, preactivation, out=out, threads=threads)  # type: ignore[no-any-return]
    dtype = _float(grad_output)
    check_elements(preactivation, "preactivation", dtype, "grad_output")
    if preactivation.shape != grad_output.shape:
        raise ValueError(f"preactivation: expected shape {grad_output.shape}, got {preactivation.shape}")
    if out is not None:
        check_out(out, grad_output.shape, dtype, [grad_output, preactivation])
    if grad_output.dtype.name in _HALVES:
        wide = activation(name, grad_output.astype(np.float32), preactivation.astype(np.float32), threads=threads)
        return _stored(wide.astype(grad_output.dtype), out)
    # Contiguous in the order of memory that `preactivation` has.
    order = sorted(range(preactivation.ndim), key=lambda axis: -abs(preactivation.strides[axis]))
    x, gradient = (np.asarray(array.transpose(order), order="C") for array in (preactivation, grad_output))
    result: np.ndarray[Any, Any] = np.empty_like(x)
    _core.activation_grad(name, gradient, x, result, threads)
    return _stored(result.transpose(np.argsort(order)), out)


def _float(array: Array) -> np.dtype[Any]:
    if array.dtype.name not in ("float32", "float64", *_HALVES):
        raise TypeError(f"grad_output: expected dtype float32, float64, float16 or bfloat16, got {array.dtype}")
    check_elements(array, "grad_output", array.dtype)
    return array.dtype


def _stored(result: Array, out: Array | None) -> Array:
    if out is None:
        return result
    out[...] = result
    return out
