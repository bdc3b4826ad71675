"""Arrays of more than 2^31 elements: views of one element, in steps so large that little is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import konv

SIZES = {1: 2**31 + 1000, 2: 2**16, 3: 2**11}
STEPS = {1: 2**24, 2: 2**12, 3: 2**8}
POOL_SIZES = {**SIZES, 1: 2**30}  # one axis of a pooling has less than 2^31 elements


def one(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.broadcast_to(np.ones(1, dtype), shape)


def image(n: int, lead: tuple[int, int] = (1, 1), dtype: Any = np.float32) -> np.ndarray:
    x = one(*lead, *(SIZES[n],) * n, dtype=dtype)
    assert x.size > 2**31
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", SIZES)
def test_convolution(n: int, dtype: Any) -> None:
    out = getattr(konv, f"conv{n}d")(image(n, dtype=dtype), one(2, 1, *(3,) * n, dtype=dtype), stride=STEPS[n])
    assert out.shape == (1, 2) + (math.ceil((SIZES[n] - 2) / STEPS[n]),) * n
    np.testing.assert_array_equal(out, 3**n)


CONVOLUTIONS: dict[str, tuple[Callable[[], np.ndarray], float]] = {
    "dilation": (lambda: konv.conv1d(image(1), one(1, 1, 3), stride=2**24, dilation=2**30 - 10), 3),
    "channels": (lambda: konv.conv1d(one(1, 2**10, 2**22), one(2, 2**10, 1), stride=2**18), 2**10),
    "batch": (lambda: konv.conv2d(one(2**10, 4, 2**10, 2**10), one(1, 4, 1, 1), stride=2**9), 4),
    "depthwise": (lambda: konv.conv1d(one(1, 2**8, 2**24), one(2**8, 1, 3), stride=2**20, groups=2**8), 3),
    "channels last": (
        lambda: konv.conv2d(one(1, 2**15, 2**14, 8), one(8, 8, 3, 3), stride=2**11, layout="NHWC"), 72,
    ),
    "input of transposed": (
        lambda: konv.grad.conv_transpose1d_input(
            (1, 1, 128), one(1, 1, 3), one(1, 1, 127 * 2**24 + 3), stride=2**24
        ), 3,
    ),
    "weight of one channel": (
        lambda: konv.grad.conv1d_weight(one(1, 1, 127 * 2**24 + 3), (1, 1, 3), one(1, 1, 128), stride=2**24), 128,
    ),
    "weight of planes": (
        lambda: konv.grad.conv2d_weight(one(1, 1, 2**16, 2**16), (4, 1, 3, 3), one(1, 4, 16, 16), stride=2**12), 256,
    ),
    "weight of many channels": (
        lambda: konv.grad.conv2d_weight(
            one(1, 16, 2**15, 2**15), (16, 16, 3, 3), one(1, 16, 16, 16), stride=2**11
        ), 256,
    ),
    "weight of many images": (
        lambda: konv.grad.conv2d_weight(
            one(2**10, 4, 2**10, 2**10), (1, 4, 1, 1), one(2**10, 1, 2, 2), stride=2**9
        ), 2**12,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_of_many(name: str) -> None:
    function, expected = CONVOLUTIONS[name]
    np.testing.assert_array_equal(function(), expected)


@pytest.mark.parametrize("name", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("n", POOL_SIZES)
def test_pooling(n: int, name: str) -> None:
    for dtype in (np.float32, np.float64, np.float16, *((np.int8, np.int64) if name == "max_pool" else ())):
        x = one(1 if n > 1 else 4, 1, *(POOL_SIZES[n],) * n, dtype=dtype)
        out = getattr(konv, f"{name}{n}d")(x, 2, STEPS[n])
        assert out.shape[2:] == (POOL_SIZES[n] // STEPS[n],) * n
        np.testing.assert_array_equal(out, 1)


def test_sums_of_powers() -> None:
    x = one(1, 1, 2**16, 2**16)
    np.testing.assert_array_equal(konv.lp_pool2d(x, 2, 2, 2**12), np.full((1, 1, 16, 16), 2))


def test_places_beyond_32_bits() -> None:
    x = one(1, 1, 2**16, 2**16, dtype=np.float64)
    _, indices = konv.max_pool2d(x, 2, 2**12, return_indices=True)
    rows, cols = (a * 2**12 for a in np.indices((16, 16)))
    np.testing.assert_array_equal(indices[0, 0], rows * 2**16 + cols)


def test_unfold() -> None:
    for x, kernel, stride in ((image(1), (2,), 2**24), (image(2), (2, 2), 2**12), (image(3), (2, 2, 2), 2**8)):
        out = konv.unfold(x, kernel, stride=stride)
        assert out.shape[1] == 2 ** len(kernel)
        np.testing.assert_array_equal(out, 1)
