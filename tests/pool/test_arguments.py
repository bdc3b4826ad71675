"""Pooling: odd memory, `out=`, and arguments that make no sense."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import konv
from tests import reference
from tests.cases import channels_last
from tests.pool.cases import Pool
from tests.views import VIEWS

POOL = Pool((2, 5, 9, 11), 3, 2, 1)
FUNCTIONS = (konv.max_pool2d, konv.avg_pool2d)


@pytest.mark.parametrize("view", VIEWS)
def test_strided_input(view: str) -> None:
    x = POOL.data()
    strange = VIEWS[view](x)
    for function in FUNCTIONS:
        expected = function(x, 3, 2, 1)
        np.testing.assert_array_equal(function(strange, 3, 2, 1), expected)
    _, places = reference.max_pool2d(x, 3, 2, 1)
    np.testing.assert_array_equal(konv.max_pool2d(strange, 3, 2, 1, return_indices=True)[1], places)
    np.testing.assert_array_equal(strange, x)


@pytest.mark.parametrize("view", VIEWS)
def test_strided_gradients(view: str) -> None:
    x = POOL.data()
    values, places = reference.max_pool2d(x, 3, 2, 1)
    gy = POOL.gradient(values.shape)
    strange = VIEWS[view](gy)
    np.testing.assert_array_equal(
        konv.grad.max_pool2d(strange, VIEWS["flipped"](places), x.shape),
        konv.grad.max_pool2d(gy, places, x.shape),
    )
    np.testing.assert_array_equal(
        konv.grad.avg_pool2d(strange, x.shape, 3, 2, 1),
        konv.grad.avg_pool2d(gy, x.shape, 3, 2, 1),
    )


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "read_only"])
def test_out(view: str) -> None:
    x = POOL.data()
    for function in FUNCTIONS:
        expected = function(x, 3, 2, 1)
        out = VIEWS[view](np.full(expected.shape, np.nan, np.float32))
        assert function(x, 3, 2, 1, out=out) is out
        np.testing.assert_array_equal(out, expected)
    gy = POOL.gradient(expected.shape)
    _, places = reference.max_pool2d(x, 3, 2, 1)
    out = VIEWS[view](np.full(x.shape, np.nan, np.float32))
    assert konv.grad.max_pool2d(gy, places, x.shape, out=out) is out
    np.testing.assert_array_equal(out, konv.grad.max_pool2d(gy, places, x.shape))
    assert konv.grad.avg_pool2d(gy, x.shape, 3, 2, 1, out=out) is out
    np.testing.assert_array_equal(out, konv.grad.avg_pool2d(gy, x.shape, 3, 2, 1))


def test_output_follows_the_memory_order_of_the_input() -> None:
    x = POOL.data()
    for function in FUNCTIONS:
        assert function(x, 2).flags.c_contiguous
        assert function(channels_last(x), 2).transpose(0, 2, 3, 1).flags.c_contiguous


X = np.ones((1, 3, 8, 8), np.float32)
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "rank 2": ({"input": np.ones((8, 8), np.float32)}, "input"),
    "list": ({"input": X.tolist()}, "input.*list"),
    "None": ({"input": None}, "input.*None"),
    "integers": ({"input": X.astype(np.int32)}, "input.*int32"),
    "objects": ({"input": X.astype(object)}, "input.*object"),
    "no kernel": ({"kernel_size": 0}, "kernel_size"),
    "negative kernel": ({"kernel_size": (2, -2)}, "kernel_size"),
    "kernel is a float": ({"kernel_size": 2.0}, "kernel_size"),
    "kernel is None": ({"kernel_size": None}, "kernel_size"),
    "kernel of rank 3": ({"kernel_size": (2, 2, 2)}, "kernel_size"),
    "kernel too large": ({"kernel_size": 9}, "kernel|output|empty"),
    "huge kernel": ({"kernel_size": 2**62}, "kernel|output|large"),
    "kernel beyond int64": ({"kernel_size": 2**64}, "kernel_size|large"),
    "zero stride": ({"stride": 0}, "stride"),
    "stride is a bool": ({"stride": True}, "stride"),
    "negative padding": ({"padding": -1}, "padding"),
    "padding over half the kernel": ({"padding": 2}, "padding.*half|padding"),
    "huge padding": ({"padding": 2**62}, "padding"),
    "layout unknown": ({"layout": "HWCN"}, "layout.*HWCN"),
    "no threads": ({"threads": 0}, "threads"),
    "out of wrong shape": ({"out": np.ones((1, 3, 4, 5), np.float32)}, "out"),
    "out of wrong dtype": ({"out": np.ones((1, 3, 4, 4), np.float64)}, "out"),
    "argument unknown": ({"kernel": 2}, "kernel"),
    "ceil_mode is text": ({"ceil_mode": "yes"}, "ceil_mode"),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str, function: Any) -> None:
    changes, message = REJECTED[name]
    arguments = {"input": X.copy(), "kernel_size": 2, "out": np.ones((1, 3, 4, 4), np.float32)}
    arguments.update(changes)
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**arguments)
    assert re.search(message, str(caught.value)), str(caught.value)
    if name not in ("out of wrong shape", "out of wrong dtype"):
        assert (arguments["out"] == 1).all()


def test_rejected_by_one_function_only() -> None:
    with pytest.raises(ValueError, match="dilation"):
        konv.max_pool2d(X, 2, dilation=0)
    with pytest.raises(ValueError, match=r"dilation|kernel|output|large"):
        konv.max_pool2d(X, 2, dilation=2**62)
    with pytest.raises(ValueError, match="divisor_override"):
        konv.avg_pool2d(X, 2, divisor_override=0)


def test_overlap_is_refused() -> None:
    memory = np.zeros(400, np.float32)
    x, out = memory[:192].reshape(1, 3, 8, 8), memory[180:228].reshape(1, 3, 4, 4)
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match=r"out.*(overlap|share)"):
            function(x, 2, out=out)


@pytest.mark.parametrize("index", [-1, 64, 2**62, -(2**63)])
def test_indices_outside_the_plane(index: int) -> None:
    """Indices come from the caller: none may write outside the result."""
    gy = np.ones((1, 3, 4, 4), np.float32)
    indices = np.zeros((1, 3, 4, 4), np.int64)
    indices[0, 2, 3, 3] = index
    out = np.ones((1, 3, 8, 8), np.float32)
    with pytest.raises((ValueError, IndexError), match="indices"):
        konv.grad.max_pool2d(gy, indices, (1, 3, 8, 8), out=out)
    assert (out == 1).all()


GY = np.ones((1, 3, 4, 4), np.float32)
PLACES = np.zeros((1, 3, 4, 4), np.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GY, np.zeros((1, 3, 4, 5), np.int64), X.shape), "indices"),
        ((GY, PLACES.astype(float), X.shape), "indices"),
        ((GY, PLACES.tolist(), X.shape), "indices"),
        ((GY, PLACES, (3, 8)), "input_size"),
        ((GY, PLACES, (1, 4, 8, 8)), r"input_size|grad_output"),
        ((GY.astype(int), PLACES, X.shape), "grad_output"),
    ],
)
def test_rejected_max_gradients(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        konv.grad.max_pool2d(*arguments)


def test_rejected_avg_gradients() -> None:
    gy = np.ones((1, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"grad_output|input_size"):
        konv.grad.avg_pool2d(gy, (1, 3, 9, 12), 2)
    with pytest.raises(ValueError, match="kernel_size"):
        konv.grad.avg_pool2d(gy, (1, 3, 8, 8), 0)
    with pytest.raises(TypeError, match="grad_output"):
        konv.grad.avg_pool2d(gy.tolist(), (1, 3, 8, 8), 2)
