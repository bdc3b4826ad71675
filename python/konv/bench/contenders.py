"""Who runs in a benchmark, and how each computes a convolution or one of its gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import konv
from konv.bench.layers import Layer

Array = NDArray[np.float32]
Run = Callable[[], Any]

DIRECTIONS = ("forward", "input", "weight")

# A matrix of im2col larger than this is left out: it would time the machine's memory, if it fits.
LARGEST_IM2COL = 1 << 30


@dataclass(frozen=True)
class Problem:
    """A layer, the direction asked for, and arrays of the layer's shapes."""

    layer: Layer
    direction: str
    x: Array
    w: Array
    gy: Array

    @classmethod
    def random(cls, layer: Layer, direction: str, seed: int = 0) -> Problem:
        """Fill the arrays with normal numbers, the weight scaled as networks do."""
        rng = np.random.default_rng(seed)
        x, w, gy = (
            rng.standard_normal(shape, np.float32)
            for shape in (layer.input_shape, layer.weight_shape, layer.output_shape)
        )
        w /= np.float32(np.sqrt(w[0].size))
        return cls(layer, direction, x, w, gy)


class Contender(Protocol):
    """Something that can be timed."""

    name: str

    def prepare(self, problem: Problem) -> Run | None:
        """Return a call that computes the problem, or None where the contender is left out."""


class Konv:
    """The functional call on NCHW arrays."""

    name = "konv"

    def __init__(self, threads: int) -> None:
        konv.set_num_threads(threads)

    def prepare(self, problem: Problem) -> Run:
        """See Contender."""
        layer, x, w, gy = problem.layer, problem.x, problem.w, problem.gy
        options: dict[str, Any] = {
            "stride": layer.stride,
            "padding": layer.pad,
            "dilation": layer.dilation,
            "groups": layer.groups,
        }
        if problem.direction == "forward":
            return lambda: konv.conv2d(x, w, None, **options)
        if problem.direction == "input":
            return lambda: konv.grad.conv2d_input(x.shape, w, gy, **options)
        return lambda: konv.grad.conv2d_weight(x, w.shape, gy, **options)


def im2col(x: Array, layer: Layer) -> Array:
    """Copy the windows of each group into a matrix: (N, groups, C / groups * R * S, pixels)."""
    pad, dilation = layer.pad, layer.dilation
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    span = dilation * (layer.R - 1) + 1, dilation * (layer.S - 1) + 1
    windows = sliding_window_view(padded, span, (2, 3))
    step = layer.stride
    windows = windows[:, :, ::step, ::step, ::dilation, ::dilation].transpose(0, 1, 4, 5, 2, 3)
    return windows.reshape(layer.N, layer.groups, -1, windows.shape[4] * windows.shape[5])


def col2im(columns: Array, layer: Layer) -> Array:
    """Add the windows of `im2col` up where they came from."""
    n, _, height, width = layer.output_shape
    pad, step = layer.pad, layer.stride
    columns = columns.reshape(n, layer.C, layer.R, layer.S, height, width)
    padded = np.zeros((n, layer.C, layer.H + 2 * pad, layer.W + 2 * pad), columns.dtype)
    for r in range(layer.R):
        for s in range(layer.S):
            top, left = r * layer.dilation, s * layer.dilation
            padded[:, :, top : top + height * step : step, left : left + width * step : step] += columns[:, :, r, s]
    return padded[:, :, pad : pad + layer.H, pad : pad + layer.W]


class NumpyIm2col:
    """What one writes with NumPy alone: im2col, then a matrix product by BLAS."""

    name = "numpy"

    def prepare(self, problem: Problem) -> Run | None:
        """See Contender."""
        layer, x, gy = problem.layer, problem.x, problem.gy
        n, k, height, width = layer.output_shape
        taps = layer.C // layer.groups * layer.R * layer.S
        if 4 * n * layer.groups * taps * height * width > LARGEST_IM2COL:
            return None
        w = problem.w.reshape(layer.groups, k // layer.groups, taps)
        gy = gy.reshape(n, layer.groups, k // layer.groups, height * width)
        if problem.direction == "forward":
            return lambda: (w @ im2col(x, layer)).reshape(layer.output_shape)
        if problem.direction == "input":
            return lambda: col2im(w.swapaxes(1, 2) @ gy, layer)
        return lambda: (gy @ im2col(x, layer).swapaxes(2, 3)).sum(0).reshape(layer.weight_shape)


class Torch:
    """PyTorch, in its default memory format or in channels_last."""

    def __init__(self, threads: int, channels_last: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.name = "torch channels_last" if channels_last else "torch"

    def prepare(self, problem: Problem) -> Run:
        """See Contender."""
        torch, layer = self.torch, problem.layer
        x, w, gy = (
            torch.from_numpy(a).contiguous(memory_format=self.format) for a in (problem.x, problem.w, problem.gy)
        )
        stride, pad, dilation = [layer.stride] * 2, [layer.pad] * 2, [layer.dilation] * 2
        if problem.direction == "forward":

            def forward() -> Any:
                with torch.inference_mode():
                    return torch.nn.functional.conv2d(x, w, None, stride, pad, dilation, layer.groups)

            return forward
        mask = [problem.direction == "input", problem.direction == "weight", False]
        place = mask.index(True)
        backward = torch.ops.aten.convolution_backward
        return lambda: backward(gy, x, w, None, stride, pad, dilation, False, [0, 0], layer.groups, mask)[place]


def contenders(threads: int) -> list[Contender]:
    """Everyone who is installed, konv first."""
    found: list[Contender] = [Konv(threads), NumpyIm2col()]
    with suppress(ImportError):
        found += [Torch(threads, False), Torch(threads, True)]
    return found


def blas_limit(threads: int) -> AbstractContextManager[Any] | None:
    """Hold NumPy's BLAS to `threads`; None where nothing that could do it is installed."""
    try:
        import threadpoolctl
    except ImportError:
        return nullcontext() if threads == konv.get_num_threads() else None
    limit: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads, "blas")
    return limit
