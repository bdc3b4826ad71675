"""The gradient of the activations that convolutions take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _interop

if TYPE_CHECKING:
    from ._types import Activation, Array

__all__ = ["activation"]

_HALVES = ("float16", "bfloat16")


def activation(name: Activation | None, grad_output: Array, preactivation: Array) -> Array:
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

    Returns
    -------
    ndarray, shape and order of memory of `preactivation`

    Raises
    ------
    TypeError
        An argument is not an array, or a dtype is unsupported or differs.
    ValueError
        The activation is unknown, or the shapes differ.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.activation("relu", np.ones(3, np.float32), np.array([-1, 0, 2], np.float32))
    array([0., 0., 1.], dtype=float32)
    """
    given: dict[str, Any] = {"grad_output": grad_output, "preactivation": preactivation}
    for known, value in given.items():
        if not isinstance(value, np.ndarray) and not _interop.is_foreign(value):
            raise TypeError(f"{known}: expected an array, got {type(value).__name__}; numpy.asarray converts")
    if any(_interop.is_foreign(value) for value in given.values()):
        return _interop.call(activation, name, grad_output, preactivation)  # type: ignore[no-any-return]
    if grad_output.dtype != preactivation.dtype:
        raise TypeError(
            f"preactivation: expected dtype {grad_output.dtype} like grad_output, got {preactivation.dtype}"
        )
    if grad_output.dtype.name in _HALVES:
        wide = activation(name, grad_output.astype(np.float32), preactivation.astype(np.float32))
        return wide.astype(grad_output.dtype)
    if grad_output.shape != preactivation.shape:
        raise ValueError(f"preactivation: expected shape {grad_output.shape}, got {preactivation.shape}")
    # Contiguous in the order of memory that `preactivation` has.
    order = sorted(range(preactivation.ndim), key=lambda axis: -abs(preactivation.strides[axis]))
    x, gradient = (np.ascontiguousarray(array.transpose(order)) for array in (preactivation, grad_output))
    out: np.ndarray[Any, Any] = np.empty_like(x)
    _core.activation_grad(name, gradient, x, out)
    return out.transpose(np.argsort(order))
