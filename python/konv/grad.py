"""Gradients of convolution and pooling, one function for each direction, as in `torch.nn.grad`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import _conv_grad, _conv_transpose_grad, _core
from ._conv_grad import *  # noqa: F403
from ._conv_transpose_grad import *  # noqa: F403

if TYPE_CHECKING:
    from ._types import Array, IntArray, Layout2D, Padding2D, Size2D

__all__ = [*_conv_grad.__all__, *_conv_transpose_grad.__all__, "avg_pool2d", "max_pool2d"]


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
        float32 or float64.
    indices : ndarray of int64, the same shape
        As `konv.max_pool2d` returns them with `return_indices`: flat in each plane of the input.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W), (C, H, W), or channels-last.
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
    convention: Literal["torch"] = "torch",
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of `konv.avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : ndarray, shape of the pooling's result
        float32 or float64.
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W), (C, H, W), or channels-last.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads
        As in `konv.avg_pool2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.avg_pool2d`.

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
