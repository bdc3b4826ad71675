"""Convolutions prepared for many inputs: their weights are packed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core
from ._core import ConvPlan

if TYPE_CHECKING:
    from ._types import (
        Activation,
        Array,
        DType,
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
    "ConvPlan",
    "plan_conv1d",
    "plan_conv2d",
    "plan_conv3d",
    "plan_conv_transpose1d",
    "plan_conv_transpose2d",
    "plan_conv_transpose3d",
]


def plan_conv1d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size1D = 1,
    padding: Padding1D = 0, dilation: Size1D = 1, groups: int = 1,
    padding_mode: PaddingMode = "zeros", layout: Layout1D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare `konv.conv1d` for many inputs: signals of the shape `input_shape`.

    Parameters
    ----------
    weight : ndarray, shape (K, C // groups, R)
    bias : ndarray, shape (K,), optional
    input_shape, dtype
        As in `konv.plan_conv2d`.
    stride, padding, dilation, groups, padding_mode, layout, activation, algorithm, threads,
    max_workspace
        As in `konv.conv1d`.

    Returns
    -------
    ConvPlan

    Raises
    ------
    TypeError, ValueError
        As `konv.plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> plan = konv.plan_conv1d(np.ones((1, 1, 3), np.float32), input_shape=(None, 1, None))
    >>> plan(np.ones((2, 1, 8), np.float32)).shape
    (2, 1, 6)
    """
    return _core.plan_conv1d(
        weight, bias, input_shape, stride, padding, dilation, groups, padding_mode, layout, activation, algorithm,
        dtype, threads, max_workspace, 0,
    )  # fmt: skip


def plan_conv2d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size2D = 1,
    padding: Padding2D = 0, dilation: Size2D = 1, groups: int = 1,
    padding_mode: PaddingMode = "zeros", layout: Layout2D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare a two-dimensional convolution for many inputs.

    The plan keeps a private copy of the weights in the form that its algorithm wants, so that no call packs them
    again, and algorithms that pay off only then come into question. Changes of the arrays `weight` and `bias` have no
    effect on it until `ConvPlan.update`.

    Parameters
    ----------
    weight : ndarray, shape (K, C // groups, R, S)
    bias : ndarray, shape (K,), optional
    input_shape : tuple of int or None
        The shape of every input, in the order of `layout`, with a batch or without. None leaves a size open, but for
        the channels: weights are then packed when a call first needs a form of them, usually in the first call alone.
    stride, padding, dilation, groups, padding_mode, layout, activation, algorithm, threads, max_workspace
        As in `konv.conv2d`. What is not given is as `konv.config` and `konv.set_num_threads` say now, for good.
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        Of inputs and results. By default that of `weight`; other weights are converted.

    Returns
    -------
    ConvPlan
        Called as ``plan(input, *, residual=None, out=None)`` it returns what ``konv.conv2d(input, weight, bias, ...)``
        would, and raises as that does. Any number of threads may call it at once.

        ``plan.update(weight, bias)`` copies other weights of the same shapes; calls that run meanwhile in other
        threads finish with the earlier ones. ``plan.algorithm`` and ``plan.workspace_bytes`` (of scratch) tell of the
        latest call, ``plan.weight_bytes`` how much the plan holds.

    Raises
    ------
    TypeError
        An argument is not an array, or a dtype is unsupported.
    ValueError
        Shapes do not fit, or a size is out of range.

    Notes
    -----
    A plan without open sizes keeps only packed weights, where its algorithm needs no others. It is made for contiguous
    inputs and results: those with other strides are copied where they would need the weights packed differently.

    Examples
    --------
    >>> import numpy as np, konv
    >>> sobel = np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], np.float32)
    >>> edges = konv.plan_conv2d(sobel, input_shape=(None, 1, None, None), padding="same", activation="relu")
    >>> edges(np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3))
    array([[[[1., 0., 0.],
             [2., 0., 0.],
             [1., 2., 0.]]]], dtype=float32)
    """
    return _core.plan_conv2d(
        weight, bias, input_shape, stride, padding, dilation, groups, padding_mode, layout, activation, algorithm,
        dtype, threads, max_workspace, 0,
    )  # fmt: skip


def plan_conv3d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size3D = 1,
    padding: Padding3D = 0, dilation: Size3D = 1, groups: int = 1,
    padding_mode: PaddingMode = "zeros", layout: Layout3D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare `konv.conv3d` for many inputs: volumes of the shape `input_shape`.

    Parameters
    ----------
    weight : ndarray, shape (K, C // groups, Q, R, S)
    bias : ndarray, shape (K,), optional
    input_shape, dtype
        As in `konv.plan_conv2d`.
    stride, padding, dilation, groups, padding_mode, layout, activation, algorithm, threads,
    max_workspace
        As in `konv.conv3d`.

    Returns
    -------
    ConvPlan

    Raises
    ------
    TypeError, ValueError
        As `konv.plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> plan = konv.plan_conv3d(np.ones((1, 1, 3, 3, 3), np.float32), input_shape=(None, 1, None, None, None))
    >>> plan(np.ones((2, 1, 8, 8, 8), np.float32)).shape
    (2, 1, 6, 6, 6)
    """
    return _core.plan_conv3d(
        weight, bias, input_shape, stride, padding, dilation, groups, padding_mode, layout, activation, algorithm,
        dtype, threads, max_workspace, 0,
    )  # fmt: skip


