"""Who computes a case: konv, and PyTorch on channels-last and on channels-first memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

import konv

from .cases import Case
from .machines import TORCH_DTYPES, Machine

Call = Callable[[], Any]

KONV = "konv"
PEERS = ("torch", "torch_first", "torch_fused")


@dataclass(frozen=True)
class Arrays:
    """The operands of a case, of normal numbers, on the machine's device."""

    x: Any
    w: Any
    b: Any
    gy: Any

    @classmethod
    def random(cls, case: Case, machine: Machine) -> Arrays:
        """Draw them, the weight scaled as networks do."""
        layer, generator = case.layer, torch.Generator(machine.device).manual_seed(0)

        def draw(*shape: int, scale: float = 1.0) -> Any:
            drawn = torch.randn(*shape, generator=generator, device=machine.device) * scale
            return drawn.to(TORCH_DTYPES[case.dtype])

        _, c, r, s = layer.weight_shape
        w = draw(*layer.weight_shape, scale=(c * r * s) ** -0.5)
        return cls(draw(*layer.input_shape), w, draw(layer.K), draw(*layer.output_shape))

    def channels_last(self) -> Arrays:
        """The same numbers, with channels innermost in memory."""
        x, w, gy = (t.contiguous(memory_format=torch.channels_last) for t in (self.x, self.w, self.gy))
        return Arrays(x, w, self.b, gy)

    def exact(self) -> Arrays:
        """The same numbers as float64."""
        return Arrays(*(t.double() for t in (self.x, self.w, self.b, self.gy)))


def _gradient(case: Case, a: Arrays, wanted: list[bool]) -> Call:
    layer = case.layer
    stride, dilation = [layer.stride] * 2, [layer.dilation] * 2
    backward = torch.ops.aten.convolution_backward
    at = wanted.index(True)

    def run() -> Any:
        return backward(
            a.gy, a.x, a.w, None, stride, list(layer.pad), dilation, False, [0, 0], layer.groups, wanted
        )[at]  # fmt: skip

    return run


def with_torch(case: Case, a: Arrays) -> Call:
    """cuDNN's convolutions, as PyTorch calls them; poolings, and some depthwise layers, are PyTorch's own."""
    layer, aten = case.layer, torch.ops.aten
    window = ((layer.R, layer.S), (layer.stride,) * 2, layer.pad)
    options = (layer.stride, layer.pad, layer.dilation, layer.groups)
    if case.operation == "input":
        return _gradient(case, a, [True, False, False])
    if case.operation == "weight":
        return _gradient(case, a, [False, True, False])
    if case.operation == "forward":
        return lambda: functional.conv2d(a.x, a.w, None, *options)
    if case.operation == "fused":
        return lambda: functional.conv2d(a.x, a.w, a.b, *options).relu_()
    if case.operation == "pool":
        if case.kind == "global":
            return lambda: functional.adaptive_avg_pool2d(a.x, 1)
        pool = functional.max_pool2d if case.kind == "max" else functional.avg_pool2d
        return lambda: pool(a.x, *window)
    if case.kind == "global":
        return lambda: aten._adaptive_avg_pool2d_backward(a.gy, a.x)
    if case.kind == "avg":
        return lambda: aten.avg_pool2d_backward(a.gy, a.x, *window, False, True, None)
    _, index = functional.max_pool2d(a.x, *window, return_indices=True)
    return lambda: aten.max_pool2d_with_indices_backward(a.gy, a.x, *window, (1, 1), False, index)


def with_konv(case: Case, a: Arrays, machine: Machine) -> Call:
    """konv.cuda on the same memory."""
    layer, cuda = case.layer, konv.cuda
    x, w, b, gy = map(machine.own, (a.x, a.w, a.b, a.gy))
    size = layer.input_shape
    window = ((layer.R, layer.S), layer.stride, layer.pad)
    options = (layer.stride, layer.pad, layer.dilation, layer.groups)
    if case.operation == "input":
        return lambda: cuda.grad.conv2d_input(size, w, gy, *options)
    if case.operation == "weight":
        return lambda: cuda.grad.conv2d_weight(x, layer.weight_shape, gy, *options)
    if case.operation == "forward":
        return lambda: cuda.conv2d(x, w, None, *options)
    if case.operation == "fused":
        return lambda: cuda.conv2d(x, w, b, *options, activation="relu")
    gradient: Any = cuda.grad
    pooling: Any = cuda
    if case.operation == "pool":
        if case.kind == "global":
            return lambda: pooling.adaptive_avg_pool2d(x, 1)
        pool = pooling.max_pool2d if case.kind == "max" else pooling.avg_pool2d
        return lambda: pool(x, *window)
    if case.kind == "global":
        return lambda: gradient.adaptive_avg_pool2d(gy, size)
    if case.kind == "avg":
        return lambda: gradient.avg_pool2d(gy, size, *window)
    _, index = pooling.max_pool2d(x, *window, return_indices=True)
    return lambda: gradient.max_pool2d(gy, index, size)


def calls(case: Case, a: Arrays, machine: Machine) -> dict[str, Callable[[], Call]]:
    """How to prepare each contender that applies; the first is konv, on the memory of "torch"."""
    last = a.channels_last()
    found: dict[str, Callable[[], Call]] = {
        KONV: lambda: with_konv(case, last, machine),
        "torch": lambda: with_torch(case, last),
        "torch_first": lambda: with_torch(case, a),
    }
    if case.operation == "fused" and machine.device == "cuda":
        layer = case.layer
        pairs = ([layer.stride] * 2, list(layer.pad), [layer.dilation] * 2, layer.groups)
        found["torch_fused"] = lambda: lambda: torch.cudnn_convolution_relu(last.x, last.w, last.b, *pairs)
    return found


def truth(case: Case, a: Arrays) -> Any:
    """The result in float64, of the same operands."""
    return with_torch(case, a.exact())()
