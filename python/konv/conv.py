"""Convolution of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import (
        Activation,
        Array,
        Layout1D,
        Layout2D,
        Layout3D,
        Padding1D,
        Padding2D,
        Padding3D,
        PaddingMode,
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def conv1d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout1D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """One-dimensional convolution, of signals (`torch.nn.functional.conv1d`).

    Parameters
    ----------
    input : ndarray, shape (N, C, L) or (C, L)
        With ``layout="NWC"`` (N, L, C) or (L, C).
    weight : ndarray, shape (K, C // groups, R)
    padding : int, (int,), ((int, int),) or str
        As in `konv.conv2d`, or "causal": ``dilation * (R - 1)`` elements before the input and none after it, so that
        no output depends on later input.
    bias, stride, dilation, groups, padding_mode, layout, activation, residual, algorithm, out, threads, max_workspace
        As in `konv.conv2d`; `layout` is "NCW" or "NWC".

    Returns
    -------
    ndarray, shape (N, K, L') or (K, L'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`.

    See Also
    --------
    konv.conv2d : what all dimensions have in common

    Examples
    --------
    >>> import numpy as np, konv
    >>> signal = np.array([[[1, 2, 4, 8, 16]]], np.float32)
    >>> konv.conv1d(signal, np.array([[[-1, 1]]], np.float32), padding="causal")
    array([[[1., 1., 2., 4., 8.]]], dtype=float32)
    """
    return _core.conv1d(
        input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm,
        out, threads, max_workspace,
    )  # fmt: skip


def conv2d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout2D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Two-dimensional convolution (cross-correlation, as in deep learning).

    ``out[n, k, i, j] = bias[k] + sum over c, r, s of
    input[n, c, i * stride + r * dilation - padding, ...] * weight[k, c, r, s]``

    Semantics are those of `torch.nn.functional.conv2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32, float64, float16 or bfloat16 (ml_dtypes), any strides; complex64 or complex128; int8 or uint8, which
        give int32. Or an array of another library that shares its memory (DLPack), whose kind the result then is.
        With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    weight : ndarray, shape (K, C // groups, R, S)
        The same dtype (of integers int8 or uint8), any strides; its shape does not change with `layout`.
    bias : ndarray, shape (K,), optional
    stride, dilation : int or (int, int)
        At least 1.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Elements around the input: one number, one a dimension, or (before, after) for each; "valid" is none; "same"
        gives ``ceil(size / stride)`` outputs with any excess at the end (TensorFlow, ONNX SAME_UPPER), "same_lower"
        with the excess at the start.
    groups : int
        Divides C and K; group g of the outputs sees group g of the channels alone.
    padding_mode : {"zeros", "reflect", "replicate", "circular"}
        What lies around the input: zeros, the input mirrored at its border without repeating that, its outermost
        elements, or its other end (`torch.nn.Conv2d`).
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
        Bytes of scratch for packed activations a thread should keep to; by default `config.max_workspace`. Arrays of
        16 bits need a copy of an image in float32 besides.

    Returns
    -------
    ndarray, shape (N, K, H', W') or (K, H', W'), in the order of `layout`

    Raises
    ------
    TypeError
        An argument is not an array, a dtype is unsupported or differs from the input's.
    ValueError
        Shapes do not fit, a size is out of range, or `out` cannot be used. Nothing has been written then.

    Notes
    -----
    Sums of float16 and bfloat16 are formed in float32 and rounded once; those of integers are exact, modulo 2^32, and
    take an int32 bias. Integers and complex numbers take neither activation nor residual. An empty batch gives an
    empty result, and so do, as in PyTorch, no channels.

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


def conv3d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout3D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Three-dimensional convolution, of volumes or films (`torch.nn.functional.conv3d`).

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    weight : ndarray, shape (K, C // groups, Q, R, S)
    bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm, out, threads,
    max_workspace
        As in `konv.conv2d`, with three numbers in place of two; `layout` is "NCDHW" or "NDHWC".

    Returns
    -------
    ndarray, shape (N, K, D', H', W') or (K, D', H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`.

    See Also
    --------
    konv.conv2d : what all dimensions have in common

    Examples
    --------
    >>> import numpy as np, konv
    >>> cube = np.ones((1, 1, 3, 3, 3), np.float32)
    >>> konv.conv3d(cube, np.ones((1, 1, 3, 3, 3), np.float32), padding="same")[0, 0, 1]
    array([[12., 18., 12.],
           [18., 27., 18.],
           [12., 18., 12.]], dtype=float32)
    """
    return _core.conv3d(
        input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual, algorithm,
        out, threads, max_workspace,
    )  # fmt: skip


def conv_transpose1d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    layout: Layout1D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """One-dimensional transposed convolution (`torch.nn.functional.conv_transpose1d`).

    Parameters
    ----------
    input : ndarray, shape (N, C, L) or (C, L)
    weight : ndarray, shape (C, K // groups, R)
    bias, stride, padding, output_padding, groups, dilation, layout, activation, residual, algorithm, out, threads,
    max_workspace
        As in `konv.conv_transpose2d`; `layout` is "NCW" or "NWC".

    Returns
    -------
    ndarray, shape (N, K, L') or (K, L'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> signal = np.array([[[1, 2, 3]]], np.float32)
    >>> konv.conv_transpose1d(signal, np.array([[[1, 10]]], np.float32), stride=2)
    array([[[ 1., 10.,  2., 20.,  3., 30.]]], dtype=float32)
    """
    return _core.conv_transpose1d(
        input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation, residual, algorithm,
        out, threads, max_workspace, output_padding,
    )  # fmt: skip


def conv_transpose2d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    layout: Layout2D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Two-dimensional transposed convolution (`torch.nn.functional.conv_transpose2d`).

    The gradient of `konv.conv2d` with respect to its input, as an operation of its own: each element of the input is
    multiplied by the kernel and added to the result where `konv.conv2d` would have read it.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
    weight : ndarray, shape (C, K // groups, R, S)
    bias : ndarray, shape (K,), optional
    stride, dilation : int or (int, int)
        Of the convolution whose gradient this is: the result is about `stride` times as large as the input.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Taken off the result's border. "same" makes the result `stride` times as large as the input (Keras).
    output_padding : int or (int, int)
        Added to the result's size at the end; less than `stride` or `dilation`.
    groups, layout, activation, residual, algorithm, out, threads, max_workspace
        As in `konv.conv2d`.

    Returns
    -------
    ndarray, shape (N, K, H', W') or (K, H', W'), in the order of `layout`
        ``H' = (H - 1) * stride - padding before and after + dilation * (R - 1) + output_padding + 1``

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`; ValueError also where the result would have no elements.

    Notes
    -----
    Elements that no product reaches hold the bias, or zero.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.array([[[[1, 2], [3, 4]]]], np.float32)
    >>> konv.conv_transpose2d(image, np.ones((1, 1, 2, 2), np.float32), stride=2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.],
             [3., 3., 4., 4.],
             [3., 3., 4., 4.]]]], dtype=float32)
    """
    return _core.conv_transpose2d(
        input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation, residual, algorithm,
        out, threads, max_workspace, output_padding,
    )  # fmt: skip


def conv_transpose3d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    layout: Layout3D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Three-dimensional transposed convolution (`torch.nn.functional.conv_transpose3d`).

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
    weight : ndarray, shape (C, K // groups, Q, R, S)
    bias, stride, padding, output_padding, groups, dilation, layout, activation, residual, algorithm, out, threads,
    max_workspace
        As in `konv.conv_transpose2d`; `layout` is "NCDHW" or "NDHWC".

    Returns
    -------
    ndarray, shape (N, K, D', H', W') or (K, D', H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.conv_transpose3d(np.ones((1, 1, 1, 1, 2), np.float32), np.ones((1, 1, 1, 1, 2), np.float32))
    array([[[[[1., 2., 1.]]]]], dtype=float32)
    """
    return _core.conv_transpose3d(
        input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation, residual, algorithm,
        out, threads, max_workspace, output_padding,
    )  # fmt: skip
