"""Convolutions of one to three dimensions in all directions, transposed ones, integers, plans and streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.cases import ALGORITHMS
from tests.convolution import pad_sizes
from tests.fuzz import features
from tests.fuzz.draw import Draw
from tests.fuzz.trial import Expected, Function, Trial, as_torch, gradient, linear
from tests.reference import Array, Pair

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
FORCED = tuple(name for name in ALGORITHMS if name != "implicit_gemm_bf16")
LARGEST = {1: (60, 9), 2: (18, 5), 3: (8, 3)}  # image and kernel, by the number of dimensions
ACTIVATIONS: dict[Any, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    ("leaky_relu", 0.3): lambda y: F.leaky_relu(y, 0.3),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda y: F.gelu(y, approximate="tanh"),
    "hardswish": F.hardswish,
}
SHARP = ("relu", "relu6", "leaky_relu", ("leaky_relu", 0.3))


@dataclass(frozen=True)
class Geometry:
    """Sizes of a convolution, and its padding both as it is passed and in pairs."""

    n: int
    c: int
    k: int
    groups: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Any
    pairs: tuple[Pair, ...]

    @property
    def taps(self) -> int:
        return int(np.prod(self.kernel))

    @property
    def flat(self) -> list[int]:
        """The padding as torch.nn.functional.pad wants it: the last dimension first."""
        return [amount for pair in reversed(self.pairs) for amount in pair]


def number(d: Draw, values: tuple[int, ...]) -> Any:
    """Equal values as one number, sometimes."""
    return values[0] if len(set(values)) == 1 and d.chance(0.5) else values


def channels(d: Draw) -> tuple[int, int, int]:
    """Groups, inputs and outputs: few of them, or around the width of a vector."""
    groups = d.choice((1, 1, 1, 2, 3, 5, 16))
    if groups == 16:
        return 16, 16, d.choice((16, 32))
    most = max(d.choice((4, 20, 36)) // groups, 1)
    return groups, groups * d.integer(1, most), groups * d.integer(1, most)


def geometry(d: Draw, dims: int, mode: str = "zeros") -> Geometry:
    largest, widest = LARGEST[dims]
    groups, c, k = channels(d)
    kernel = tuple(d.integer(1, widest) for _ in range(dims))
    stride = tuple(d.choice((1, 1, 2, 3)) for _ in range(dims))
    dilation = tuple(d.choice((1, 1, 2, 3)) for _ in range(dims))
    spans = [(n - 1) * m + 1 for n, m in zip(kernel, dilation, strict=True)]
    size = [d.integer(1, largest) for _ in range(dims)]
    kind = d.choice(("number", "each", "pairs", "pairs", "same", "same_lower", "valid", *["causal"] * (dims == 1)))
    padding: Any = kind
    if kind in ("same", "same_lower"):
        if mode != "zeros":
            size = [max(n, span) for n, span in zip(size, spans, strict=True)]
        two = list(pad_sizes(kind, size, kernel, stride, dilation))
    elif kind == "valid":
        two = [(0, 0)] * dims
    elif kind == "causal":
        two = [(spans[0] - 1, 0)]
    elif kind == "number":
        padding = d.integer(0, 2)
        two = [(padding, padding)] * dims
    elif kind == "each":
        padding = tuple(d.integer(0, 3) for _ in range(dims))
        two = [(p, p) for p in padding]
    else:
        two = [(d.integer(0, span), d.integer(0, 3)) for span in spans]
        padding = tuple(two)
    # As large as one window, and as what is reflected.
    least = [
        max(span - a - b, 1, 1 if mode == "zeros" else max(a, b) + 1) for span, (a, b) in zip(spans, two, strict=True)
    ]
    if kind not in ("same", "same_lower"):
        size = [max(n, m) for n, m in zip(size, least, strict=True)]
    return Geometry(d.integer(1, 3), c, k, groups, tuple(size), kernel, stride, dilation, padding, tuple(two))


def forward_of(g: Geometry, mode: str = "zeros") -> Function:
    def forward(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        padded = F.pad(x, g.flat, "constant" if mode == "zeros" else mode)
        return CONV[len(g.size)](padded, w, b, g.stride, 0, g.dilation, g.groups)

    return forward


def options_of(d: Draw, g: Geometry, name: str, mode: str = "zeros") -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "stride": number(d, g.stride),
        "padding": g.padding,
        "dilation": number(d, g.dilation),
        "groups": g.groups,
    }
    if mode != "zeros":
        chosen["padding_mode"] = mode
    if features.takes(name, "algorithm") and d.chance(0.4):
        chosen["algorithm"] = d.choice(FORCED)
    return chosen


def plus(result: Expected, other: Array) -> Expected:
    """The result with one more summand."""
    assert result.magnitude is not None
    more = other.astype(np.float64)
    return Expected(result.value + more, result.magnitude + np.abs(more), result.length + 1)


def activated(d: Draw, result: Expected, arguments: dict[str, Any]) -> tuple[Expected, bool]:
    """The result with an activation, which is added to the arguments."""
    name = d.choice(tuple(ACTIVATIONS))
    arguments["activation"] = name
    value = ACTIVATIONS[name](torch.from_numpy(result.value)).numpy()
    return Expected(value, result.magnitude, result.length + 2), name not in SHARP


def convolution(dims: int, name: str) -> Callable[[Draw], Trial]:
    """The forward direction, with all that may come after the sum."""

    def draw(d: Draw) -> Trial:
        mode = d.choice(features.padding_modes("conv")) if d.chance(0.5) else "zeros"
        dtype, g = d.choice(features.dtypes("conv")), geometry(d, dims, mode)
        x, w = d.values((g.n, g.c, *g.size), dtype), d.values((g.k, g.c // g.groups, *g.kernel), dtype)
        b = d.values((g.k,), dtype) if d.chance(0.6) else None
        arguments = {"input": x, "weight": w, "bias": b, **options_of(d, g, name, mode)}
        result = linear(forward_of(g, mode), (x, w, b), g.c // g.groups * g.taps + 1)
        smooth = False
        if features.takes(name, "residual") and d.chance(0.2):
            arguments["residual"] = d.values(result.value.shape, dtype)
            result = plus(result, arguments["residual"])
        if d.chance(0.3):
            result, smooth = activated(d, result, arguments)
        return Trial(dtype, arguments, (result,), may_spread=True, smooth=smooth)

    return draw


def convolution_gradient(dims: int, name: str, which: str) -> Callable[[Draw], Trial]:
    def draw(d: Draw) -> Trial:
        mode = d.choice(features.padding_modes("gradient")) if d.chance(0.3) else "zeros"
        dtype, g = d.choice(features.dtypes("conv")), geometry(d, dims, mode)
        shapes = (g.n, g.c, *g.size), (g.k, g.c // g.groups, *g.kernel)
        forward = forward_of(g, mode)
        with torch.no_grad():
            out = tuple(forward(*(torch.zeros(*shape, dtype=torch.float64) for shape in shapes)).shape)
        gy = d.values(out, dtype)
        other = d.values(shapes[which == "input"], dtype)
        length = g.k // g.groups * g.taps if which == "input" else g.n * int(np.prod(out[2:]))
        truth = gradient(forward, 0 if which == "input" else 1, shapes)
        arrays: dict[str, Any] = (
            {"input_size": shapes[0], "weight": other}
            if which == "input"
            else {"input": other, "weight_size": shapes[1]}
        )
        arguments = {**arrays, "grad_output": gy, **options_of(d, g, name, mode)}
        result, start = linear(truth, (other, gy), length), None
        if features.takes(name, "accumulate") and d.chance(0.3):
            arguments["accumulate"] = True
            start = d.values(result.value.shape, dtype)
            result = plus(result, start)
        return Trial(dtype, arguments, (result,), start=start, may_spread=True)

    return draw


def transposed(dims: int, name: str, which: str) -> Callable[[Draw], Trial]:
    """Transposed convolution: `which` is "output", or the gradient for "input" or "weight"."""

    def draw(d: Draw) -> Trial:
        dtype, g = d.choice(features.dtypes("conv")), geometry(d, dims)
        size = tuple(-(-n // s) for n, s in zip(g.size, g.stride, strict=True))
        spans = [(f - 1) * m + 1 for f, m in zip(g.kernel, g.dilation, strict=True)]
        extra = tuple(d.integer(0, max(s, m) - 1) for s, m in zip(g.stride, g.dilation, strict=True))
        most = [((n - 1) * s + span + e - 1) // 2 for n, s, span, e in zip(size, g.stride, spans, extra, strict=True)]
        padding = tuple(d.integer(0, min(2, m)) for m in most)
        shapes = (g.n, g.c, *size), (g.c, g.k // g.groups, *g.kernel)

        def forward(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
            return CONV_TRANSPOSE[dims](x, w, b, g.stride, padding, extra, g.groups, g.dilation)

        arguments = options_of(d, g, name)
        arguments |= {"padding": number(d, padding), "output_padding": number(d, extra)}
        x, w = d.values(shapes[0], dtype), d.values(shapes[1], dtype)
        if which == "output":
            b = d.values((g.k,), dtype) if d.chance(0.6) else None
            arguments |= {"input": x, "weight": w, "bias": b}
            result = linear(forward, (x, w, b), g.c // g.groups * g.taps + 1)
            return Trial(dtype, arguments, (result,), may_spread=True)
        with torch.no_grad():
            out = tuple(forward(*(torch.zeros(*shape, dtype=torch.float64) for shape in shapes)).shape)
        gy = d.values(out, dtype)
        if which == "input":
            arguments |= {"input_size": shapes[0], "weight": w, "grad_output": gy}
            result = linear(gradient(forward, 0, shapes), (w, gy), g.k // g.groups * g.taps)
        else:
            arguments |= {"input": x, "weight_size": shapes[1], "grad_output": gy}
            result = linear(gradient(forward, 1, shapes), (x, gy), g.n * int(np.prod(size)))
        return Trial(dtype, arguments, (result,), may_spread=True)

    return draw


def bias_gradient(d: Draw) -> Trial:
    dtype = d.choice(features.dtypes("conv"))
    shape = (d.integer(1, 3), d.integer(1, 40), d.integer(1, 20), d.integer(1, 20))
    gy = d.values(shape, dtype)
    result = linear(lambda g: g.sum((0, 2, 3)), (gy,), shape[0] * shape[2] * shape[3])
    return Trial(dtype, {"grad_output": gy}, (result,))


def activation_gradient(d: Draw) -> Trial:
    dtype, name = d.choice(features.dtypes("conv")), d.choice(tuple(ACTIVATIONS))
    shape = (d.integer(1, 3), d.integer(1, 40), d.integer(1, 20), d.integer(1, 20))
    x, gy = d.values(shape, dtype), d.values(shape, dtype)
    leaf = as_torch(x).requires_grad_()
    slope = torch.autograd.grad(ACTIVATIONS[name](leaf), leaf, as_torch(gy))[0].numpy()
    result = Expected(slope, np.abs(gy.astype(np.float64)), 2)
    return Trial(dtype, {"name": name, "grad_output": gy, "preactivation": x}, (result,), smooth=True)


def integers(dims: int, *, scaled: bool) -> Callable[[Draw], Trial]:
    """Products of bytes less their zero points, summed exactly; `scaled` to bytes again, or as they are."""

    def draw(d: Draw) -> Trial:
        g = geometry(d, dims)
        kinds = d.choice(features.BYTES), d.choice(features.BYTES)
        x, w = d.values((g.n, g.c, *g.size), kinds[0]), d.values((g.k, g.c // g.groups, *g.kernel), kinds[1])
        x_zero = d.choice((0, int(d.values((1,), kinds[0])[0])))
        w_zero: Any = d.choice((0, int(d.values((1,), kinds[1])[0]), d.values((g.k,), kinds[1])))
        less = np.asarray(w_zero, np.float64).reshape(-1, *[1] * (dims + 1))
        sums = linear(forward_of(g), (x.astype(np.float64) - x_zero, w - less), 0).value
        arguments = {"input": x, "weight": w, "input_zero_point": x_zero, "weight_zero_point": w_zero}
        arguments |= {"stride": number(d, g.stride), "padding": g.padding, "dilation": number(d, g.dilation)}
        arguments |= {"groups": g.groups}
        if not scaled:
            return Trial(kinds[0], arguments, (Expected(sums),), result_dtype="int32")
        scales = 0.02, d.choice((0.01, d.values((g.k,), "float32") ** 2 + np.float32(0.001))), 2.0**0.5
        out_kind = d.choice(features.BYTES)
        out_zero = d.values((1,), out_kind)[0]
        arguments |= {"input_scale": scales[0], "weight_scale": scales[1], "output_scale": scales[2]}
        arguments |= {"output_zero_point": out_zero}
        factor = np.reshape(scales[0] * np.asarray(scales[1], np.float64) / scales[2], (-1, *[1] * dims))
        limits = np.iinfo(out_kind)
        real = np.clip(sums * factor + float(out_zero), limits.min, limits.max)
        # Which way a half is rounded depends on the last bit of the product with the scales.
        result = Expected(real, np.abs(sums * factor), 2, absolute=0.5)
        return Trial(kinds[0], arguments, (result,), result_dtype=out_kind)

    return draw


def stream(d: Draw) -> Trial:
    """A causal convolution, cut into chunks by `operations.py`."""
    dtype, g = d.choice(features.dtypes("conv")), geometry(d, 1)
    before = (g.kernel[0] - 1) * g.dilation[0]
    x, w = d.values((g.n, g.c, *g.size), dtype), d.values((g.k, g.c // g.groups, *g.kernel), dtype)
    b = d.values((g.k,), dtype) if d.chance(0.6) else None

    def forward(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None) -> torch.Tensor:
        return F.conv1d(F.pad(x, (before, 0)), w, b, 1, 0, g.dilation, g.groups)

    cuts = sorted(d.integer(0, g.size[0]) for _ in range(d.integer(0, 4)))
    result = linear(forward, (x, w, b), g.c // g.groups * g.taps + 1)
    arguments = {"input": x, "weight": w, "bias": b, "dilation": g.dilation[0], "groups": g.groups, "cuts": cuts}
    return Trial(dtype, arguments, (result,), may_spread=True)
