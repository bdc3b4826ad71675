"""Convolution in float64, for any number of dimensions and any padding: the truth for tests.

Sums run over the taps of the kernel; each tap's products of channels are one matrix multiplication. Nothing here
knows konv or PyTorch. Shapes are channels-first, `padding` is (before, after) for each dimension.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.reference import Array

Pads = Sequence[tuple[int, int]]
PAD_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def sizes(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else tuple(value)


def pad_sizes(
    padding: Any, size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """Any accepted `padding` as (before, after) for each dimension."""
    if padding == "valid":
        padding = 0
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if padding == "causal":
        return [(span - 1, 0) for span in spans]
    if isinstance(padding, str):
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(size, stride, spans, strict=True)]
        halves = [(total // 2, total - total // 2) for total in totals]
        return halves if padding == "same" else [(more, less) for less, more in halves]
    if isinstance(padding, int):
        return [(padding, padding)] * len(size)
    return [(p, p) if isinstance(p, int) else (p[0], p[1]) for p in padding]


class Windows:
    """Which part of the padded input each tap of the kernel meets."""

    def __init__(
        self, size: Sequence[int], kernel: Sequence[int], stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        out: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """`out`: so many windows where there may be fewer than fit, as under a transposed convolution."""
        dims = len(size)
        self.size, self.kernel = tuple(size), tuple(kernel)
        self.stride, self.dilation = sizes(stride, dims), sizes(dilation, dims)
        self.pads = tuple(pad_sizes(padding, size, kernel, self.stride, self.dilation))
        self.out = (
            tuple(out)
            if out
            else tuple(
                (n + sum(p) - d * (k - 1) - 1) // s + 1
                for n, p, d, k, s in zip(self.size, self.pads, self.dilation, self.kernel, self.stride, strict=True)
            )
        )

    def padded(self, x: Array, mode: str = "zeros") -> Array:
        return np.pad(x, ((0, 0), (0, 0), *self.pads), mode=PAD_MODES[mode])  # type: ignore[call-overload, no-any-return]

    def taps(self) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
        for tap in itertools.product(*map(range, self.kernel)):
            starts = (t * d for t, d in zip(tap, self.dilation, strict=True))
            window = [slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(starts, self.out, self.stride, strict=True)]
            yield tap, (slice(None), slice(None), *window)

    def folded(self, padded: Array, mode: str = "zeros") -> Array:
        """The gradient of `padded`: what lies in the border returns to where it was taken from."""
        for axis, (n, (before, after)) in enumerate(zip(self.size, self.pads, strict=True), 2):
            border = {"constant_values": n} if mode == "zeros" else {}
            places = np.pad(np.arange(n), (before, after), mode=PAD_MODES[mode], **border)  # type: ignore[call-overload]
            moved = np.moveaxis(padded, axis, 0)
            total = np.zeros((n + 1, *moved.shape[1:]))
            np.add.at(total, places, moved)
            padded = np.moveaxis(total[:n], 0, axis)
        return padded


def _grouped(x: Array, groups: int) -> Array:
    """(N, C, *size) as (groups, C / groups, N * pixels)."""
    n, c = x.shape[:2]
    x = x.reshape(n, groups, c // groups, -1)
    return x.transpose(1, 2, 0, 3).reshape(groups, c // groups, -1)


def _ungrouped(x: Array, n: int, size: Sequence[int]) -> Array:
    g, c, _ = x.shape
    return x.reshape(g, c, n, -1).transpose(2, 0, 1, 3).reshape(n, g * c, *size)


def conv(
    x: Array, w: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, mode: str = "zeros", out: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    windows = Windows(x.shape[2:], w.shape[2:], stride, padding, dilation, out)
    x = windows.padded(x.astype(np.float64), mode)
    w = w.astype(np.float64).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    total = sum(w[(..., *tap)] @ _grouped(x[window], groups) for tap, window in windows.taps())
    y = _ungrouped(np.asarray(total), x.shape[0], windows.out)
    return y if bias is None else y + bias.astype(np.float64).reshape(-1, *[1] * len(windows.size))


def conv_input(
    input_size: Sequence[int], w: Array, gy: Array, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, mode: str = "zeros", out: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    windows = Windows(input_size[2:], w.shape[2:], stride, padding, dilation, out)
    w = w.astype(np.float64).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    grouped = _grouped(gy.astype(np.float64), groups)
    total = windows.padded(np.zeros(input_size))
    for tap, window in windows.taps():
        total[window] += _ungrouped(w[(..., *tap)].transpose(0, 2, 1) @ grouped, input_size[0], windows.out)
    return windows.folded(total, mode)


def conv_weight(
    x: Array, weight_size: Sequence[int], gy: Array, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1, mode: str = "zeros", out: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    windows = Windows(x.shape[2:], weight_size[2:], stride, padding, dilation, out)
    x = windows.padded(x.astype(np.float64), mode)
    grouped = _grouped(gy.astype(np.float64), groups)
    gradient = np.zeros(weight_size)
    for tap, window in windows.taps():
        gradient[(..., *tap)] = (grouped @ _grouped(x[window], groups).transpose(0, 2, 1)).reshape(weight_size[:2])
    return gradient


def transposed_size(
    size: Sequence[int], kernel: Sequence[int], stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    dilation: Any = 1,
) -> tuple[int, ...]:  # fmt: skip
    dims = len(size)
    stride, dilation, more = sizes(stride, dims), sizes(dilation, dims), sizes(output_padding, dims)
    if padding in ("same", "same_lower"):
        return tuple(n * s + o for n, s, o in zip(size, stride, more, strict=True))
    pads = pad_sizes(padding, size, kernel, stride, dilation)
    return tuple(
        (n - 1) * s + d * (k - 1) + 1 + o - sum(p)
        for n, s, d, k, o, p in zip(size, stride, dilation, kernel, more, pads, strict=True)
    )


def conv_transpose(
    x: Array, w: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Array:  # fmt: skip
    size = transposed_size(x.shape[2:], w.shape[2:], stride, padding, output_padding, dilation)
    out = conv_input((x.shape[0], w.shape[1] * groups, *size), w, x, stride, padding, dilation, groups, out=x.shape[2:])
    return out if bias is None else out + bias.astype(np.float64).reshape(-1, *[1] * len(size))
