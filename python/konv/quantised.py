"""Convolution of int8 and uint8 arrays, with sums in int32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._types import ByteArray, Layout2D, Padding2D, Scale, Size2D, ZeroPoint

__all__ = ["conv2d_int", "conv2d_qlinear"]


def conv2d_int(
    input: ByteArray,
    weight: ByteArray,
    input_zero_point: ZeroPoint = 0,
    weight_zero_point: ZeroPoint = 0,
    stride: Size2D = 1,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    groups: int = 1,
    *,
    layout: Layout2D | None = None,
    algorithm: str = "auto",
    out: NDArray[np.int32] | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> NDArray[np.int32]:
    """Two-dimensional convolution of quantised arrays, exact in int32.

    ``out[n, k, i, j] = sum over c, r, s of (input[n, c, ...] - input_zero_point) * (weight[k, c, r, s] -
    weight_zero_point[k])``, where padding adds nothing. Semantics are those of ONNX's ConvInteger; a sum beyond int32
    wraps around.

    Parameters
    ----------
    input : ndarray of int8 or uint8, shape (N, C, H, W) or (C, H, W)
        Any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    weight : ndarray of int8 or uint8, shape (K, C // groups, R, S)
        Of either dtype, whatever that of `input`.
    input_zero_point : int
        What stands for zero in `input`; its dtype must hold it.
    weight_zero_point : int or ndarray of integers, shape (K,)
        The same of `weight`, one for all or one for each output channel.
    stride, padding, dilation, groups, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`; `out` is int32.

    Returns
    -------
    ndarray of int32, shape (N, K, H', W') or (K, H', W'), in the order of `layout`

    Raises
    ------
    TypeError
        An argument is not an array, or its dtype is unsupported.
    ValueError
        Shapes do not fit, a size or a zero point is out of range, or `out` cannot be used. Nothing has been written
        then.

    Notes
    -----
    Where the CPU multiplies bytes (AVX512-VNNI) that takes weights that fit a byte once their zero point is
    subtracted: int8 around 0 or -128, uint8 around 128 or 0. Others become 16-bit words, at half the speed.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
    >>> konv.conv2d_int(image, np.ones((1, 1, 2, 2), np.int8), input_zero_point=1)
    array([[[[ 4,  8],
             [16, 20]]]], dtype=int32)
    """
    return _core.conv2d_int(
        input, weight, None, input_zero_point, weight_zero_point, stride, padding, dilation, groups, "zeros", layout,
        algorithm, out, threads, max_workspace,
    )  # fmt: skip


def conv2d_qlinear(
    input: ByteArray,
    input_scale: Scale,
    input_zero_point: ZeroPoint,
    weight: ByteArray,
    weight_scale: Scale,
    weight_zero_point: ZeroPoint,
    output_scale: Scale,
    output_zero_point: ZeroPoint,
    bias: NDArray[np.int32] | None = None,
    stride: Size2D = 1,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    groups: int = 1,
    *,
    layout: Layout2D | None = None,
    algorithm: str = "auto",
    out: ByteArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> ByteArray:
    """Two-dimensional convolution of quantised arrays, with a quantised result.

    The sums of `konv.conv2d_int`, plus `bias`, times ``input_scale * weight_scale / output_scale`` in float32, rounded
    half to even, plus `output_zero_point`, saturated to the result's dtype. Semantics and the order of arguments are
    those of ONNX's QLinearConv.

    Parameters
    ----------
    input, input_zero_point, weight, weight_zero_point
        As in `konv.conv2d_int`.
    input_scale, output_scale : float
        Positive and finite, as float32.
    weight_scale : float or ndarray of floats, shape (K,)
        One for all or one for each output channel.
    output_zero_point : int
        What stands for zero in the result. An int8 or uint8 scalar or array also gives the result that dtype;
        otherwise it has that of `input`.
    bias : ndarray of int32, shape (K,), optional
        In units of ``input_scale * weight_scale``.
    stride, padding, dilation, groups, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`; `out` has the result's dtype.

    Returns
    -------
    ndarray of int8 or uint8, shape (N, K, H', W') or (K, H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d_int`, and for scales that are not positive and finite.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3)
    >>> konv.conv2d_qlinear(image, 0.5, 1, np.ones((1, 1, 2, 2), np.int8), 0.25, 0, 1.0, np.uint8(128))
    array([[[[128, 129],
             [130, 130]]]], dtype=uint8)
    """
    return _core.conv2d_qlinear(
        input, input_scale, input_zero_point, weight, weight_scale, weight_zero_point, output_scale, output_zero_point,
        bias, stride, padding, dilation, groups, "zeros", layout, algorithm, out, threads, max_workspace,
    )  # fmt: skip
