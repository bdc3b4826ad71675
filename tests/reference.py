"""The float64 truth that every test is judged by, and the error a correct result may have.

Convolutions loop over the taps of the kernel and leave each tap's channel products to one matrix
multiplication in float64; pooling is in tests/pool/reference.py. Nothing here knows konv or PyTorch.
All shapes are channels-first: tests that use another layout transpose around these functions.

How far a correct float32 result may be from the truth
------------------------------------------------------
A sum of K products computed with u = eps / 2 as unit round-off has the error sum(d_j s_j), where
s_j is the j-th partial sum and |d_j| <= u. Two bounds follow, both in units of M = sum |x| |w|:

- Worst case: |s_j| <= M, and K fused multiply-adds, one product rounded apart and one bias give
  (K + 2) u M = (K + 2) / 2 eps M.
- Statistical (Azuma-Hoeffding; Higham and Mary, "A new approach to probabilistic rounding error
  analysis", SIAM J. Sci. Comput. 41, 2019): with independent d_j of mean zero,
  |error| <= l u sqrt(sum s_j^2) except with probability 2 exp(-l^2 / 2). The tests' data is normal
  with mean zero, so partial sums walk at random: E s_j^2 = j, hence sqrt(sum s_j^2) is about
  K / sqrt(2), and M = 2 K / pi; the quotient is pi / (2 sqrt(2)) = 1.11, and twice that for a walk
  that strays. With l = 7 (one result in 10^10): 7 * 1/2 * 2 * 1.11 < 8, whatever K is.

A result is right when it is within min((K + 2) / 2, 8) eps M of the truth. Any order of summation
has partial sums as small or smaller, so one bound serves every algorithm here that multiplies
directly. Kernels may flush denormals: K times the smallest normal number is allowed on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def pads(padding: Any, size: Pair, kernel: Pair, stride: int | Pair = 1, dilation: int | Pair = 1) -> Pads:
    """Any accepted `padding` as ((top, bottom), (left, right))."""
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        result = []
        for n, k, s, d in zip(size, kernel, pair(stride), pair(dilation), strict=True):
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            less, more = total // 2, total - total // 2
            result.append((less, more) if padding == "same" else (more, less))
        return result[0], result[1]
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    first, second = padding
    return pair(first), pair(second)


def out_size(n: int, k: int, stride: int, pad: Pair, dilation: int) -> int:
    return (n + pad[0] + pad[1] - dilation * (k - 1) - 1) // stride + 1


class Geometry:
    """The windows of one convolution or pooling: which part of the padded input each tap meets."""

    def __init__(
        self,
        size: Pair,
        kernel: Pair,
        stride: int | Pair = 1,
        padding: Any = 0,
        dilation: int | Pair = 1,
    ) -> None:
        self.size, self.kernel = size, kernel
        self.stride, self.dilation = pair(stride), pair(dilation)
        self.pads = pads(padding, size, kernel, stride, dilation)
        self.out: Pair = tuple(  # type: ignore[assignment]
            out_size(n, k, s, p, d)
            for n, k, s, p, d in zip(size, kernel, self.stride, self.pads, self.dilation, strict=True)
        )

    def padded(self, x: Array, value: float = 0.0) -> Array:
        return np.pad(x, ((0, 0), (0, 0), *self.pads), constant_values=value)

    def cropped(self, x: Array) -> Array:
        (top, _), (left, _) = self.pads
        return x[:, :, top : top + self.size[0], left : left + self.size[1]]

    def taps(self) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                window = tuple(
                    slice(t * d, t * d + (o - 1) * s + 1, s)
                    for t, d, o, s in zip((i, j), self.dilation, self.out, self.stride, strict=True)
                )
                yield i, j, (slice(None), slice(None), *window)


def _grouped(x: Array, groups: int) -> Array:
    """(N, C, H, W) as (groups, C / groups, N * H * W)."""
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h * w).transpose(1, 2, 0, 3).reshape(groups, c // groups, n * h * w)


def _ungrouped(x: Array, n: int, h: int, w: int) -> Array:
    g, c, _ = x.shape
    return x.reshape(g, c, n, h * w).transpose(2, 0, 1, 3).reshape(n, g * c, h, w)


def conv2d(
    x: Array,
    w: Array,
    bias: Array | None = None,
    stride: int | Pair = 1,
    padding: Any = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    geo = Geometry(x.shape[2:], w.shape[2:], stride, padding, dilation)
    x = geo.padded(x.astype(np.float64))
    w = w.astype(np.float64).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    n, k = x.shape[0], w.shape[0] * w.shape[1]
    total = np.zeros((groups, k // groups, n * geo.out[0] * geo.out[1]))
    for i, j, window in geo.taps():
        total += w[:, :, :, i, j] @ _grouped(x[window], groups)
    out = _ungrouped(total, n, *geo.out)
    return out if bias is None else out + bias.astype(np.float64)[:, None, None]


def conv2d_input(
    input_size: tuple[int, int, int, int],
    w: Array,
    gy: Array,
    stride: int | Pair = 1,
    padding: Any = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    geo = Geometry(input_size[2:], w.shape[2:], stride, padding, dilation)
    w = w.astype(np.float64).reshape(groups, w.shape[0] // groups, *w.shape[1:])
    gy_grouped = _grouped(gy.astype(np.float64), groups)
    total = geo.padded(np.zeros(input_size))
    for i, j, window in geo.taps():
        moved = w[:, :, :, i, j].transpose(0, 2, 1) @ gy_grouped
        total[window] += _ungrouped(moved, input_size[0], *geo.out)
    return geo.cropped(total)


def conv2d_weight(
    x: Array,
    weight_size: tuple[int, int, int, int],
    gy: Array,
    stride: int | Pair = 1,
    padding: Any = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    geo = Geometry(x.shape[2:], weight_size[2:], stride, padding, dilation)
    x = geo.padded(x.astype(np.float64))
    gy_grouped = _grouped(gy.astype(np.float64), groups)
    out = np.zeros(weight_size)
    for i, j, window in geo.taps():
        part = gy_grouped @ _grouped(x[window], groups).transpose(0, 2, 1)
        out[:, :, i, j] = part.reshape(weight_size[:2])
    return out


def conv_bias(gy: Array) -> Array:
    return gy.astype(np.float64).sum(axis=(0, 2, 3))


def assert_accurate(actual: Array, expected: Array, magnitude: Array, length: int) -> None:
    """Check `actual` against the truth; see the head of this file for the bound.

    `magnitude` is the same computation on absolute values, `length` the number of products summed.
    """
    assert actual.shape == expected.shape
    if actual.size == 0:
        return
    info = np.finfo(actual.dtype)
    c = min((length + 2) / 2, 8.0)
    # The float64 truth is summed in float64 too: its own error, by the same bound, counts as well.
    eps = float(info.eps) + float(np.finfo(np.float64).eps)
    allowed = c * eps * magnitude + length * float(info.tiny)
    error = np.abs(actual.astype(np.float64) - expected)
    wrong = ~(error <= allowed)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} values are off, the first at {where}: "
            f"{actual[where]!r} instead of {expected[where]!r}, allowed {allowed[where]:.3g}"
        )
