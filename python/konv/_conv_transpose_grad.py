"""Gradients of transposed convolution, one function for each operand."""

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
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = [
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
]


def conv_transpose1d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    accumulate: bool = False, layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose1d` with respect to its input, as PyTorch derives it.

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, L), (C, L), or channels-last.
    weight : ndarray, shape (C, K // groups, R)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose1d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv_transpose1d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.array([[[1, 10]]], np.float32)
    >>> konv.grad.conv_transpose1d_input((1, 1, 2), w, np.ones((1, 1, 4), np.float32), stride=2)
    array([[[11., 11.]]], dtype=float32)
    """
    return _core.conv_transpose1d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, output_padding,
    )  # fmt: skip


def conv_transpose1d_weight(
    input: Array, weight_size: tuple[int, int, int], grad_output: Array,
    stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose1d` with respect to its weight, as PyTorch derives it.

    Parameters
    ----------
    input : ndarray
        As in `konv.conv_transpose1d`.
    weight_size : tuple of int
        (C, K // groups, R).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose1d`; `out` has the weight's shape.
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
        As `konv.conv_transpose1d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([[[1, 2]]], np.float32)
    >>> konv.grad.conv_transpose1d_weight(x, (1, 1, 2), np.ones((1, 1, 4), np.float32), stride=2)
    array([[[3., 3.]]], dtype=float32)
    """
    return _core.conv_transpose1d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, per_sample, output_padding,
    )  # fmt: skip


def conv_transpose2d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    accumulate: bool = False, layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose2d` with respect to its input, as PyTorch derives it.

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, H, W), (C, H, W), or channels-last.
    weight : ndarray, shape (C, K // groups, R, S)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose2d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.ones((1, 1, 2, 2), np.float32)
    >>> konv.grad.conv_transpose2d_input((1, 1, 1, 2), w, np.ones((1, 1, 2, 4), np.float32), stride=2)
    array([[[[4., 4.]]]], dtype=float32)
    """
    return _core.conv_transpose2d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, output_padding,
    )  # fmt: skip


def conv_transpose2d_weight(
    input: Array, weight_size: tuple[int, int, int, int], grad_output: Array,
    stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose2d` with respect to its weight, as PyTorch derives it.

    Parameters
    ----------
    input : ndarray
        As in `konv.conv_transpose2d`.
    weight_size : tuple of int
        (C, K // groups, R, S).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose2d`; `out` has the weight's shape.
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
        As `konv.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([[[[1, 2]]]], np.float32)
    >>> konv.grad.conv_transpose2d_weight(x, (1, 1, 1, 2), np.ones((1, 1, 1, 4), np.float32), stride=(1, 2))
    array([[[[3., 3.]]]], dtype=float32)
    """
    return _core.conv_transpose2d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, per_sample, output_padding,
    )  # fmt: skip


def conv_transpose3d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    accumulate: bool = False, layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose3d` with respect to its input, as PyTorch derives it.

    Parameters
    ----------
    input_size : tuple of int
        The input's shape, in the order of `layout`: (N, C, D, H, W), (C, D, H, W), or channels-last.
    weight : ndarray, shape (C, K // groups, Q, R, S)
    grad_output : ndarray, shape of the forward result
        The same dtype as `weight`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose3d`.
    accumulate : bool
        Whether to add to `out`, which then must be given.

    Returns
    -------
    ndarray, shape `input_size`

    Raises
    ------
    TypeError, ValueError
        As `konv.conv_transpose3d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> w = np.ones((1, 1, 1, 1, 2), np.float32)
    >>> konv.grad.conv_transpose3d_input((1, 1, 1, 1, 2), w, np.ones((1, 1, 1, 1, 4), np.float32), stride=(1, 1, 2))
    array([[[[[2., 2.]]]]], dtype=float32)
    """
    return _core.conv_transpose3d_input(
        input_size, weight, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, output_padding,
    )  # fmt: skip


def conv_transpose3d_weight(
    input: Array, weight_size: tuple[int, int, int, int, int], grad_output: Array,
    stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """Gradient of `konv.conv_transpose3d` with respect to its weight, as PyTorch derives it.

    Parameters
    ----------
    input : ndarray
        As in `konv.conv_transpose3d`.
    weight_size : tuple of int
        (C, K // groups, Q, R, S).
    grad_output : ndarray, shape of the forward result
        The same dtype as `input`.
    stride, padding, output_padding, groups, dilation, layout, algorithm, out, threads, max_workspace
        As in `konv.conv_transpose3d`; `out` has the weight's shape.
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
        As `konv.conv_transpose3d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> x = np.array([[[[[1, 2]]]]], np.float32)
    >>> konv.grad.conv_transpose3d_weight(x, (1, 1, 1, 1, 2), np.ones((1, 1, 1, 1, 3), np.float32))
    array([[[[[3., 3.]]]]], dtype=float32)
    """
    return _core.conv_transpose3d_weight(
        input, weight_size, grad_output, stride, padding, dilation, groups, "zeros", layout, algorithm, out,
        threads, max_workspace, accumulate, per_sample, output_padding,
    )  # fmt: skip
