"""Gradients of convolution and pooling, one function for each direction, as in `torch.nn.grad`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._pool_avg_grad import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
)
from ._pool_max_grad import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

if TYPE_CHECKING:
    from ._types import Array, Layout2D, Padding, Size2D

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv2d_input",
    "conv2d_weight",
    "conv_bias",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def conv2d_input(
    input_size: tuple[int, ...],
    weight: Array,
    grad_output: Array,
    stride: Size2D = 1,
    padding: Padding = 0,
    dilation: Size2D = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: Layout2D | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Gradient of `konv.conv2d` with respect to its input (`torch.nn.grad.conv2d_input`).

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W), (C, H, W), or channels-last.
    weight : ndarray, shape (K, C // groups, R, S)
    grad_output : ndarray, shape of the convolution's result
        The same dtype as `weight`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.ones((1, 1, 2, 2), np.float32)
    >>> konv.grad.conv2d_input((1, 1, 3, 3), w, np.ones((1, 1, 2, 2), np.float32))
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]], dtype=float32)
    """
    return _core.conv2d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace,
    )  # fmt: skip


def conv2d_weight(
    input: Array,
    weight_size: tuple[int, int, int, int],
    grad_output: Array,
    stride: Size2D = 1,
    padding: Padding = 0,
    dilation: Size2D = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: Layout2D | None = None,
    algorithm: str = "auto",
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Gradient of `konv.conv2d` with respect to its weight (`torch.nn.grad.conv2d_weight`).

    The result does not depend on the number of threads: sums are cut by the problem alone and added in order.

    Parameters
    ----------
    input : ndarray
        As in `konv.conv2d`.
    weight_size : tuple of int
        (K, C // groups, R, S).
    grad_output : ndarray, shape of the convolution's result
        The same dtype as `input`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`; `out` has the weight's shape.

    Returns
    -------
    ndarray, shape `weight_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> konv.grad.conv2d_weight(x, (1, 1, 2, 2), np.ones((1, 1, 2, 2), np.float32))
    array([[[[ 8., 12.],
             [20., 24.]]]], dtype=float32)
    """
    return _core.conv2d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace,
    )  # fmt: skip


def conv_bias(
    grad_output: Array,
    *,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Gradient of a convolution with respect to its bias: the sum over images and pixels.

    Parameters
    ----------
    grad_output : ndarray
        Channels-first, (N, K, *spatial), unless `layout` says otherwise.
    layout : str, optional
        "NCHW", "NHWC", and the same for one and three spatial dimensions. Needed for unbatched arrays, whose rank
        does not tell their number of spatial dimensions.
    out : ndarray, shape (K,), optional
    threads : int, optional

    Returns
    -------
    ndarray, shape (K,)

    Raises
    ------
    TypeError, ValueError
        As `konv.conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.grad.conv_bias(np.ones((2, 3, 4, 5), np.float32))
    array([40., 40., 40.], dtype=float32)
    """
    return _core.conv_bias(grad_output, layout, out, threads)
