"""Gradients of max pooling and of the way back from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import Array, IntArray, Layout1D, Layout2D, Layout3D

__all__ = [
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def adaptive_max_pool1d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_max_pool1d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.adaptive_max_pool1d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, W) or (C, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_max_pool1d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 4)
    >>> values, indices = konv.adaptive_max_pool1d(x, 2, return_indices=True)
    >>> konv.grad.adaptive_max_pool1d(np.ones_like(values), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """
    return _core.max_pool1d_grad(grad_output, indices, input_size, layout, out, threads)


def adaptive_max_pool2d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_max_pool2d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.adaptive_max_pool2d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W) or (C, H, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_max_pool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 1, 4)
    >>> values, indices = konv.adaptive_max_pool2d(x, (1, 2), return_indices=True)
    >>> konv.grad.adaptive_max_pool2d(np.ones_like(values), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """
    return _core.max_pool2d_grad(grad_output, indices, input_size, layout, out, threads)


def adaptive_max_pool3d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_max_pool3d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.adaptive_max_pool3d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W) or (C, D, H, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_max_pool3d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 1, 1, 4)
    >>> values, indices = konv.adaptive_max_pool3d(x, (1, 1, 2), return_indices=True)
    >>> konv.grad.adaptive_max_pool3d(np.ones_like(values), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """
    return _core.max_pool3d_grad(grad_output, indices, input_size, layout, out, threads)


def max_pool1d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_pool1d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.max_pool1d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, W) or (C, W), or channels-last.
    layout, out, threads
        As in `konv.max_pool1d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 4)
    >>> values, indices = konv.max_pool1d(x, 2, return_indices=True)
    >>> konv.grad.max_pool1d(np.ones_like(values), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """
    return _core.max_pool1d_grad(grad_output, indices, input_size, layout, out, threads)


def max_pool2d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_pool2d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.max_pool2d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W) or (C, H, W), or channels-last.
    layout, out, threads
        As in `konv.max_pool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> values, indices = konv.max_pool2d(image, 3, 1, return_indices=True)
    >>> konv.grad.max_pool2d(np.ones_like(values), indices, image.shape)
    array([[[[0., 0., 0., 0.],
             [0., 0., 0., 0.],
             [0., 0., 1., 1.],
             [0., 0., 1., 1.]]]], dtype=float32)
    """
    return _core.max_pool2d_grad(grad_output, indices, input_size, layout, out, threads)


def max_pool3d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_pool3d` with respect to its input.

    Each element of `grad_output` is added to the element that its index names; windows that overlap add up in their
    own order, whatever the number of threads.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, the same shape
        As `konv.max_pool3d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W) or (C, D, H, W), or channels-last.
    layout, out, threads
        As in `konv.max_pool3d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([1.0, 3.0, 2.0, 5.0]).reshape(1, 1, 1, 1, 4)
    >>> values, indices = konv.max_pool3d(x, (1, 1, 2), return_indices=True)
    >>> konv.grad.max_pool3d(np.ones_like(values), indices, x.shape).ravel()
    array([0., 1., 0., 1.])
    """
    return _core.max_pool3d_grad(grad_output, indices, input_size, layout, out, threads)


def max_unpool1d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_unpool1d` with respect to its input.

    Each element of the result is the element of `grad_output` that its index names.

    Parameters
    ----------
    grad_output : ndarray, shape of the unpooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, shape `input_size`
        As they were given to `konv.max_unpool1d`.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, W) or (C, W), or channels-last.
    layout, out, threads
        As in `konv.max_unpool1d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> indices = np.array([1, 3]).reshape(1, 1, 2)
    >>> gradient = np.arange(4.0).reshape(1, 1, 4)
    >>> konv.grad.max_unpool1d(gradient, indices, indices.shape).ravel()
    array([1., 3.])
    """
    return _core.max_unpool1d_grad(grad_output, indices, input_size, layout, out, threads)


def max_unpool2d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_unpool2d` with respect to its input.

    Each element of the result is the element of `grad_output` that its index names.

    Parameters
    ----------
    grad_output : ndarray, shape of the unpooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, shape `input_size`
        As they were given to `konv.max_unpool2d`.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W) or (C, H, W), or channels-last.
    layout, out, threads
        As in `konv.max_unpool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> indices = np.array([1, 3]).reshape(1, 1, 1, 2)
    >>> gradient = np.arange(4.0).reshape(1, 1, 1, 4)
    >>> konv.grad.max_unpool2d(gradient, indices, indices.shape).ravel()
    array([1., 3.])
    """
    return _core.max_unpool2d_grad(grad_output, indices, input_size, layout, out, threads)


def max_unpool3d(
    grad_output: Array,
    indices: IntArray,
    input_size: tuple[int, ...],
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.max_unpool3d` with respect to its input.

    Each element of the result is the element of `grad_output` that its index names.

    Parameters
    ----------
    grad_output : ndarray, shape of the unpooling's result
        float32, float64, float16 or bfloat16.
    indices : ndarray of int64, shape `input_size`
        As they were given to `konv.max_unpool3d`.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W) or (C, D, H, W), or channels-last.
    layout, out, threads
        As in `konv.max_unpool3d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`; ValueError also for an index outside its plane. Nothing has been written then.

    Examples
    --------
    >>> import numpy as np, konv
    >>> indices = np.array([1, 3]).reshape(1, 1, 1, 1, 2)
    >>> gradient = np.arange(4.0).reshape(1, 1, 1, 1, 4)
    >>> konv.grad.max_unpool3d(gradient, indices, indices.shape).ravel()
    array([1., 3.])
    """
    return _core.max_unpool3d_grad(grad_output, indices, input_size, layout, out, threads)
