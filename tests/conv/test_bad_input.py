"""Arguments that make no sense: a clear error each, and nothing written."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import konv

X = np.ones((1, 4, 8, 8), np.float32)
W = np.ones((6, 4, 3, 3), np.float32)
B = np.ones(6, np.float32)
GY = np.ones((1, 6, 6, 6), np.float32)
HUGE = 2**62
BEYOND = 2**64
MIXED = "float64|dtype"


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


# What is passed instead of the good arguments, and what the message must say.
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    # rank and shape
    "input of rank 2": ({"input": ones(8, 8)}, "input.*dimension"),
    "input of rank 5": ({"input": ones(1, 1, 4, 8, 8)}, "input.*dimension"),
    "input of rank 0": ({"input": np.float32(1)}, "input"),
    "weight of rank 3": ({"weight": ones(4, 3, 3)}, "weight.*dimension"),
    "bias of rank 2": ({"bias": ones(6, 1)}, "bias"),
    "bias of wrong length": ({"bias": ones(5)}, r"bias.*6.*5|bias.*5.*6"),
    "channels differ": ({"weight": ones(6, 3, 3, 3)}, r"channels|weight"),
    "channels per group differ": ({"groups": 2}, r"channels|weight"),
    "groups do not divide channels": ({"groups": 3, "weight": ones(6, 1, 3, 3)}, "groups"),
    "groups do not divide outputs": ({"groups": 4, "weight": ones(6, 1, 3, 3)}, "groups"),
    "no groups": ({"groups": 0}, "groups"),
    "negative groups": ({"groups": -1}, "groups"),
    "empty kernel": ({"weight": ones(6, 4, 0, 3)}, "weight|kernel"),
    "kernel larger than the image": ({"weight": ones(6, 4, 9, 3)}, "kernel|output|empty"),
    "dilated kernel larger than the image": ({"dilation": 4}, "kernel|output|empty"),
    "empty image": ({"input": ones(1, 4, 0, 8)}, "input|kernel|output|empty"),
    # numbers
    "zero stride": ({"stride": 0}, "stride"),
    "negative stride": ({"stride": (1, -1)}, "stride"),
    "three strides": ({"stride": (1, 1, 1)}, "stride"),
    "stride is a float": ({"stride": 1.0}, "stride"),
    "stride is a string": ({"stride": "2"}, "stride"),
    "stride is None": ({"stride": None}, "stride"),
    "stride is a bool": ({"stride": True}, "stride"),
    "stride holds a bool": ({"stride": (1, True)}, "stride"),
    "stride holds a float": ({"stride": (1, 2.5)}, "stride"),
    "zero dilation": ({"dilation": (0, 1)}, "dilation"),
    "negative dilation": ({"dilation": -2}, "dilation"),
    "dilation is a float": ({"dilation": 1.0}, "dilation"),
    "negative padding": ({"padding": -1}, "padding"),
    "negative padding on one side": ({"padding": ((0, 0), (0, -1))}, "padding"),
    "padding for three axes": ({"padding": (1, 1, 1)}, "padding"),
    "padding with three sides": ({"padding": ((1, 1, 1), (1, 1, 1))}, "padding"),
    "padding unknown": ({"padding": "full"}, r"padding.*full"),
    "padding causal in two dimensions": ({"padding": "causal"}, "padding"),
    "padding is a float": ({"padding": 0.5}, "padding"),
    "padding is None": ({"padding": None}, "padding"),
    "padding is a bool": ({"padding": True}, "padding"),
    "groups is a float": ({"groups": 1.0}, "groups"),
    "groups is a bool": ({"groups": True}, "groups"),
    # sizes that overflow
    "huge padding": ({"padding": HUGE}, "padding|large|overflow"),
    "padding of 2**63 - 1": ({"padding": 2**63 - 1}, "padding|large|overflow"),
    "padding beyond int64": ({"padding": BEYOND}, "padding|large|overflow"),
    "output too large to exist": ({"padding": 2**40}, "large|overflow|padding|memory"),
    "huge dilation": ({"dilation": HUGE}, "dilation|kernel|output|large|overflow"),
    "dilation of 2**63 - 1": ({"dilation": 2**63 - 1}, "dilation|kernel|output|large|overflow"),
    "huge dilation and padding": ({"dilation": HUGE, "padding": HUGE}, "dilation|padding|large"),
    "dilation beyond int64": ({"dilation": BEYOND}, "dilation|large|overflow"),
    "stride beyond int64": ({"stride": BEYOND}, "stride|large|overflow"),
    "groups beyond int64": ({"groups": BEYOND}, "groups|large|overflow"),
    # dtypes
    "mixed dtypes": ({"weight": W.astype(np.float64)}, MIXED),
    "bias of another dtype": ({"bias": B.astype(np.float64)}, "bias.*float64|bias.*dtype"),
    "object array": ({"input": X.astype(object)}, "input.*object"),
    "integers": ({"input": X.astype(np.int32), "weight": W.astype(np.int32)}, "input.*int32"),
    "booleans": ({"input": X.astype(bool)}, "input.*bool"),
    "complex numbers": ({"input": X.astype(np.complex64)}, "weight: expected dtype complex64 like input"),
    "half precision": ({"input": X.astype(np.float16)}, "weight: expected dtype float16 like input, got float32"),
    "long doubles": (
        {"input": X.astype(np.longdouble)},
        "input.*(longdouble|float128|float80|float64)",
    ),
    "text": ({"input": X.astype("U1")}, "input"),
    "records": ({"input": np.ones((1, 4, 8, 8), [("a", "f4")])}, "input"),
    "foreign byte order": ({"input": X.astype(X.dtype.newbyteorder())}, "input.*(byte|>f4|dtype)"),
    # memory
    "input is not aligned": ({"input": unaligned(1, 4, 8, 8)}, "input.*align"),
    "weight is not aligned": ({"weight": unaligned(6, 4, 3, 3)}, "weight.*align"),
    "input is a field of records": ({"input": records(1, 4, 8, 8)}, "input.*(align|stride)"),
    # not arrays
    "input is a list": ({"input": X.tolist()}, "input.*list"),
    "weight is a list": ({"weight": W.tolist()}, "weight.*list"),
    "bias is a list": ({"bias": B.tolist()}, "bias.*list"),
    "input is None": ({"input": None}, "input.*None"),
    "weight is None": ({"weight": None}, "weight.*None"),
    "input is a number": ({"input": 3.0}, "input.*float"),
    "input is text": ({"input": "image.png"}, "input.*str"),
    # not in this version, or unknown
    "padding mode reflect": ({"padding_mode": "reflect", "padding": 8}, "padding: mode 'reflect' takes at most 7"),
    "padding mode unknown": ({"padding_mode": "mirror"}, "padding_mode.*mirror"),
    "unknown activation": ({"activation": "swish"}, "activation.*swish"),
    "activation is a function": ({"activation": np.tanh}, "activation"),
    "algorithm unknown": ({"algorithm": "fastest"}, "algorithm.*fastest"),
    "algorithm is None": ({"algorithm": None}, "algorithm"),
    "algorithm not for the problem": ({"algorithm": "pointwise"}, "pointwise"),
    "layout unknown": ({"layout": "NCWH"}, "layout.*NCWH"),
    "layout of another rank": ({"layout": "NWC"}, "layout.*NWC"),
    "layout is a number": ({"layout": 1}, "layout"),
    "no threads": ({"threads": 0}, "threads"),
    "negative threads": ({"threads": -4}, "threads"),
    "threads is a float": ({"threads": 1.5}, "threads"),
    "negative workspace": ({"max_workspace": -1}, "max_workspace"),
    "argument unknown": ({"strides": 2}, "strides"),
    # out
    "out of wrong shape": ({"out": ones(1, 6, 6, 7)}, r"out.*shape|out.*\(1, 6, 6, 6\)"),
    "out of wrong rank": ({"out": ones(6, 6, 6)}, "out"),
    "out of wrong dtype": ({"out": ones(1, 6, 6, 6, dtype=np.float64)}, "out.*float64|out.*dtype"),
    "out is read-only": ({"out": read_only(1, 6, 6, 6)}, "out.*(read|writ)"),
    "out is not aligned": ({"out": unaligned(1, 6, 6, 6)}, "out.*align"),
    "out is a list": ({"out": [1.0]}, "out.*list"),
    "out of foreign byte order": ({"out": GY.astype(GY.dtype.newbyteorder())}, "out"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    changes, message = REJECTED[name]
    given = {"input": X.copy(), "weight": W.copy(), "bias": B.copy(), "out": ones(1, 6, 6, 6)}
    given.update(changes)
    kept = {k: v.copy() for k, v in given.items() if isinstance(v, np.ndarray)}
    with pytest.raises((ValueError, TypeError)) as caught:
        konv.conv2d(**given)
    assert re.search(message, str(caught.value)), str(caught.value)
    for key, value in kept.items():
        np.testing.assert_array_equal(given[key], value)


def test_type_errors_are_type_errors() -> None:
    for name in ("input is a list", "input is None", "stride is a float", "argument unknown",
                 "object array", "mixed dtypes", "out is a list"):  # fmt: skip
        with pytest.raises(TypeError):
            konv.conv2d(**{"input": X, "weight": W, **REJECTED[name][0]})


def test_missing_arguments() -> None:
    with pytest.raises(TypeError, match="weight"):
        konv.conv2d(X)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="input"):
        konv.conv2d()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        konv.conv2d(X, W, None, 1, 0, 1, 1, "zeros")  # type: ignore[misc]
    with pytest.raises(TypeError, match="stride"):
        konv.conv2d(X, W, None, 1, stride=1)  # type: ignore[misc]


GOOD: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "input": (
        konv.grad.conv2d_input,
        {"input_size": X.shape, "weight": W, "grad_output": GY},
    ),
    "weight": (
        konv.grad.conv2d_weight,
        {"input": X, "weight_size": W.shape, "grad_output": GY},
    ),
}
REJECTED_GRADIENTS: list[tuple[str, dict[str, Any], str]] = [
    ("input", {"input_size": (1, 4, 9, 8)}, "grad_output|input_size"),
    ("input", {"input_size": (2, 4, 8, 8)}, "grad_output|input_size"),
    ("input", {"input_size": (1, 5, 8, 8)}, "input_size|channels|weight"),
    ("input", {"input_size": (4, 8)}, "input_size"),
    ("input", {"input_size": (1, 4, -8, 8)}, "input_size"),
    ("input", {"input_size": (1, 4, 8.0, 8)}, "input_size"),
    ("input", {"input_size": (1, 4, 2**62, 2**62)}, "input_size|large|overflow|grad_output"),
    ("input", {"input_size": (1, 4, BEYOND, 8)}, "input_size|large|overflow"),
    ("input", {"input_size": X}, "input_size"),
    ("input", {"input_size": None}, "input_size"),
    ("input", {"grad_output": ones(1, 5, 6, 6)}, "grad_output|weight"),
    ("input", {"grad_output": ones(1, 6, 6, 7)}, "grad_output"),
    ("input", {"grad_output": GY.astype(np.float64)}, MIXED),
    ("input", {"grad_output": GY.tolist()}, "grad_output.*list"),
    ("input", {"stride": 0}, "stride"),
    ("input", {"padding": -1}, "padding"),
    ("input", {"out": ones(1, 4, 8, 9)}, "out"),
    ("input", {"out": read_only(1, 4, 8, 8)}, "out.*(read|writ)"),
    ("input", {"accumulate": True}, "accumulate"),  # not in this version
    ("input", {"algorithm": "depthwise"}, "depthwise"),
    ("input", {"algorithm": "nothing"}, "algorithm.*nothing"),
    ("weight", {"weight_size": (6, 4, 3, 4)}, "grad_output|weight_size"),
    ("weight", {"weight_size": (5, 4, 3, 3)}, "grad_output|weight_size"),
    ("weight", {"weight_size": (6, 3, 3, 3)}, "weight_size|channels"),
    ("weight", {"weight_size": (6, 4, 3)}, "weight_size"),
    ("weight", {"weight_size": (6, 4, 0, 3)}, "weight_size|kernel"),
    ("weight", {"weight_size": None}, "weight_size"),
    ("weight", {"input": X.tolist()}, "input.*list"),
    ("weight", {"input": X.astype(np.int64)}, "input.*int64"),
    ("weight", {"grad_output": ones(2, 6, 6, 6)}, "grad_output|input"),
    ("weight", {"dilation": 0}, "dilation"),
    ("weight", {"groups": 3}, "groups|weight_size"),
    ("weight", {"padding": HUGE}, "padding|large|overflow|grad_output"),
    ("weight", {"out": ones(6, 4, 3, 3, dtype=np.float64)}, "out.*float64|out.*dtype"),
]


@pytest.mark.parametrize("row", REJECTED_GRADIENTS, ids=lambda r: f"{r[0]}-{next(iter(r[1]))}")
def test_rejected_gradients(row: tuple[str, dict[str, Any], str]) -> None:
    direction, changes, message = row
    function, good = GOOD[direction]
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**{**good, **changes})
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("value", [[1.0], None, ones(3), ones(1, 2, 3, 4, 5, 6), ones(1, 2, 3, 3, dtype=int)])
def test_rejected_bias_gradient(value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="grad_output"):
        konv.grad.conv_bias(value)


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
