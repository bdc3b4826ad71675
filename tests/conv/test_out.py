"""`out=`: written in place with any strides, and nothing beside it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

import konv
from tests.cases import DIRECTIONS, DTYPES, Case, channels_last
from tests.views import VIEWS

SHAPES = (
    Case(2, 6, (7, 9), 5, padding=((1, 1), (1, 1))),
    Case(2, 18, (6, 7), 17, (1, 1)),
    Case(2, 6, (7, 9), 6, padding=((1, 1), (1, 1)), groups=6),
    Case(2, 6, (9, 8), 4, (3, 2), (2, 1), ((1, 0), (0, 1)), groups=2),
    Case(1, 3, (6, 40), 37, padding=((1, 1), (1, 1))),
)
WRITABLE = [name for name in VIEWS if name != "read_only"]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("view", WRITABLE)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_any_strides(case: Case, view: str, direction: str) -> None:
    data, truth, magnitude = case.known(direction, "float32", 0)
    out = VIEWS[view](np.full(truth.shape, np.nan, np.float32))
    base = out
    while base.base is not None:
        base = base.base
    assert case.compute(direction, data, out=out) is out
    case.compare(direction, out, truth, magnitude)
    assert np.isnan(base).sum() == base.size - out.size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_bits_do_not_depend_on_out(case: Case, dtype: str) -> None:
    data = case.data(dtype)
    fresh = case.compute("forward", data)
    np.testing.assert_array_equal(case.compute("forward", data, out=np.empty_like(fresh)), fresh)


def test_relu_into_out() -> None:
    case = SHAPES[0]
    data = case.data()
    out = np.full(case.output_shape, -1, np.float32)
    konv.conv2d(data.x, data.w, data.b, **case.options, activation="relu", out=out)
    np.testing.assert_array_equal(out, np.maximum(case.compute("forward", data), 0))


def test_nhwc() -> None:
    case = SHAPES[0]
    data = case.data()
    n, k, h, w = case.output_shape
    out = np.full((n, h, w, k), np.nan, np.float32)
    x = np.ascontiguousarray(data.x.transpose(0, 2, 3, 1))
    assert konv.conv2d(x, data.w, data.b, **case.options, layout="NHWC", out=out) is out
    expected = case.compute("forward", data, layout="NHWC").transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(out, expected)


def test_out_chooses_its_own_memory_order() -> None:
    case = SHAPES[0]
    data, truth, magnitude = case.known("forward", "float32", 0)
    out = channels_last(np.zeros(case.output_shape, np.float32))
    case.compare("forward", case.compute("forward", data, out=out), truth, magnitude)


def test_conv_bias() -> None:
    gy = SHAPES[0].data().gy
    out = np.zeros(gy.shape[1], np.float32)
    assert konv.grad.conv_bias(gy, out=out) is out
    np.testing.assert_array_equal(out, konv.grad.conv_bias(gy))


def test_conv_bias_refuses_overlap() -> None:
    gy = SHAPES[0].data().gy
    kept = gy.copy()
    for out in (gy[0, :, 0, 0], np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), gy.shape[1:2], (0,))):
        with pytest.raises(ValueError, match=r"out.*(overlap|share)"):
            konv.grad.conv_bias(gy, out=out)
    np.testing.assert_array_equal(gy, kept)


def overlapping() -> dict[str, Any]:
    """Memory shared in each way: wholly, by one row, by one element in between."""
    memory = np.zeros(4000, np.float32)
    whole = memory[:144].reshape(1, 1, 12, 12)
    return {
        "same": (whole, whole),
        "shifted": (whole, memory[130:274].reshape(1, 1, 12, 12)),
        "inside": (
            memory[:576].reshape(1, 4, 12, 12)[:, 1:2],
            memory[200:344].reshape(whole.shape),
        ),
        "reversed": (whole, whole[..., ::-1]),
    }


@pytest.mark.parametrize("how", overlapping())
def test_overlap_is_refused(how: str) -> None:
    x, out = overlapping()[how]
    weight = np.ones((1, 1, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"out.*(overlap|share)"):
        konv.conv2d(x, weight, padding=1, out=out)
    assert not out.any()


def test_overlap_with_the_weight_is_refused() -> None:
    memory = np.zeros(200, np.float32)
    x = np.ones((1, 1, 12, 12), np.float32)
    with pytest.raises(ValueError, match=r"out.*(overlap|share)"):
        konv.conv2d(x, memory[:9].reshape(1, 1, 3, 3), padding=1, out=memory[5:149].reshape(x.shape))


def test_interleaved_memory_is_refused_or_right() -> None:
    """Even and odd elements of one buffer share no byte; a check by bounds may still refuse."""
    memory = np.zeros(288, np.float32)
    x, out = (memory[i::2].reshape(1, 1, 12, 12) for i in (0, 1))
    x[...] = np.arange(144).reshape(x.shape)
    expected = x.copy()
    with contextlib.suppress(ValueError):
        konv.conv2d(x, np.ones((1, 1, 1, 1), np.float32), out=out)
        np.testing.assert_array_equal(out, x)
    np.testing.assert_array_equal(x, expected)


def test_self_overlapping_out_is_refused() -> None:
    x = np.ones((1, 1, 12, 12), np.float32)
    out = np.lib.stride_tricks.as_strided(np.zeros(144, np.float32), x.shape, (0, 0, 4, 4))
    with pytest.raises(ValueError, match="out"):
        konv.conv2d(x, np.ones((1, 1, 1, 1), np.float32), out=out)
