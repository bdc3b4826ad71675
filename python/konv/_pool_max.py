"""Max pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from . import _core

if TYPE_CHECKING:
    from typing import Unpack

    from ._types import (
        AnyArray,
        Convention,
        IntArray,
        Layout1D,
        Layout2D,
        Layout3D,
        Padding2D,
        Padding3D,
        PoolOptions1D,
        PoolOptions2D,
        PoolOptions3D,
        PoolPadding1D,
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = ["max_pool1d", "max_pool2d", "max_pool3d"]


@overload
def max_pool1d(
    input: AnyArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    dilation: Size1D = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    **options: Unpack[PoolOptions1D],
) -> AnyArray: ...


@overload
def max_pool1d(
    input: AnyArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    dilation: Size1D = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
    **options: Unpack[PoolOptions1D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def max_pool1d(
    input: AnyArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    dilation: Size1D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    **options: Unpack[PoolOptions1D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def max_pool1d(
    input: AnyArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    dilation: Size1D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    convention: Convention = "torch",
    layout: Layout1D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each window of a signal.

    Semantics are those of `torch.nn.functional.max_pool1d`; see `konv.max_pool2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, W) or (C, W)
        Of any dtype that `konv.max_pool2d` takes. With ``layout="NWC"`` (N, W, C) or (W, C).
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads, max_workspace
        As in `konv.max_pool2d`, for 1 dimension; layouts are "NCW" and "NWC".

    Returns
    -------
    values : ndarray, shape (N, C, W') or (C, W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        With `return_indices` alone: the column in the row of `input`.

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[3., 5.]]])
    """
    return _core.max_pool1d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
        max_workspace,
    )  # fmt: skip


@overload
def max_pool2d(
    input: AnyArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    **options: Unpack[PoolOptions2D],
) -> AnyArray: ...


@overload
def max_pool2d(
    input: AnyArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
    **options: Unpack[PoolOptions2D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def max_pool2d(
    input: AnyArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    **options: Unpack[PoolOptions2D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def max_pool2d(
    input: AnyArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    convention: Convention = "torch",
    layout: Layout2D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each window of an image.

    Semantics are those of `torch.nn.functional.max_pool2d`: a window that holds NaN gives NaN, and padding never wins.
    Elements are moved bit for bit, subnormal numbers and NaNs included.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32, float64, float16, bfloat16, int8, uint8, int16, int32, int64 or bool, any strides. With
        ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default `kernel_size`.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Rows and columns around the input that never win, at most half of `kernel_size`: one number, one a dimension,
        or (before, after) for each; "valid" is none; "same" gives ``ceil(size / stride)`` outputs with any excess at
        the end, "same_lower" with the excess at the start.
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Also take windows that end outside, if they start inside the input or the padding before it.
    return_indices : bool
        Also return where each maximum lies.
    convention : {"torch", "onnx", "tf"}
        Whose rules: with "onnx" (MaxPool, AveragePool) and "tf" (`tf.nn.max_pool2d`, `tf.nn.avg_pool2d`) padding may
        be anything below `kernel_size`; with "tf" there is no `ceil_mode`. ONNX's auto_pad is `padding`: SAME_UPPER
        is "same", SAME_LOWER "same_lower"; so is TensorFlow's.
    layout : {"NCHW", "NHWC"}, optional
        The order of the dimensions of `input` and of the results. Without it shapes are channels-first; the results
        keep the input's memory order.
    out : ndarray, optional
        Receives the values; it has their shape and dtype and shares no memory with `input`.
    threads : int, optional
        At most this many; by default `get_num_threads()`.
    max_workspace : int, optional
        Bytes of scratch a thread should keep to, where elements are copied on the way; by default
        `config.max_workspace`.

    Returns
    -------
    values : ndarray, shape (N, C, H', W') or (C, H', W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        With `return_indices` alone: ``row * W + column`` in the plane of `input`, whatever the convention, of the
        first of equal maxima or of the last NaN. A dilated window may meet no element at all: its value is the lowest
        there is (minus infinity), its index -1.

    Raises
    ------
    TypeError
        An argument is not an array, or its dtype is unsupported.
    ValueError
        A size is out of range, no window fits, or `out` cannot be used. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> konv.max_pool2d(image, 2)
    array([[[[ 5.,  7.],
             [13., 15.]]]], dtype=float32)
    >>> values, indices = konv.max_pool2d(image, 2, return_indices=True)
    >>> indices
    array([[[[ 5,  7],
             [13, 15]]]])
    """
    return _core.max_pool2d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
        max_workspace,
    )  # fmt: skip


@overload
def max_pool3d(
    input: AnyArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    dilation: Size3D = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    **options: Unpack[PoolOptions3D],
) -> AnyArray: ...


@overload
def max_pool3d(
    input: AnyArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    dilation: Size3D = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
    **options: Unpack[PoolOptions3D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def max_pool3d(
    input: AnyArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    dilation: Size3D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    **options: Unpack[PoolOptions3D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def max_pool3d(
    input: AnyArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    dilation: Size3D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    convention: Convention = "torch",
    layout: Layout3D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each window of a volume.

    Semantics are those of `torch.nn.functional.max_pool3d`; see `konv.max_pool2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        Of any dtype that `konv.max_pool2d` takes. With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads, max_workspace
        As in `konv.max_pool2d`, for 3 dimensions; layouts are "NCDHW" and "NDHWC".

    Returns
    -------
    values : ndarray, shape (N, C, D', H', W') or (C, D', H', W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        With `return_indices` alone: ``(slice * H + row) * W + column`` in the volume of `input`.

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> volume = np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2)
    >>> values, indices = konv.max_pool3d(volume, 2, return_indices=True)
    >>> values.item(), indices.item()
    (7.0, 7)
    """
    return _core.max_pool3d(
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout, out, threads,
        max_workspace,
    )  # fmt: skip
