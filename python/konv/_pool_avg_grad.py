"""Gradients of average pooling and its relatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import (
        Array,
        Convention,
        Layout1D,
        Layout2D,
        Layout3D,
        Padding2D,
        Padding3D,
        PoolPadding1D,
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
]


def adaptive_avg_pool1d(
    grad_output: Array,
    input_size: tuple[int, ...],
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, W) or (C, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_avg_pool1d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.adaptive_avg_pool1d(np.ones((1, 1, 1)), (1, 1, 4)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return _core.adaptive_avg_pool1d_grad(grad_output, input_size, layout, out, threads)


def adaptive_avg_pool2d(
    grad_output: Array,
    input_size: tuple[int, ...],
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W) or (C, H, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_avg_pool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.adaptive_avg_pool2d(np.ones((1, 1, 1, 1)), (1, 1, 1, 4)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return _core.adaptive_avg_pool2d_grad(grad_output, input_size, layout, out, threads)


def adaptive_avg_pool3d(
    grad_output: Array,
    input_size: tuple[int, ...],
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.adaptive_avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W) or (C, D, H, W), or channels-last.
    layout, out, threads
        As in `konv.adaptive_avg_pool3d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.adaptive_avg_pool3d(np.ones((1, 1, 1, 1, 1)), (1, 1, 1, 1, 4)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return _core.adaptive_avg_pool3d_grad(grad_output, input_size, layout, out, threads)


def avg_pool1d(
    grad_output: Array,
    input_size: tuple[int, ...],
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, W) or (C, W), or channels-last.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads
        As in `konv.avg_pool1d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.avg_pool1d(np.ones((1, 1, 2)), (1, 1, 4), 2).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _core.avg_pool1d_grad(
        grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads,
    )  # fmt: skip


def avg_pool2d(
    grad_output: Array,
    input_size: tuple[int, ...],
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W) or (C, H, W), or channels-last.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads
        As in `konv.avg_pool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.avg_pool2d(np.ones((1, 1, 2, 2), np.float32), (1, 1, 3, 3), 2, 1)
    array([[[[0.25, 0.5 , 0.25],
             [0.5 , 1.  , 0.5 ],
             [0.25, 0.5 , 0.25]]]], dtype=float32)
    """
    return _core.avg_pool2d_grad(
        grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads,
    )  # fmt: skip


def avg_pool3d(
    grad_output: Array,
    input_size: tuple[int, ...],
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W) or (C, D, H, W), or channels-last.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads
        As in `konv.avg_pool3d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.avg_pool3d(np.ones((1, 1, 1, 1, 2)), (1, 1, 1, 1, 4), (1, 1, 2)).ravel()
    array([0.5, 0.5, 0.5, 0.5])
    """
    return _core.avg_pool3d_grad(
        grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads,
    )  # fmt: skip


def lp_pool1d(
    grad_output: Array,
    input: Array,
    norm_type: float,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.lp_pool1d` with respect to its input; zero where an element or a whole window is zero.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input : ndarray, shape (N, C, W) or (C, W)
        The same dtype.
    norm_type, kernel_size, stride, ceil_mode, layout, out, threads
        As in `konv.lp_pool1d`.

    Returns
    -------
    ndarray, shape of `input`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.lp_pool1d(np.ones((1, 1, 1)), np.array([3.0, 4.0]).reshape(1, 1, 2), 2, 2).ravel()
    array([0.6, 0.8])
    """
    return _core.lp_pool1d_grad(grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads)


def lp_pool2d(
    grad_output: Array,
    input: Array,
    norm_type: float,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.lp_pool2d` with respect to its input; zero where an element or a whole window is zero.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        The same dtype.
    norm_type, kernel_size, stride, ceil_mode, layout, out, threads
        As in `konv.lp_pool2d`.

    Returns
    -------
    ndarray, shape of `input`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.lp_pool2d(np.ones((1, 1, 1, 1)), np.array([3.0, 4.0]).reshape(1, 1, 1, 2), 2, (1, 2)).ravel()
    array([0.6, 0.8])
    """
    return _core.lp_pool2d_grad(grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads)


def lp_pool3d(
    grad_output: Array,
    input: Array,
    norm_type: float,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.lp_pool3d` with respect to its input; zero where an element or a whole window is zero.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32, float64, float16 or bfloat16.
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        The same dtype.
    norm_type, kernel_size, stride, ceil_mode, layout, out, threads
        As in `konv.lp_pool3d`.

    Returns
    -------
    ndarray, shape of `input`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.lp_pool3d(np.ones((1, 1, 1, 1, 1)), np.array([3.0, 4.0]).reshape(1, 1, 1, 1, 2), 2, (1, 1, 2)).ravel()
    array([0.6, 0.8])
    """
    return _core.lp_pool3d_grad(grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads)
