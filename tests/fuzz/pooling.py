"""Pooling of one to three dimensions with its gradients, and windows laid out as columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from tests.fuzz import features
from tests.fuzz.convolution import number
from tests.fuzz.draw import Draw
from tests.fuzz.trial import Expected, Trial, as_torch, gradient, linear
from tests.reference import Array, Pair

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
ADAPTIVE = {
    "avg": {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d},
    "max": {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d},
}
LARGEST = {1: (90, 8), 2: (24, 5), 3: (9, 3)}  # image and window, by the number of dimensions


@dataclass(frozen=True)
class Windows:
    """Where the windows of a pooling lie, and its padding both as it is passed and in pairs."""

    shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    pairs: tuple[Pair, ...]
    dilation: tuple[int, ...]
    ceil: bool

    @property
    def size(self) -> int:
        return int(np.prod(self.kernel))

    @property
    def even(self) -> tuple[int, ...]:
        """The padding of both sides where these agree."""
        return tuple(before for before, _ in self.pairs)


def image(d: Draw, dims: int, least: list[int]) -> tuple[int, ...]:
    sizes = (max(n, d.integer(1, LARGEST[dims][0])) for n in least)
    return d.integer(1, 3), d.choice((d.integer(1, 6), d.integer(1, 40))), *sizes


def windows(
    d: Draw, dims: int, *, dilated: bool = False, uneven: bool = False, padded: bool = True, smaller: bool = True
) -> Windows:
    """Any windows; `smaller` ones may need the padding to fit."""
    kernel = tuple(d.integer(1, LARGEST[dims][1]) for _ in range(dims))
    stride = kernel if d.chance(0.3) else tuple(d.integer(1, 4) for _ in range(dims))
    dilation = tuple(d.integer(1, 3) if dilated and d.chance(0.3) else 1 for _ in range(dims))
    pairs = [(0, 0)] * dims
    if padded:
        pairs = [(p, p) for p in (d.integer(0, k // 2) for k in kernel)]
    if uneven and d.chance(0.3):
        pairs = [(d.integer(0, k // 2), d.integer(0, k // 2)) for k in kernel]
    even = all(a == b for a, b in pairs)
    padding: Any = number(d, tuple(a for a, _ in pairs)) if even and d.chance(0.7) else tuple(pairs)
    least = [(k - 1) * m + 1 - smaller * (a + b) for k, m, (a, b) in zip(kernel, dilation, pairs, strict=True)]
    return Windows(image(d, dims, least), kernel, stride, padding, tuple(pairs), dilation, even and d.chance(0.3))


def options_of(d: Draw, w: Windows, *names: str) -> dict[str, Any]:
    stride = None if w.stride == w.kernel and d.chance(0.5) else number(d, w.stride)
    every = {"padding": w.padding, "dilation": number(d, w.dilation)}
    chosen = {name: every[name] for name in names}
    return {"kernel_size": number(d, w.kernel), "stride": stride, "ceil_mode": w.ceil, **chosen}


def flat_pairs(w: Windows) -> list[int]:
    return [amount for pair in reversed(w.pairs) for amount in pair]


def maxima(x: Array, w: Windows) -> tuple[Array, Array]:
    """Values and indices; the padding is laid down first, so that it may be uneven."""
    dims, given = len(w.kernel), as_torch(x)
    if all(a == b for a, b in w.pairs):
        values, places = MAX[dims](given, w.kernel, w.stride, w.even, w.dilation, w.ceil, return_indices=True)
        return values.numpy(), places.numpy()
    padded = F.pad(given, flat_pairs(w), value=-np.inf)
    values, places = MAX[dims](padded, w.kernel, w.stride, 0, w.dilation, w.ceil, return_indices=True)
    where = np.unravel_index(places.numpy(), padded.shape[2:])
    inside = [np.clip(i - a, 0, n - 1) for i, (a, _), n in zip(where, w.pairs, x.shape[2:], strict=True)]
    return values.numpy(), np.ravel_multi_index(inside, x.shape[2:])


def ties(d: Draw, shape: tuple[int, ...], dtype: str) -> Array:
    """Values of which many are equal, so that the first must be found."""
    x = d.values(shape, dtype)
    return x if d.chance(0.5) or x.dtype.kind in "biu" else np.round(x.astype(np.float32)).astype(x.dtype)


def max_pool(dims: int) -> Callable[[Draw], Trial]:
    def draw(d: Draw) -> Trial:
        w = windows(d, dims, dilated=True, uneven=True)
        dtype = d.choice(features.dtypes("pool", (*features.HALVES, *features.INTEGERS)))
        x = ties(d, w.shape, dtype)
        values, places = maxima(x, w)
        arguments = {"input": x, **options_of(d, w, "padding", "dilation"), "return_indices": d.chance(0.5)}
        both = Expected(values), Expected(places)
        # A dilated window may meet padding alone: then there is no place to compare.
        met = np.isfinite(values).all() and arguments["return_indices"]
        arguments["return_indices"] = bool(met)
        return Trial(dtype, arguments, both if met else both[:1])

    return draw


def max_pool_gradient(dims: int) -> Callable[[Draw], Trial]:
    def draw(d: Draw) -> Trial:
        w, dtype = windows(d, dims), d.choice(features.dtypes("pool"))
        _, places = maxima(d.values(w.shape, "float32"), w)
        gy = d.values(places.shape, dtype)

        def truth(g: torch.Tensor) -> torch.Tensor:
            zeros = torch.zeros(*w.shape[:2], int(np.prod(w.shape[2:])), dtype=torch.float64)
            added = zeros.scatter_add(2, torch.from_numpy(places).flatten(2), g.flatten(2))
            return added.reshape(w.shape)

        arguments = {"grad_output": gy, "indices": places, "input_size": w.shape}
        return Trial(dtype, arguments, (linear(truth, (gy,), w.size),))

    return draw


def avg_pool(dims: int, backward: bool) -> Callable[[Draw], Trial]:
    def draw(d: Draw) -> Trial:
        dtype = d.choice(features.dtypes("pool"))
        w = windows(d, dims, uneven=True, smaller=dims < 3)  # as PyTorch wants it
        even = all(a == b for a, b in w.pairs)
        include = d.chance(0.6) or not even
        divisor = d.integer(1, 9) if d.chance(0.2) else None

        def forward(x: torch.Tensor) -> torch.Tensor:
            if not even:
                x = F.pad(x, flat_pairs(w))
            args = (x, w.kernel, w.stride, w.even if even else 0, w.ceil, include)
            if dims > 1:
                return AVG[dims](*args, divisor)
            if divisor:  # which PyTorch has from two dimensions on
                wide = F.avg_pool2d(x[:, :, None], (1, *w.kernel), (1, *w.stride), (0, *(w.even if even else (0,))),
                                    w.ceil, include, divisor)  # fmt: skip
                return wide[:, :, 0]
            return AVG[1](*args)

        arguments = {**options_of(d, w, "padding"), "count_include_pad": include, "divisor_override": divisor}
        if not backward:
            x = d.values(w.shape, dtype)
            return Trial(dtype, {"input": x, **arguments}, (linear(forward, (x,), w.size + 1),))
        gy = d.values(forward(torch.zeros(*w.shape)).shape, dtype)
        result = linear(gradient(forward, 0, (w.shape,)), (gy,), w.size + 1)
        return Trial(dtype, {"grad_output": gy, "input_size": w.shape, **arguments}, (result,))

    return draw


def lp_pool(dims: int, backward: bool) -> Callable[[Draw], Trial]:
    """Of the windows that PyTorch treats alike: those that are whole."""

    def draw(d: Draw) -> Trial:
        dtype, p = d.choice(features.dtypes("pool")), d.choice((1, 2, 3, 1.5))
        w = windows(d, dims, padded=False)
        shape = list(w.shape)
        for axis, (k, s) in enumerate(zip(w.kernel, w.stride, strict=True), 2):
            shape[axis] = (shape[axis] - k) // s * s + k

        def forward(x: torch.Tensor) -> torch.Tensor:
            return (AVG[dims](x.abs() ** p, w.kernel, w.stride) * w.size) ** (1 / p)

        # Away from zero, where powers below 2 have no slope.
        x = d.values(shape, dtype).astype(np.float64)
        x = (x + np.copysign(0.5, x)).astype(d.values((1,), dtype).dtype)
        arguments = {"norm_type": p, **options_of(d, w)}
        truth = forward(as_torch(x)).numpy()
        length = w.size + 30  # powers and roots have errors of their own
        if not backward:
            result = Expected(truth, np.abs(truth), length)
            return Trial(dtype, {"input": x, **arguments}, (result,))
        gy = d.values(truth.shape, dtype)

        def slope(g: Array) -> Array:
            leaf = as_torch(x).requires_grad_()
            return torch.autograd.grad(forward(leaf), leaf, as_torch(g))[0].numpy()

        result = Expected(slope(gy), np.abs(slope(np.abs(gy))), length)
        return Trial(dtype, {"grad_output": gy, "input": x, **arguments}, (result,))

    return draw


def adaptive(dims: int, kind: str, backward: bool) -> Callable[[Draw], Trial]:
    def draw(d: Draw) -> Trial:
        shape = image(d, dims, [1] * dims)
        out = tuple(d.integer(1, 8) for _ in range(dims))
        dtype = d.choice(features.dtypes("pool"))
        x = d.values(shape, dtype)
        given: Any = number(d, out)
        if dims > 1 and d.chance(0.2):  # None leaves a size as it is
            out = (*out[:-1], shape[-1])
            given = (*out[:-1], None)
        length = int(np.prod([-(-n // m) + 1 for n, m in zip(shape[2:], out, strict=True)])) + 1
        if kind == "max":
            values, places = ADAPTIVE["max"][dims](as_torch(x), out, return_indices=True)
            if not backward:
                results = Expected(values.numpy()), Expected(places.numpy())
                return Trial(dtype, {"input": x, "output_size": given, "return_indices": True}, results)
            gy = d.values(values.shape, dtype)
            truth = gradient(
                lambda leaf: leaf.flatten(2).gather(2, places.flatten(2)).reshape(values.shape), 0, (shape,)
            )
            arguments = {"grad_output": gy, "indices": places.numpy(), "input_size": shape}
            return Trial(dtype, arguments, (linear(truth, (gy,), 2**dims),))

        def forward(x: torch.Tensor) -> torch.Tensor:
            return ADAPTIVE["avg"][dims](x, out)

        if not backward:
            return Trial(dtype, {"input": x, "output_size": given}, (linear(forward, (x,), length),))
        gy = d.values((*shape[:2], *out), dtype)
        result = linear(gradient(forward, 0, (shape,)), (gy,), length)
        return Trial(dtype, {"grad_output": gy, "input_size": shape}, (result,))

    return draw


def max_unpool(dims: int, backward: bool) -> Callable[[Draw], Trial]:
    """Windows that do not overlap, so that each place is named once."""

    def draw(d: Draw) -> Trial:
        dtype = d.choice(features.dtypes("pool"))
        w = windows(d, dims, padded=False)
        w = Windows(w.shape, w.kernel, w.kernel, 0, w.pairs, w.dilation, False)
        _, places = maxima(d.values(w.shape, "float32"), w)
        size = w.shape[2:]

        def forward(x: torch.Tensor) -> torch.Tensor:
            return UNPOOL[dims](x, torch.from_numpy(places), w.kernel, w.kernel, 0, size)

        if backward:
            gy = d.values(w.shape, dtype)
            truth = np.take_along_axis(gy.reshape(*w.shape[:2], -1), places.reshape(*w.shape[:2], -1), 2)
            expected = Expected(truth.reshape(places.shape).astype(np.float64))
            return Trial(dtype, {"grad_output": gy, "indices": places, "input_size": places.shape}, (expected,))
        x = d.values(places.shape, dtype)
        arguments = {"input": x, "indices": places, "kernel_size": number(d, w.kernel), "output_size": size}
        return Trial(dtype, arguments, (Expected(forward(as_torch(x)).numpy()),))

    return draw


def columns(d: Draw, name: str) -> Trial:
    """`unfold`, which moves, and `fold`, which adds."""
    dtype = d.choice(features.dtypes("pool"))
    w = windows(d, 2, dilated=True)
    arguments = options_of(d, w, "padding", "dilation")
    arguments |= {"stride": number(d, w.stride), "padding": number(d, w.even)}
    del arguments["ceil_mode"]
    keywords = {"dilation": w.dilation, "padding": w.even, "stride": w.stride}
    x = d.values(w.shape, dtype)
    unfolded = F.unfold(as_torch(x), w.kernel, **keywords)
    if name == "unfold":
        return Trial(dtype, {"input": x, **arguments}, (Expected(unfolded.numpy()),))
    c = d.values(unfolded.shape, dtype)
    result = linear(lambda t: F.fold(t, w.shape[2:], w.kernel, **keywords), (c,), w.size)
    return Trial(dtype, {"input": c, "output_size": w.shape[2:], **arguments}, (result,))
