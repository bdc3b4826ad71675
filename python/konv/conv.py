"""Convolution of NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import Activation, Array, Layout2D, Padding, Size2D

__all__ = ["conv2d"]


def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Size2D = 1,
    padding: Padding = 0,
    dilation: Size2D = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: Layout2D | None = None,
    activation: Activation | None = None,
    residual: Array | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Two-dimensional convolution (cross-correlation, as in deep learning).

    ``out[n, k, i, j] = bias[k] + sum over c, r, s of
    input[n, c, i * stride + r * dilation - padding, ...] * weight[k, c, r, s]``

    Semantics are those of `torch.nn.functional.conv2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32 or float64, any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    weight : ndarray, shape (K, C // groups, R, S)
        The same dtype, any strides; its shape does not change with `layout`.
    bias : ndarray, shape (K,), optional
    stride, dilation : int or (int, int)
        At least 1.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Zeros around the input: one number, one a dimension, or (before, after) for each; "valid" is none; "same"
        gives ``ceil(size / stride)`` outputs with any excess at the end (TensorFlow, ONNX SAME_UPPER), "same_lower"
        with the excess at the start.
    groups : int
        Divides C and K; group g of the outputs sees group g of the channels alone.
    padding_mode : {"zeros"}
    layout : {"NCHW", "NHWC"}, optional
        The order of the dimensions of `input` and of the result. Without it shapes are channels-first; the strides
        decide which kernels run, and the result keeps the input's memory order.
    activation : str or (str, float), optional
        "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu" (exact), "gelu_tanh" or "hardswish", applied
        to the result before it leaves the cache. A pair sets the slope of leaky_relu below zero, by default 0.01.
    residual : ndarray, optional
        Added to the result before the activation; of the result's shape and dtype, any strides. It may be `out`.
    algorithm : str
        "auto", or a name that `explain` lists.
    out : ndarray, optional
        Receives the result; it has the result's shape and dtype and shares no memory with an input.
    threads : int, optional
        At most this many; by default `get_num_threads()`.
    max_workspace : int, optional
        Bytes of scratch for packed activations a thread should keep to; by default `config.max_workspace`.

    Returns
    -------
    ndarray, shape (N, K, H', W') or (K, H', W'), in the order of `layout`

    Raises
    ------
    TypeError
        An argument is not an array, a dtype is unsupported or differs from the input's.
    ValueError
        Shapes do not fit, a size is out of range, or `out` cannot be used. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> sobel = np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], np.float32)
    >>> konv.conv2d(image, sobel)
    array([[[[8., 8.],
             [8., 8.]]]], dtype=float32)
    """
    return _core.conv2d(
        input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm,
        out, threads, max_workspace,
    )  # fmt: skip
