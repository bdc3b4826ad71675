"""The float64 truth of pooling, one window at a time and in any number of dimensions.

Arrays are (n, c, *size). Each axis is described by what its windows meet: the elements inside, and how many elements an
average counts. Nothing here knows konv or PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from hashlib import blake2b
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tests.reference import assert_accurate

Array = NDArray[Any]
Meets = tuple[NDArray[np.int64], int]  # indices inside, elements counted
Truth = TypeVar("Truth", bound=Callable[..., Any])
REMEMBERED = 4096  # results of one function
NARROW = {"float16": (2.0**-11, 2.0**-24), "bfloat16": (2.0**-8, 2.0**-126)}  # unit round-off, absolute error


def each(value: Any, dims: int) -> tuple[Any, ...]:
    return (value,) * dims if isinstance(value, (int, type(None))) else tuple(value)


def pads_of(padding: Any, size: Sequence[int], spans: Sequence[int], stride: Sequence[int]) -> list[tuple[int, int]]:
    """Any accepted `padding` as (before, after) pairs."""
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):
        pairs = []
        for n, span, s in zip(size, spans, stride, strict=True):
            total = max((-(-n // s) - 1) * s + span - n, 0)
            less, more = total // 2, total - total // 2
            pairs.append((less, more) if padding == "same" else (more, less))
        return pairs
    return [(p, p) if isinstance(p, int) else p for p in each(padding, len(size))]


class Windows:
    """The windows of a pooling of `size` elements."""

    def __init__(self, axes: list[list[Meets]], size: Sequence[int]) -> None:
        self.axes, self.out = axes, tuple(map(len, axes))
        self.places = np.arange(np.prod(size)).reshape(size)

    @classmethod
    def regular(
        cls,
        size: Sequence[int],
        kernel: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Windows:
        dims = len(size)
        kernels, dilations = each(kernel, dims), each(dilation, dims)
        strides = kernels if stride is None else each(stride, dims)
        spans = [d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True)]
        axes = []
        for n, k, s, d, (before, after) in zip(
            size, kernels, strides, dilations, pads_of(padding, size, spans, strides), strict=True
        ):
            room = n + before + after - (d * (k - 1) + 1)
            out = -(-room // s) + 1 if ceil_mode else room // s + 1
            if ceil_mode and (out - 1) * s >= n + before:
                out -= 1
            taps = [o * s - before + d * np.arange(k) for o in range(out)]
            low, high = (-before, n + after) if count_include_pad else (0, n)
            axes.append([(t[(t >= 0) & (t < n)], int(((t >= low) & (t < high)).sum())) for t in taps])
        return cls(axes, size)

    @classmethod
    def adaptive(cls, size: Sequence[int], out: Any) -> Windows:
        axes = []
        for n, given in zip(size, each(out, len(size)), strict=True):
            k = n if given is None else given
            parts = [np.arange(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
            axes.append([(part, len(part)) for part in parts])
        return cls(axes, size)

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], int]]:
        """Where a window's result goes, which elements it meets, and how many it counts."""
        for where in product(*map(range, self.out)):
            meets = [axis[o] for axis, o in zip(self.axes, where, strict=True)]
            yield (..., *where), (..., *np.ix_(*(m[0] for m in meets))), int(np.prod([m[1] for m in meets]))


def remembered(truth: Truth) -> Truth:
    """The function, which computes once what every instruction set and layout is compared with."""
    results: dict[Any, Any] = {}

    def key(argument: Any) -> Any:
        if isinstance(argument, np.ndarray):
            return argument.dtype.name, argument.shape, blake2b(argument.tobytes()).digest()
        return tuple(argument) if isinstance(argument, list) else argument

    @wraps(truth)
    def call(*arguments: Any) -> Any:
        asked = tuple(map(key, arguments))
        if asked not in results:
            if len(results) == REMEMBERED:
                results.clear()
            results[asked] = truth(*arguments)
            for array in results[asked] if isinstance(results[asked], tuple) else (results[asked],):
                array.flags.writeable = False
        return results[asked]

    return call  # type: ignore[return-value]


def lowest(dtype: Any) -> Any:
    kind = np.dtype(dtype).kind
    return False if kind == "b" else np.iinfo(dtype).min if kind in "iu" else -np.inf


