"""Convolution of arrays on CUDA devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arrays import call

if TYPE_CHECKING:
    from .._types import (
        Activation,
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

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Array = Any  # of NumPy, or of a library whose arrays are on a device


def conv1d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout1D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv1d` on a CUDA device."""
    return call(
        "conv1d", input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual,
        algorithm, out, threads, max_workspace, out=out,
    )  # fmt: skip


def conv2d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout2D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv2d` on a CUDA device."""
    return call(
        "conv2d", input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual,
        algorithm, out, threads, max_workspace, out=out,
    )  # fmt: skip


def conv3d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    padding_mode: PaddingMode = "zeros", layout: Layout3D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv3d` on a CUDA device."""
    return call(
        "conv3d", input, weight, bias, stride, padding, dilation, groups, padding_mode, layout, activation, residual,
        algorithm, out, threads, max_workspace, out=out,
    )  # fmt: skip


def conv_transpose1d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    layout: Layout1D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv_transpose1d` on a CUDA device."""
    return call(
        "conv_transpose1d", input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation,
        residual, algorithm, out, threads, max_workspace, output_padding, out=out,
    )  # fmt: skip


def conv_transpose2d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    layout: Layout2D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv_transpose2d` on a CUDA device."""
    return call(
        "conv_transpose2d", input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation,
        residual, algorithm, out, threads, max_workspace, output_padding, out=out,
    )  # fmt: skip


def conv_transpose3d(
    input: Array, weight: Array, bias: Array | None = None, stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    layout: Layout3D | None = None, activation: Activation | None = None,
    residual: Array | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.conv_transpose3d` on a CUDA device."""
    return call(
        "conv_transpose3d", input, weight, bias, stride, padding, dilation, groups, "zeros", layout, activation,
        residual, algorithm, out, threads, max_workspace, output_padding, out=out,
    )  # fmt: skip
