"""Gradients of pooling on CUDA devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._arrays import call

if TYPE_CHECKING:
    from .._types import (
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


def adaptive_max_pool1d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout1D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_max_pool1d` on a CUDA device."""
    return call("max_pool1d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def adaptive_max_pool2d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout2D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_max_pool2d` on a CUDA device."""
    return call("max_pool2d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def adaptive_max_pool3d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout3D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_max_pool3d` on a CUDA device."""
    return call("max_pool3d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_pool1d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout1D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_pool1d` on a CUDA device."""
    return call("max_pool1d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_pool2d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout2D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_pool2d` on a CUDA device."""
    return call("max_pool2d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_pool3d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout3D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_pool3d` on a CUDA device."""
    return call("max_pool3d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_unpool1d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout1D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_unpool1d` on a CUDA device."""
    return call("max_unpool1d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_unpool2d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout2D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_unpool2d` on a CUDA device."""
    return call("max_unpool2d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def max_unpool3d(
    grad_output: Array, indices: Array, input_size: tuple[int, ...], *, layout: Layout3D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.max_unpool3d` on a CUDA device."""
    return call("max_unpool3d_grad", grad_output, indices, input_size, layout, out, threads, out=out)


def adaptive_avg_pool1d(
    grad_output: Array, input_size: tuple[int, ...], *, layout: Layout1D | None = None, out: Array | None = None,
    threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_avg_pool1d` on a CUDA device."""
    return call("adaptive_avg_pool1d_grad", grad_output, input_size, layout, out, threads, out=out)


def adaptive_avg_pool2d(
    grad_output: Array, input_size: tuple[int, ...], *, layout: Layout2D | None = None, out: Array | None = None,
    threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_avg_pool2d` on a CUDA device."""
    return call("adaptive_avg_pool2d_grad", grad_output, input_size, layout, out, threads, out=out)


def adaptive_avg_pool3d(
    grad_output: Array, input_size: tuple[int, ...], *, layout: Layout3D | None = None, out: Array | None = None,
    threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.adaptive_avg_pool3d` on a CUDA device."""
    return call("adaptive_avg_pool3d_grad", grad_output, input_size, layout, out, threads, out=out)


def avg_pool1d(
    grad_output: Array, input_size: tuple[int, ...], kernel_size: Size1D, stride: Size1D | None = None,
    padding: PoolPadding1D = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None, *, convention: Convention = "torch", layout: Layout1D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.avg_pool1d` on a CUDA device."""
    return call(
        "avg_pool1d_grad", grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override, convention, layout, out, threads, out=out,
    )  # fmt: skip


def avg_pool2d(
    grad_output: Array, input_size: tuple[int, ...], kernel_size: Size2D, stride: Size2D | None = None,
    padding: Padding2D = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None, *, convention: Convention = "torch", layout: Layout2D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.avg_pool2d` on a CUDA device."""
    return call(
        "avg_pool2d_grad", grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override, convention, layout, out, threads, out=out,
    )  # fmt: skip


def avg_pool3d(
    grad_output: Array, input_size: tuple[int, ...], kernel_size: Size3D, stride: Size3D | None = None,
    padding: Padding3D = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None, *, convention: Convention = "torch", layout: Layout3D | None = None,
    out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.avg_pool3d` on a CUDA device."""
    return call(
        "avg_pool3d_grad", grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override, convention, layout, out, threads, out=out,
    )  # fmt: skip


def lp_pool1d(
    grad_output: Array, input: Array, norm_type: float, kernel_size: Size1D, stride: Size1D | None = None,
    ceil_mode: bool = False, *, layout: Layout1D | None = None, out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.lp_pool1d` on a CUDA device."""
    return call(
        "lp_pool1d_grad", grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads,
        out=out,
    )  # fmt: skip


def lp_pool2d(
    grad_output: Array, input: Array, norm_type: float, kernel_size: Size2D, stride: Size2D | None = None,
    ceil_mode: bool = False, *, layout: Layout2D | None = None, out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.lp_pool2d` on a CUDA device."""
    return call(
        "lp_pool2d_grad", grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads,
        out=out,
    )  # fmt: skip


def lp_pool3d(
    grad_output: Array, input: Array, norm_type: float, kernel_size: Size3D, stride: Size3D | None = None,
    ceil_mode: bool = False, *, layout: Layout3D | None = None, out: Array | None = None, threads: int | None = None,
) -> Array:  # fmt: skip
    """`konv.grad.lp_pool3d` on a CUDA device."""
    return call(
        "lp_pool3d_grad", grad_output, input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads,
        out=out,
    )  # fmt: skip
