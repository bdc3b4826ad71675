"""Pooling of NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from . import _core

if TYPE_CHECKING:
    from ._types import Array, IntArray, Layout2D, Padding, Size2D

__all__ = ["avg_pool2d", "max_pool2d"]


@overload
def max_pool2d(
    input: Array,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
    *,
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array: ...


@overload
def max_pool2d(
    input: Array,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> tuple[Array, IntArray]: ...


@overload
def max_pool2d(
    input: Array,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array | tuple[Array, IntArray]: ...


def max_pool2d(
    input: Array,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding = 0,
    dilation: Size2D = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array | tuple[Array, IntArray]:
    """Largest element of each window of an image.

    Semantics are those of `torch.nn.functional.max_pool2d`: a window that holds NaN gives NaN, and padding never wins.
    Elements are moved bit for bit, subnormal numbers included.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32 or float64, any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    kernel_size : int or (int, int)
    stride : int or (int, int), optional
        By default `kernel_size`.
    padding : int, (int, int), ((int, int), (int, int)) or str
        Rows and columns of minus infinity around the input, at most half of `kernel_size`: one number, one a
        dimension, or (before, after) for each; "valid" is none; "same" gives ``ceil(size / stride)`` outputs with any
        excess at the end, "same_lower" with the excess at the start.
    dilation : int or (int, int)
        Distance of the elements of a window.
    ceil_mode : bool
        Also take windows that end outside, if they start inside the input or the padding before it.
    return_indices : bool
        Also return where each maximum lies.
    convention : {"torch"}
        Whose windows, where libraries differ.
    layout : {"NCHW", "NHWC"}, optional
        The order of the dimensions of `input` and of the results. Without it shapes are channels-first; the results
        keep the input's memory order.
    out : ndarray, optional
        Receives the values; it has their shape and dtype and shares no memory with `input`.
    threads : int, optional
        At most this many; by default `get_num_threads()`.
    max_workspace : int, optional
        Accepted as by `konv.conv2d`; pooling needs no scratch.

    Returns
    -------
    values : ndarray, shape (N, C, H', W') or (C, H', W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        With `return_indices` alone: ``row * W + column`` in the plane of `input`, of the first of equal maxima or of
        the last NaN. A dilated window may meet no element at all: its value is minus infinity, its index -1.

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


def avg_pool2d(
    input: Array,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Mean of each window of an image.

    Semantics are those of `torch.nn.functional.avg_pool2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32 or float64, any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    kernel_size, stride, padding, ceil_mode
        As in `konv.max_pool2d`; padding is zeros.
    count_include_pad : bool
        Divide by the number of elements of a window within the padded input; else by those within the input.
    divisor_override : int, optional
        Divide all sums by this number.
    convention, layout, out, threads, max_workspace
        As in `konv.max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, H', W') or (C, H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> konv.avg_pool2d(image, 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
    """
    return _core.avg_pool2d(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
        threads, max_workspace,
    )  # fmt: skip
