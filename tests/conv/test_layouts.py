"""Any strides in, and the memory order that comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import konv
from tests.cases import DIRECTIONS, Case, Data, channels_last
from tests.views import VIEWS

SHAPES = (
    Case(2, 6, (7, 9), 5, padding=((1, 1), (1, 1))),
    Case(2, 18, (6, 7), 17, (1, 1)),
    Case(2, 6, (7, 9), 6, padding=((1, 1), (1, 1)), groups=6),
    Case(2, 6, (9, 8), 4, (3, 2), (2, 1), ((1, 0), (0, 1)), groups=2),
)
USED = {"forward": ("x", "w"), "input": ("w", "gy"), "weight": ("x", "gy")}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_strided_arguments(case: Case, view: str, direction: str) -> None:
    """Each argument alone, then all of them, in odd memory; the arguments keep their values."""
    data, truth, magnitude = case.known(direction, "float32", 0)
    used = USED[direction]
    for names in (*((name,) for name in used), used):
        strange = replace(data, **{name: VIEWS[view](getattr(data, name)) for name in names})
        case.compare(direction, case.compute(direction, strange), truth, magnitude)
        for name in names:
            np.testing.assert_array_equal(getattr(strange, name), getattr(data, name))


@pytest.mark.parametrize("view", [v for v in VIEWS if v not in ("swapped", "interleaved", "channels_last")])
def test_strided_bias(view: str) -> None:
    data, truth, magnitude = SHAPES[0].known("forward", "float32", 0)
    strange = replace(data, b=VIEWS[view](data.b))
    SHAPES[0].compare("forward", SHAPES[0].compute("forward", strange), truth, magnitude)


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "channels_last"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_strided_channels_last_arguments(direction: str, view: str) -> None:
    case = SHAPES[0]
    data, truth, magnitude = case.known(direction, "float64", 0)
    x, gy = (VIEWS[view](a.transpose(0, 2, 3, 1)) for a in (data.x, data.gy))
    n, c, h, w = case.input_shape
    if direction == "forward":
        out = konv.conv2d(x, data.w, data.b, **case.options, layout="NHWC")
    elif direction == "input":
        size = (n, h, w, c)
        out = konv.grad.conv2d_input(size, data.w, gy, **case.options, layout="NHWC")
    else:
        out = konv.grad.conv2d_weight(x, case.weight_shape, gy, **case.options, layout="NHWC")
    if direction != "weight":
        out = out.transpose(0, 3, 1, 2)
    case.compare(direction, out, truth, magnitude)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_broadcast_arguments(axis: int, direction: str) -> None:
    """Zero strides, as np.broadcast_to makes them."""
    case = SHAPES[0]
    data = case.data()

    def spread(a: np.ndarray) -> np.ndarray:
        return np.broadcast_to(a.take([0], axis), a.shape)

    strange = Data(spread(data.x), spread(data.w), data.b, spread(data.gy))
    truth = case.truth(direction, strange)
    out = case.compute(direction, strange)
    case.compare(direction, out, truth, case.truth(direction, abs(strange)))


def test_one_value_everywhere() -> None:
    case = SHAPES[0]
    one = np.float32(1.5)
    x, w = np.broadcast_to(one, case.input_shape), np.broadcast_to(one, case.weight_shape)
    out = konv.conv2d(x, w)
    np.testing.assert_array_equal(out, np.full(out.shape, 54 * 2.25, np.float32))


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_output_follows_the_memory_order_of_the_input(case: Case) -> None:
    data = case.data()
    assert case.compute("forward", data).flags.c_contiguous
    assert case.compute("input", data).flags.c_contiguous
    assert case.compute("weight", data).flags.c_contiguous
    last = replace(data, x=channels_last(data.x), gy=channels_last(data.gy))
    for direction in ("forward", "input"):
        out = case.compute(direction, last)
        assert out.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("direction", ["forward", "input"])
def test_nhwc_output_is_contiguous(direction: str) -> None:
    case = SHAPES[0]
    out = case.compute(direction, case.data(), layout="NHWC")
    assert out.transpose(0, 2, 3, 1).flags.c_contiguous


def test_results_own_fresh_memory() -> None:
    """A result must survive the calls that follow it, whatever memory these reuse."""
    case = SHAPES[0]
    data, other = case.data(), case.data(seed=1)
    first = case.compute("forward", data)
    kept = first.copy()
    for _ in range(5):
        assert not np.shares_memory(case.compute("forward", other), first)
    np.testing.assert_array_equal(first, kept)
