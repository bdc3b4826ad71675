"""Pooling of arrays on CUDA devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arrays import call

if TYPE_CHECKING:
    from .._types import (
        Convention,
        Layout1D,
        Layout2D,
        Layout3D,
        OutputSize1D,
        OutputSize2D,
        OutputSize3D,
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
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
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

Array = Any  # of NumPy, or of a library whose arrays are on a device


def max_pool1d(
    input: Array, kernel_size: Size1D, stride: Size1D | None = None, padding: PoolPadding1D = 0,
    dilation: Size1D = 1, ceil_mode: bool = False, return_indices: bool = False, *, convention: Convention = "torch",
    layout: Layout1D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.max_pool1d` on a CUDA device."""
    return call(
        "max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout,
        out, threads, max_workspace, out=out,
    )  # fmt: skip


def max_pool2d(
    input: Array, kernel_size: Size2D, stride: Size2D | None = None, padding: Padding2D = 0, dilation: Size2D = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, convention: Convention = "torch",
    layout: Layout2D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.max_pool2d` on a CUDA device."""
    return call(
        "max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout,
        out, threads, max_workspace, out=out,
    )  # fmt: skip


def max_pool3d(
    input: Array, kernel_size: Size3D, stride: Size3D | None = None, padding: Padding3D = 0, dilation: Size3D = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, convention: Convention = "torch",
    layout: Layout3D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.max_pool3d` on a CUDA device."""
    return call(
        "max_pool3d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, convention, layout,
        out, threads, max_workspace, out=out,
    )  # fmt: skip


def avg_pool1d(
    input: Array, kernel_size: Size1D, stride: Size1D | None = None, padding: PoolPadding1D = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None, *,
    convention: Convention = "torch", layout: Layout1D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.avg_pool1d` on a CUDA device."""
    return call(
        "avg_pool1d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def avg_pool2d(
    input: Array, kernel_size: Size2D, stride: Size2D | None = None, padding: Padding2D = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, convention: Convention = "torch",
    layout: Layout2D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.avg_pool2d` on a CUDA device."""
    return call(
        "avg_pool2d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def avg_pool3d(
    input: Array, kernel_size: Size3D, stride: Size3D | None = None, padding: Padding3D = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None, *, convention: Convention = "torch",
    layout: Layout3D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.avg_pool3d` on a CUDA device."""
    return call(
        "avg_pool3d", input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override,
        convention, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def lp_pool1d(
    input: Array, norm_type: float, kernel_size: Size1D, stride: Size1D | None = None, ceil_mode: bool = False, *,
    layout: Layout1D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.lp_pool1d` on a CUDA device."""
    return call(
        "lp_pool1d", input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def lp_pool2d(
    input: Array, norm_type: float, kernel_size: Size2D, stride: Size2D | None = None, ceil_mode: bool = False, *,
    layout: Layout2D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.lp_pool2d` on a CUDA device."""
    return call(
        "lp_pool2d", input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def lp_pool3d(
    input: Array, norm_type: float, kernel_size: Size3D, stride: Size3D | None = None, ceil_mode: bool = False, *,
    layout: Layout3D | None = None, out: Array | None = None, threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.lp_pool3d` on a CUDA device."""
    return call(
        "lp_pool3d", input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def adaptive_avg_pool1d(
    input: Array, output_size: OutputSize1D, *, layout: Layout1D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.adaptive_avg_pool1d` on a CUDA device."""
    return call("adaptive_avg_pool1d", input, output_size, layout, out, threads, max_workspace, out=out)


def adaptive_avg_pool2d(
    input: Array, output_size: OutputSize2D, *, layout: Layout2D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.adaptive_avg_pool2d` on a CUDA device."""
    return call("adaptive_avg_pool2d", input, output_size, layout, out, threads, max_workspace, out=out)


def adaptive_avg_pool3d(
    input: Array, output_size: OutputSize3D, *, layout: Layout3D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.adaptive_avg_pool3d` on a CUDA device."""
    return call("adaptive_avg_pool3d", input, output_size, layout, out, threads, max_workspace, out=out)


def adaptive_max_pool1d(
    input: Array, output_size: OutputSize1D, return_indices: bool = False, *, layout: Layout1D | None = None,
    out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.adaptive_max_pool1d` on a CUDA device."""
    return call(
        "adaptive_max_pool1d", input, output_size, return_indices, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def adaptive_max_pool2d(
    input: Array, output_size: OutputSize2D, return_indices: bool = False, *, layout: Layout2D | None = None,
    out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.adaptive_max_pool2d` on a CUDA device."""
    return call(
        "adaptive_max_pool2d", input, output_size, return_indices, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def adaptive_max_pool3d(
    input: Array, output_size: OutputSize3D, return_indices: bool = False, *, layout: Layout3D | None = None,
    out: Array | None = None, threads: int | None = None, max_workspace: int | None = None,
) -> Any:  # fmt: skip
    """`konv.adaptive_max_pool3d` on a CUDA device."""
    return call(
        "adaptive_max_pool3d", input, output_size, return_indices, layout, out, threads, max_workspace, out=out,
    )  # fmt: skip


def max_unpool1d(
    input: Array, indices: Array, kernel_size: Size1D, stride: Size1D | None = None, padding: Size1D = 0,
    output_size: tuple[int, ...] | None = None, *, layout: Layout1D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.max_unpool1d` on a CUDA device."""
    return call(
        "max_unpool1d", input, indices, kernel_size, stride, padding, output_size, layout, out, threads,
        max_workspace, out=out,
    )  # fmt: skip


def max_unpool2d(
    input: Array, indices: Array, kernel_size: Size2D, stride: Size2D | None = None, padding: Size2D = 0,
    output_size: tuple[int, ...] | None = None, *, layout: Layout2D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.max_unpool2d` on a CUDA device."""
    return call(
        "max_unpool2d", input, indices, kernel_size, stride, padding, output_size, layout, out, threads,
        max_workspace, out=out,
    )  # fmt: skip


def max_unpool3d(
    input: Array, indices: Array, kernel_size: Size3D, stride: Size3D | None = None, padding: Size3D = 0,
    output_size: tuple[int, ...] | None = None, *, layout: Layout3D | None = None, out: Array | None = None,
    threads: int | None = None, max_workspace: int | None = None,
) -> Array:  # fmt: skip
    """`konv.max_unpool3d` on a CUDA device."""
    return call(
        "max_unpool3d", input, indices, kernel_size, stride, padding, output_size, layout, out, threads,
        max_workspace, out=out,
    )  # fmt: skip
