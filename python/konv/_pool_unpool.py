"""The way back from max pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import Array, IntArray, Layout1D, Layout2D, Layout3D, Size1D, Size2D, Size3D

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def max_unpool1d(
    input: Array,
    indices: IntArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: Size1D = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Put the maxima of a signal back where they came from, among zeros.

    Semantics are those of `torch.nn.functional.max_unpool1d`; where indices name one element twice, the last one wins.

    Parameters
    ----------
    input : ndarray, shape (N, C, W') or (C, W')
        float32, float64, float16 or bfloat16, any strides. With ``layout="NWC"`` channels last.
    indices : ndarray of int64, the same shape
        As `konv.max_pool1d` returns them.
    kernel_size, stride, padding : int
        As of the pooling to undo.
    output_size : tuple of int, optional
        The spatial sizes of the result, or all of its shape: less than a stride from
        ``(size - 1) * stride - 2 * padding + kernel_size``, which is the default.
    layout, out, threads, max_workspace
        As in `konv.max_pool1d`; no scratch is needed.

    Returns
    -------
    ndarray, shape (N, C, W) or (C, W), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 4)
    >>> values, indices = konv.max_pool1d(x, 2, return_indices=True)
    >>> konv.max_unpool1d(values, indices, 2).ravel()
    array([0., 3., 0., 5.])
    """
    return _core.max_unpool1d(
        input, indices, kernel_size, stride, padding, output_size, layout, out, threads, max_workspace
    )


def max_unpool2d(
    input: Array,
    indices: IntArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Size2D = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Put the maxima of an image back where they came from, among zeros.

    Semantics are those of `torch.nn.functional.max_unpool2d`; where indices name one element twice, the last one wins.

    Parameters
    ----------
    input : ndarray, shape (N, C, H', W') or (C, H', W')
        float32, float64, float16 or bfloat16, any strides. With ``layout="NHWC"`` channels last.
    indices : ndarray of int64, the same shape
        As `konv.max_pool2d` returns them.
    kernel_size, stride, padding : int or (int, int)
        As of the pooling to undo.
    output_size : tuple of int, optional
        The spatial sizes of the result, or all of its shape: less than a stride from
        ``(size - 1) * stride - 2 * padding + kernel_size``, which is the default.
    layout, out, threads, max_workspace
        As in `konv.max_pool2d`; no scratch is needed.

    Returns
    -------
    ndarray, shape (N, C, H, W) or (C, H, W), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 1, 4)
    >>> values, indices = konv.max_pool2d(x, (1, 2), return_indices=True)
    >>> konv.max_unpool2d(values, indices, (1, 2)).ravel()
    array([0., 3., 0., 5.])
    """
    return _core.max_unpool2d(
        input, indices, kernel_size, stride, padding, output_size, layout, out, threads, max_workspace
    )


def max_unpool3d(
    input: Array,
    indices: IntArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Size3D = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Put the maxima of a volume back where they came from, among zeros.

    Semantics are those of `torch.nn.functional.max_unpool3d`; where indices name one element twice, the last one wins.

    Parameters
    ----------
    input : ndarray, shape (N, C, D', H', W') or (C, D', H', W')
        float32, float64, float16 or bfloat16, any strides. With ``layout="NDHWC"`` channels last.
    indices : ndarray of int64, the same shape
        As `konv.max_pool3d` returns them.
    kernel_size, stride, padding : int or (int, int, int)
        As of the pooling to undo.
    output_size : tuple of int, optional
        The spatial sizes of the result, or all of its shape: less than a stride from
        ``(size - 1) * stride - 2 * padding + kernel_size``, which is the default.
    layout, out, threads, max_workspace
        As in `konv.max_pool3d`; no scratch is needed.

    Returns
    -------
    ndarray, shape (N, C, D, H, W) or (C, D, H, W), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 1, 1, 4)
    >>> values, indices = konv.max_pool3d(x, (1, 1, 2), return_indices=True)
    >>> konv.max_unpool3d(values, indices, (1, 1, 2)).ravel()
    array([0., 3., 0., 5.])
    """
    return _core.max_unpool3d(
        input, indices, kernel_size, stride, padding, output_size, layout, out, threads, max_workspace
    )
