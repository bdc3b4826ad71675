"""Arguments that make no sense: a clear error each, and nothing written."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

import konv

X = np.ones((1, 4, 8, 8), np.float32)
W = np.ones((6, 4, 3, 3), np.float32)
B = np.ones(6, np.float32)
GY = np.ones((1, 6, 6, 6), np.float32)


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def unaligned(*shape: int) -> np.ndarray:
    """Data that starts one byte past an element boundary."""
    count = int(np.prod(shape))
    return np.frombuffer(bytearray(4 * count + 1), np.float32, count, offset=1).reshape(shape)


def records(*shape: int) -> np.ndarray:
    """Elements five bytes apart: the strides are no multiple of the size."""
    return np.zeros(shape, [("value", "f4"), ("tag", "u1")])["value"]


def read_only(*shape: int) -> np.ndarray:
    a = ones(*shape)
    a.flags.writeable = False
    return a


def test_missing_arguments() -> None:
    with pytest.raises(TypeError, match="weight"):
        konv.conv2d(X)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="input"):
        konv.conv2d()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        konv.conv2d(X, W, None, 1, 0, 1, 1, "zeros")  # type: ignore[misc]
    with pytest.raises(TypeError, match="stride"):
        konv.conv2d(X, W, None, 1, stride=1)  # type: ignore[misc]


def test_gradient_out_overlap() -> None:
    memory = np.zeros(600, np.float32)
    gy, gx = memory[:216].reshape(1, 6, 6, 6), memory[200:456].reshape(X.shape)
    with pytest.raises(ValueError, match=r"out.*(overlap|share)"):
        konv.grad.conv2d_input(X.shape, W, gy, out=gx)
    assert not memory.any()


def test_tensor_that_requires_grad() -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones(1, 4, 8, 8, requires_grad=True)
    with pytest.raises((TypeError, ValueError), match=r"detach"):
        konv.conv2d(x, W)
    with pytest.raises((TypeError, ValueError), match=r"detach"):
        konv.conv2d(X, torch.ones(6, 4, 3, 3, requires_grad=True))


def test_errors_raised_by_an_argument_reach_the_caller() -> None:
    class Index:
        def __index__(self) -> int:
            raise RuntimeError("from __index__")

    with pytest.raises((RuntimeError, TypeError)):
        konv.conv2d(X, W, None, Index())


def test_image_without_pixels_inside_padding() -> None:
    """Nothing but padding to see: refused, or the bias alone."""
    x = np.ones((1, 4, 0, 8), np.float32)
    with contextlib.suppress(ValueError):
        out = konv.conv2d(x, W, B, padding=2)
        np.testing.assert_array_equal(out, np.ones(out.shape))


def test_result_too_large_for_memory() -> None:
    with pytest.raises((MemoryError, ValueError)):
        konv.conv2d(X, W, padding=2**24)


def test_huge_broadcast_input() -> None:
    """A shape that no memory holds, all of it one number."""
    x = np.broadcast_to(np.float32(1), (2**30, 2**15, 2**5, 2**5))
    with pytest.raises((MemoryError, ValueError)):
        konv.conv2d(x, np.broadcast_to(np.float32(1), (2**10, 2**15, 3, 3)))