def plan_conv_transpose1d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size1D = 1,
    padding: Padding1D = 0, output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1,
    layout: Layout1D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare `konv.conv_transpose1d` for many inputs: signals of the shape `input_shape`.

    Parameters
    ----------
    weight : ndarray, shape (C, K // groups, R)
    bias : ndarray, shape (K,), optional
    input_shape, dtype
        As in `konv.plan_conv2d`.
    stride, padding, output_padding, groups, dilation, layout, activation, algorithm, threads,
    max_workspace
        As in `konv.conv_transpose1d`.

    Returns
    -------
    ConvPlan

    Raises
    ------
    TypeError, ValueError
        As `konv.plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> plan = konv.plan_conv_transpose1d(np.ones((1, 1, 3), np.float32), input_shape=(None, 1, None))
    >>> plan(np.ones((2, 1, 8), np.float32)).shape
    (2, 1, 10)
    """
    return _core.plan_conv_transpose1d(
        weight, bias, input_shape, stride, padding, dilation, groups, "zeros", layout, activation, algorithm,
        dtype, threads, max_workspace, output_padding,
    )  # fmt: skip


def plan_conv_transpose2d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size2D = 1,
    padding: Padding2D = 0, output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1,
    layout: Layout2D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare `konv.conv_transpose2d` for many inputs: images of the shape `input_shape`.

    Parameters
    ----------
    weight : ndarray, shape (C, K // groups, R, S)
    bias : ndarray, shape (K,), optional
    input_shape, dtype
        As in `konv.plan_conv2d`.
    stride, padding, output_padding, groups, dilation, layout, activation, algorithm, threads,
    max_workspace
        As in `konv.conv_transpose2d`.

    Returns
    -------
    ConvPlan

    Raises
    ------
    TypeError, ValueError
        As `konv.plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> plan = konv.plan_conv_transpose2d(np.ones((1, 1, 3, 3), np.float32), input_shape=(None, 1, None, None))
    >>> plan(np.ones((2, 1, 8, 8), np.float32)).shape
    (2, 1, 10, 10)
    """
    return _core.plan_conv_transpose2d(
        weight, bias, input_shape, stride, padding, dilation, groups, "zeros", layout, activation, algorithm,
        dtype, threads, max_workspace, output_padding,
    )  # fmt: skip


def plan_conv_transpose3d(
    weight: Array, bias: Array | None = None, *, input_shape: tuple[int | None, ...], stride: Size3D = 1,
    padding: Padding3D = 0, output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1,
    layout: Layout3D | None = None, activation: Activation | None = None,
    algorithm: str = "auto", dtype: DType | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> ConvPlan:  # fmt: skip
    """Prepare `konv.conv_transpose3d` for many inputs: volumes of the shape `input_shape`.

    Parameters
    ----------
    weight : ndarray, shape (C, K // groups, Q, R, S)
    bias : ndarray, shape (K,), optional
    input_shape, dtype
        As in `konv.plan_conv2d`.
    stride, padding, output_padding, groups, dilation, layout, activation, algorithm, threads,
    max_workspace
        As in `konv.conv_transpose3d`.

    Returns
    -------
    ConvPlan

    Raises
    ------
    TypeError, ValueError
        As `konv.plan_conv2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> plan = konv.plan_conv_transpose3d(np.ones((1, 1, 3, 3, 3), np.float32), input_shape=(None, 1, None, None, None))
    >>> plan(np.ones((2, 1, 8, 8, 8), np.float32)).shape
    (2, 1, 10, 10, 10)
    """
    return _core.plan_conv_transpose3d(
        weight, bias, input_shape, stride, padding, dilation, groups, "zeros", layout, activation, algorithm,
        dtype, threads, max_workspace, output_padding,
    )  # fmt: skip
