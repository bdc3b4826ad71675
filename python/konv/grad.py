"""Gradients of convolution and pooling, one function for each direction, as in `torch.nn.grad`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from . import _core

if TYPE_CHECKING:
    from ._types import Array, IntArray, Layout2D, Padding, Size2D

__all__ = ["avg_pool2d", "conv2d_input", "conv2d_weight", "conv_bias", "max_pool2d"]


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
        Channels-first, ``(N, K, *spatial)``, unless `layout` says otherwise.
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
    padding: Padding = 0,
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