@remembered
def max_pool(x: Array, windows: Windows) -> tuple[Array, NDArray[np.int64]]:
    """Values, and where each came from, flat in its volume.

    As in PyTorch: the first of equal values, and the last NaN where there is one.
    """
    values = np.full((*x.shape[:2], *windows.out), lowest(x.dtype), x.dtype)
    indices = np.full(values.shape, -1, np.int64)
    for where, meets, _ in windows:
        places = windows.places[meets[1:]].ravel()
        if places.size == 0:
            continue
        v = x[meets].reshape(*x.shape[:2], -1)
        at = v.argmax(-1)
        if x.dtype.kind not in "biu":
            nan = v != v
            at = np.where(nan.any(-1), v.shape[-1] - 1 - nan[..., ::-1].argmax(-1), at)
        values[where] = np.take_along_axis(v, at[..., None], -1)[..., 0]
        indices[where] = places[at]
    return values, indices


@remembered
def avg_pool(x: Array, windows: Windows, divisor: int | None = None) -> Array:
    integers = x.dtype.kind == "i"
    x = x if integers else x.astype(np.float64)
    out = np.zeros((*x.shape[:2], *windows.out), x.dtype)
    spatial = tuple(range(2, x.ndim))
    for where, meets, count in windows:
        total, by = x[meets].sum(spatial), divisor or max(count, 1)
        out[where] = np.sign(total) * np.sign(by) * (np.abs(total) // abs(by)) if integers else total / by
    return out


@remembered
def lp_pool(x: Array, p: float, windows: Windows) -> Array:
    powers = np.abs(x.astype(np.float64)) ** p
    return avg_pool(powers, windows, 1) ** (1 / p)


@remembered
def max_pool_grad(gy: Array, indices: Array, input_size: Sequence[int]) -> Array:
    n, c, *size = input_size
    out = np.zeros((n * c, int(np.prod(size))))
    np.add.at(out, (np.arange(n * c)[:, None], indices.reshape(n * c, -1)), gy.reshape(n * c, -1).astype(np.float64))
    return out.reshape(input_size)


@remembered
def avg_pool_grad(gy: Array, input_size: Sequence[int], windows: Windows, divisor: int | None = None) -> Array:
    total = np.zeros(input_size)
    gy = gy.astype(np.float64)
    for where, meets, count in windows:
        share = gy[where] / (divisor or max(count, 1))
        total[meets] += share.reshape(*share.shape, *[1] * len(windows.out))
    return total


@remembered
def lp_pool_grad(gy: Array, x: Array, p: float, windows: Windows) -> Array:
    x = x.astype(np.float64)
    y = lp_pool(x, p, windows)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(y > 0, gy * y ** (1 - p), 0)
        own = np.where(x != 0, np.sign(x) * np.abs(x) ** (p - 1), 0)
    return own * avg_pool_grad(share, x.shape, windows, 1)


def max_unpool(y: Array, indices: Array, size: Sequence[int]) -> Array:
    n, c = y.shape[:2]
    out = np.zeros((n * c, int(np.prod(size))), y.dtype)
    for row, values, places in zip(out, y.reshape(n * c, -1), indices.reshape(n * c, -1), strict=True):
        for value, place in zip(values, places, strict=True):
            row[place] = value
    return out.reshape(n, c, *size)


def assert_close(actual: Array, expected: Array, magnitude: Array, length: int) -> None:
    """`assert_accurate`, for narrow types too: sums are as good as float32 and then rounded once."""
    if actual.dtype.name not in NARROW:
        assert_accurate(actual, expected, magnitude, length)
        return
    unit, least = NARROW[actual.dtype.name]
    assert actual.shape == expected.shape
    with np.errstate(over="ignore"):
        rounded = expected.astype(actual.dtype)
    error = np.abs(actual.astype(np.float64) - expected)
    allowed = unit * np.abs(expected) + least + min(length + 2, 16) * 2.0**-23 * magnitude
    wrong = ~((error <= allowed) | (actual == rounded))
    assert not wrong.any(), f"{actual[wrong][0]!r} instead of {expected[wrong][0]!r}, {wrong.sum()} such"
