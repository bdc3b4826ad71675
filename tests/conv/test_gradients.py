"""Gradients of convolution against the truth, finite differences and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import konv
from tests import reference, strategies
from tests.cases import CASES, DTYPES, ISA_LEVELS, LAYOUTS, Case, channels_last

GRADIENTS = ("input", "weight")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_truth(case: Case, direction: str, dtype: str, layout: str) -> None:
    case.check(direction, dtype, layout=layout)


@pytest.mark.parametrize("direction", GRADIENTS)
@settings(max_examples=300)
@given(case=strategies.cases())
def test_random_shapes(direction: str, case: Case) -> None:
    for layout in LAYOUTS:
        case.check(direction, layout=layout)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_pytorch(case: Case) -> None:
    torch = pytest.importorskip("torch")
    data = case.data("float64")
    (top, bottom), (left, right) = case.pads
    x, w, gy = (torch.from_numpy(a) for a in (data.x, data.w, data.gy))
    x.requires_grad_(True)
    w.requires_grad_(True)
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    torch.nn.functional.conv2d(padded, w, None, case.stride, 0, case.dilation, case.groups).backward(gy)
    for direction, theirs in (("input", x.grad), ("weight", w.grad)):
        ours = case.compute(direction, data)
        np.testing.assert_allclose(ours, theirs.numpy(), 1e-10, 1e-10)


def first_layer(outputs: int, width: int, columns: int, stride: int, dilation: int, groups: int) -> Case:
    return Case(
        2, 2 * groups, (67, width), outputs * groups, (3, columns), (stride, 1), dilation=(dilation, 1), groups=groups
    )


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize(
    "case",
    [
        first_layer(8, 98, 3, 1, 1, 1),
        first_layer(9, 97, 3, 2, 1, 1),
        first_layer(37, 33, 3, 1, 2, 1),
        first_layer(5, 116, 5, 1, 1, 2),
        first_layer(6, 19, 5, 2, 2, 1),
        first_layer(3, 118, 7, 1, 1, 1),
        first_layer(1, 203, 7, 1, 1, 2),
    ],
    ids=str,
)
def test_first_layers(case: Case, isa: str) -> None:
    data = case.data()
    with konv.config(isa=isa):
        one = case.check("weight", algorithm="direct", threads=1)
        for threads in (2, 3, 16):
            more = case.compute("weight", data, algorithm="direct", threads=threads)
            np.testing.assert_array_equal(more, one)


SMALL = (
    Case(2, 3, (5, 6), 4, padding=((1, 1), (1, 1))),
    Case(1, 4, (7, 6), 4, (3, 2), (2, 1), ((0, 1), (2, 0)), (1, 2), groups=2),
    Case(1, 3, (6, 6), 3, padding=((1, 1), (1, 1)), groups=3),
    Case(1, 3, (4, 4), 5, (1, 1)),
)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_finite_differences(case: Case, direction: str) -> None:
    """Convolution is linear in each argument, so a central difference of any width is exact."""
    data = case.data("float64")
    argument = data.x if direction == "input" else data.w
    numeric = np.empty_like(argument)
    for place in np.ndindex(argument.shape):
        kept = argument[place]
        argument[place] = kept + 0.5
        above = konv.conv2d(data.x, data.w, **case.options)
        argument[place] = kept - 0.5
        below = konv.conv2d(data.x, data.w, **case.options)
        argument[place] = kept
        numeric[place] = ((above - below) * data.gy).sum()
    np.testing.assert_allclose(case.compute(direction, data), numeric, 1e-11, 1e-11)


@pytest.mark.parametrize("direction", GRADIENTS)
@pytest.mark.parametrize("padding", ["valid", 1, (1, 2), "same", "same_lower"], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_spellings(direction: str, padding: Any, layout: str) -> None:
    shown = ((1, 1), (2, 2)) if padding == (1, 2) else padding
    Case(1, 3, (9, 8), 4, (3, 2), (2, 1), shown).check(direction, layout=layout)


def test_pytorch_tuple_padding() -> None:
    case = Case(1, 3, (9, 8), 4, padding=((1, 1), (2, 2)))
    data = case.data()
    given = konv.grad.conv2d_input(case.input_shape, data.w, data.gy, padding=(1, 2))
    np.testing.assert_array_equal(given, case.compute("input", data))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bias(dtype: str, layout: str) -> None:
    gy = Case(3, 1, (9, 11), 21, (1, 1)).data(dtype).gy
    given, options = gy, {}
    if layout == "NHWC":
        given, options = np.ascontiguousarray(gy.transpose(0, 2, 3, 1)), {"layout": "NHWC"}
    elif layout == "NCHW-last":
        given = channels_last(gy)
    out = konv.grad.conv_bias(given, **options)
    assert out.dtype == np.dtype(dtype)
    count = gy.size // gy.shape[1]
    reference.assert_accurate(out, reference.conv_bias(gy), reference.conv_bias(np.abs(gy)), count)


@pytest.mark.parametrize("direction", GRADIENTS)
def test_nan_reaches_the_gradient(direction: str) -> None:
    case = Case(1, 4, (9, 9), 4, padding=((1, 1), (1, 1)))
    data = case.data()
    data.gy[0, 1, 4, 4] = np.nan
    actual, expected = case.compute(direction, data), case.truth(direction, data)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))


def test_unbatched() -> None:
    case = Case(1, 5, (9, 8), 4, padding=((1, 1), (1, 1)))
    data = case.data()
    single = konv.grad.conv2d_input(case.input_shape[1:], data.w, data.gy[0], padding=1)
    np.testing.assert_array_equal(single, case.compute("input", data)[0])
    single = konv.grad.conv2d_weight(data.x[0], case.weight_shape, data.gy[0], padding=1)
    np.testing.assert_array_equal(single, case.compute("weight", data))
