"""Gradients of convolution, one function for each operand, as in `torch.nn.grad`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import (
        Array,
        Layout1D,
        Layout2D,
        Layout3D,
        Padding1D,
        Padding2D,
        Padding3D,
        PaddingMode,
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
    "conv_bias",
]


def conv1d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv1d` with respect to its input (`torch.nn.grad.conv1d_input`).

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, L), (C, L), or channels-last.
    weight : ndarray, shape (K, C // groups, R)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv1d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv1d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.ones((1, 1, 2), np.float32)
    >>> konv.grad.conv1d_input((1, 1, 4), w, np.ones((1, 1, 3), np.float32))
    array([[[1., 2., 2., 1.]]], dtype=float32)
    """
    return _core.conv1d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace, accumulate,
    )  # fmt: skip


def conv1d_weight(
    input: Array, weight_size: tuple[int, int, int], grad_output: Array,
    stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout1D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv1d` with respect to its weight (`torch.nn.grad.conv1d_weight`).

    Parameters
    ----------
    input : ndarray
        As in `konv.conv1d`.
    weight_size : tuple of int
        (K, C // groups, R).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv1d`; `out` has the weight's shape.
    per_sample : bool
        Whether the result has one gradient for each image, along a new first axis, in place of their sum.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `weight_size`, with `per_sample` (N, ...)

    Raises
    ------
    TypeError, ValueError
        As `konv.conv1d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
    >>> konv.grad.conv1d_weight(x, (1, 1, 2), np.ones((1, 1, 3), np.float32))
    array([[[3., 6.]]], dtype=float32)
    """
    return _core.conv1d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace, accumulate, per_sample,
    )  # fmt: skip


def conv2d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv2d` with respect to its input (`torch.nn.grad.conv2d_input`).

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W), (C, H, W), or channels-last.
    weight : ndarray, shape (K, C // groups, R, S)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

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
        threads, max_workspace, accumulate,
    )  # fmt: skip


def conv2d_weight(
    input: Array, weight_size: tuple[int, int, int, int], grad_output: Array,
    stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout2D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv2d` with respect to its weight (`torch.nn.grad.conv2d_weight`).

    The result does not depend on the number of threads: sums are cut by the problem alone and added in order.

    Parameters
    ----------
    input : ndarray
        As in `konv.conv2d`.
    weight_size : tuple of int
        (K, C // groups, R, S).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv2d`; `out` has the weight's shape.
    per_sample : bool
        Whether the result has one gradient for each image, along a new first axis, in place of their sum.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `weight_size`, with `per_sample` (N, ...)

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
        threads, max_workspace, accumulate, per_sample,
    )  # fmt: skip


def conv3d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv3d` with respect to its input (`torch.nn.grad.conv3d_input`).

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W), (C, D, H, W), or channels-last.
    weight : ndarray, shape (K, C // groups, Q, R, S)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv3d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv3d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.ones((1, 1, 1, 1, 2), np.float32)
    >>> konv.grad.conv3d_input((1, 1, 1, 1, 3), w, np.ones((1, 1, 1, 1, 2), np.float32))
    array([[[[[1., 2., 1.]]]]], dtype=float32)
    """
    return _core.conv3d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace, accumulate,
    )  # fmt: skip


def conv3d_weight(
    input: Array, weight_size: tuple[int, int, int, int, int], grad_output: Array,
    stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout3D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv3d` with respect to its weight (`torch.nn.grad.conv3d_weight`).

    Parameters
    ----------
    input : ndarray
        As in `konv.conv3d`.
    weight_size : tuple of int
        (K, C // groups, Q, R, S).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, dilation, groups, padding_mode, layout, algorithm, out, threads, max_workspace
        As in `konv.conv3d`; `out` has the weight's shape.
    per_sample : bool
        Whether the result has one gradient for each image, along a new first axis, in place of their sum.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `weight_size`, with `per_sample` (N, ...)

    Raises
    ------
    TypeError, ValueError
        As `konv.conv3d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 1, 4)
    >>> konv.grad.conv3d_weight(x, (1, 1, 1, 1, 2), np.ones((1, 1, 1, 1, 3), np.float32))
    array([[[[[3., 6.]]]]], dtype=float32)
    """
    return _core.conv3d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout, algorithm, out,
        threads, max_workspace, accumulate, per_sample,
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
