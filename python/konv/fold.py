"""Windows of an image as columns of a matrix, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._types import Layout, Padding, Size

__all__ = ["fold", "unfold"]


def unfold(
    input: NDArray[Any],
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    layout: Layout | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> NDArray[Any]:
    """Copy each window of an image into a column (im2col).

    ``out[n, (c * R + r) * S + s, i * W' + j] = input[n, c, i * stride + r * dilation - padding, ...]``, and zero where
    that lies in the padding. Semantics are those of `torch.nn.functional.unfold`, for signals and volumes as well.
    Elements are moved bit for bit. The gradient of `unfold` is `fold`.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float16, bfloat16, float32, float64, bool, uint8 or int8 to int64, any strides. With ``layout="NHWC"``
        (N, H, W, C) or (H, W, C). Signals (N, C, L) and volumes (N, C, D, H, W) likewise, batched or not.
    kernel_size : int or tuple of int
        A tuple has a size for each spatial dimension, and so says how many there are. An int leaves that to `layout`,
        or else to the rank: two dimensions for 3 or 4, a signal without a batch for 2, a batch of volumes for 5.
    dilation, stride : int or tuple of int
        Distance of the elements of a window, and of windows.
    padding : int, tuple of int, tuple of (int, int) or str
        Zeros around the input, as in `konv.conv2d`.
    layout : str, optional
        The order of the dimensions of `input`: "NCHW", "NHWC", "NCW", "NWC", "NCDHW" or "NDHWC".
    out : ndarray, optional
        Receives the result; it has the result's shape and dtype and shares no memory with `input`.
    threads : int, optional
        At most this many; by default `get_num_threads()`.
    max_workspace : int, optional
        Accepted as by `konv.conv2d`; there is no scratch.

    Returns
    -------
    ndarray, shape (N, C * R * S, H' * W') or (C * R * S, H' * W')

    Raises
    ------
    TypeError
        An argument is not an array, or its dtype is unsupported.
    ValueError
        A size is out of range, no window fits, or `out` cannot be used. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> konv.unfold(image, 2)
    array([[[0., 1., 3., 4.],
            [1., 2., 4., 5.],
            [3., 4., 6., 7.],
            [4., 5., 7., 8.]]], dtype=float32)
    """
    return _core.unfold(input, kernel_size, dilation, padding, stride, layout, out, threads, max_workspace)


def fold(
    input: NDArray[Any],
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Padding = 0,
    stride: Size = 1,
    *,
    layout: Layout | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> NDArray[Any]:
    """Sum columns into the windows of an image that they were taken from (col2im).

    Each element of the result is the sum of all elements of `input` that `unfold` would have copied from there.
    Semantics are those of `torch.nn.functional.fold`, for signals and volumes as well. The gradient of `fold` is
    `unfold`.

    Parameters
    ----------
    input : ndarray, shape (N, C * R * S, H' * W') or (C * R * S, H' * W')
        float16 or bfloat16 (summed in float32), float32, float64, uint8 or int8 to int64 (which wrap around), any
        strides.
    output_size : int or tuple of int
        The image's (H, W). A tuple says how many spatial dimensions there are; else `layout` or a tuple as
        `kernel_size` does, else there are two.
    kernel_size, dilation, padding, stride
        As in `konv.unfold`.
    layout : str, optional
        The order of the dimensions of the result, as in `konv.unfold`.
    out, threads, max_workspace
        As in `konv.unfold`.

    Returns
    -------
    ndarray, shape (N, C, H, W) or (C, H, W), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.unfold`, and where rows or columns of `input` do not fit the windows.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.fold(np.ones((1, 4, 4), np.float32), (3, 3), 2)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]], dtype=float32)
    """
    return _core.fold(input, output_size, kernel_size, dilation, padding, stride, layout, out, threads, max_workspace)
