"""Gradients of convolution on CUDA devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arrays import call

if TYPE_CHECKING:
    from .._types import (
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
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
]

Array = Any  # of NumPy, or of a library whose arrays are on a device


def conv1d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv1d_input` on a CUDA device."""
    return call(
        "conv1d_input", input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, out=out,
    )  # fmt: skip


def conv1d_weight(
    input: Array, weight_size: tuple[int, int, int], grad_output: Array,
    stride: Size1D = 1, padding: Padding1D = 0,
    dilation: Size1D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout1D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv1d_weight` on a CUDA device."""
    return call(
        "conv1d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, per_sample, out=out,
    )  # fmt: skip


def conv2d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv2d_input` on a CUDA device."""
    return call(
        "conv2d_input", input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, out=out,
    )  # fmt: skip


def conv2d_weight(
    input: Array, weight_size: tuple[int, int, int, int], grad_output: Array,
    stride: Size2D = 1, padding: Padding2D = 0,
    dilation: Size2D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout2D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv2d_weight` on a CUDA device."""
    return call(
        "conv2d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, per_sample, out=out,
    )  # fmt: skip


def conv3d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    accumulate: bool = False, padding_mode: PaddingMode = "zeros", layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv3d_input` on a CUDA device."""
    return call(
        "conv3d_input", input_size, weight, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, out=out,
    )  # fmt: skip


def conv3d_weight(
    input: Array, weight_size: tuple[int, int, int, int, int], grad_output: Array,
    stride: Size3D = 1, padding: Padding3D = 0,
    dilation: Size3D = 1, groups: int = 1, *,
    per_sample: bool = False, accumulate: bool = False, padding_mode: PaddingMode = "zeros",
    layout: Layout3D | None = None, algorithm: str = "auto", out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv3d_weight` on a CUDA device."""
    return call(
        "conv3d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, padding_mode, layout,
        algorithm, out, threads, max_workspace, accumulate, per_sample, out=out,
    )  # fmt: skip


def conv_bias(
    grad_output: Array,
    *,
    layout: str | None = None,
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """`konv.grad.conv_bias` on a CUDA device."""
    return call("conv_bias", grad_output, layout, out, threads, out=out)


def conv_transpose1d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    accumulate: bool = False, layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose1d_input` on a CUDA device."""
    return call(
        "conv_transpose1d_input", input_size, weight, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, output_padding, out=out,
    )  # fmt: skip


def conv_transpose1d_weight(
    input: Array, weight_size: tuple[int, int, int], grad_output: Array,
    stride: Size1D = 1, padding: Padding1D = 0,
    output_padding: Size1D = 0, groups: int = 1, dilation: Size1D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout1D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose1d_weight` on a CUDA device."""
    return call(
        "conv_transpose1d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, per_sample, output_padding, out=out,
    )  # fmt: skip


def conv_transpose2d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    accumulate: bool = False, layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose2d_input` on a CUDA device."""
    return call(
        "conv_transpose2d_input", input_size, weight, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, output_padding, out=out,
    )  # fmt: skip


def conv_transpose2d_weight(
    input: Array, weight_size: tuple[int, int, int, int], grad_output: Array,
    stride: Size2D = 1, padding: Padding2D = 0,
    output_padding: Size2D = 0, groups: int = 1, dilation: Size2D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout2D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose2d_weight` on a CUDA device."""
    return call(
        "conv_transpose2d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, per_sample, output_padding, out=out,
    )  # fmt: skip


def conv_transpose3d_input(
    input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    accumulate: bool = False, layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose3d_input` on a CUDA device."""
    return call(
        "conv_transpose3d_input", input_size, weight, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, output_padding, out=out,
    )  # fmt: skip


def conv_transpose3d_weight(
    input: Array, weight_size: tuple[int, int, int, int, int], grad_output: Array,
    stride: Size3D = 1, padding: Padding3D = 0,
    output_padding: Size3D = 0, groups: int = 1, dilation: Size3D = 1, *,
    per_sample: bool = False, accumulate: bool = False, layout: Layout3D | None = None,
    algorithm: str = "auto", out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.conv_transpose3d_weight` on a CUDA device."""
    return call(
        "conv_transpose3d_weight", input, weight_size, grad_output, stride, padding, dilation, groups, "zeros",
        layout, algorithm, out, threads, max_workspace, accumulate, per_sample, output_padding, out=out,
    )  # fmt: skip
