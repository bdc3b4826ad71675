"""Forward convolution as a user calls it: konv chooses the algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import konv
from tests import convolution, reference, strategies
from tests.cases import CASES, DTYPES, LAYOUTS, Case


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_truth(case: Case, dtype: str, layout: str) -> None:
    case.check("forward", dtype, layout=layout)


@settings(max_examples=300)
@given(case=strategies.cases())
def test_random_shapes(case: Case) -> None:
    for layout in LAYOUTS:
        case.check("forward", layout=layout)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_pytorch(case: Case) -> None:
    torch = pytest.importorskip("torch")
    data = case.data("float64")
    (top, bottom), (left, right) = case.pads
    x = torch.nn.functional.pad(torch.from_numpy(data.x), (left, right, top, bottom))
    theirs = torch.nn.functional.conv2d(
        x, torch.from_numpy(data.w), torch.from_numpy(data.b), case.stride, 0, case.dilation,
        case.groups,
    )  # fmt: skip
    np.testing.assert_allclose(case.compute("forward", data), theirs.numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES[:12], ids=str)
def test_bias_and_relu(case: Case, dtype: str) -> None:
    data = case.data(dtype)
    options = case.options
    bare = konv.conv2d(data.x, data.w, **options)
    magnitude = case.truth("forward", abs(data))
    expected = convolution.conv(data.x, data.w, None, **options)
    reference.assert_accurate(bare, expected, magnitude, case.length("forward"))
    with_bias = konv.conv2d(data.x, data.w, data.b, **options)
    both = konv.conv2d(data.x, data.w, data.b, **options, activation="relu")
    np.testing.assert_array_equal(both, np.maximum(with_bias, 0))
    relu = konv.conv2d(data.x, data.w, **options, activation="relu")
    np.testing.assert_array_equal(relu, np.maximum(bare, 0))


@pytest.mark.parametrize(
    ("padding", "pads"),
    [
        ("valid", ((0, 0), (0, 0))),
        (0, ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        (np.int64(2), ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
        ([[0, 1], [2, 3]], ((0, 1), (2, 3))),
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_padding_spellings(padding: Any, pads: convolution.Pads, layout: str) -> None:
    plain = Case(1, 3, (9, 8), 4, (4, 3), padding=pads)
    data = plain.data()
    expected = plain.check("forward", layout=layout)
    actual = plain.compute("forward", data, layout=layout, padding=padding)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 3)], ids=str)
@pytest.mark.parametrize("dilation", [1, 2], ids=str)
@pytest.mark.parametrize("padding", ["same", "same_lower"])
@pytest.mark.parametrize("size", [(9, 8), (7, 7), (1, 10), (2, 3)], ids=str)
def test_same_padding(size: Any, padding: str, dilation: int, stride: Any) -> None:
    case = Case(1, 3, size, 4, (4, 3), convolution.sizes(stride, 2), padding, (dilation, dilation))
    out = case.check("forward")
    steps = convolution.sizes(stride, 2)
    assert out.shape[2:] == (-(-size[0] // steps[0]), -(-size[1] // steps[1]))


def test_int_arguments_mean_both_axes() -> None:
    data = Case(1, 2, (12, 12), 2, (3, 3)).data()
    pairs = konv.conv2d(data.x, data.w, None, (2, 2), (1, 1), (2, 2))
    np.testing.assert_array_equal(konv.conv2d(data.x, data.w, None, 2, 1, 2), pairs)
    numpy_ints = konv.conv2d(data.x, data.w, None, np.int32(2), np.uint8(1), np.int64(2))
    np.testing.assert_array_equal(numpy_ints, pairs)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_unbatched(layout: str) -> None:
    case = Case(1, 5, (9, 8), 4, padding=((1, 1), (1, 1)))
    data = case.data()
    options: dict[str, Any] = {"padding": 1}
    x = data.x
    if layout == "NHWC":
        x, options["layout"] = np.ascontiguousarray(x.transpose(0, 2, 3, 1)), "NHWC"
    batched = konv.conv2d(x, data.w, data.b, **options)
    single = konv.conv2d(x[0], data.w, data.b, **options)
    assert single.ndim == 3
    np.testing.assert_array_equal(single, batched[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("groups", [1, 4])
def test_nonfinite_values_spread_as_in_the_truth(groups: int, value: float, layout: str) -> None:
    case = Case(1, 4, (9, 9), 4, padding=((1, 1), (1, 1)), groups=groups)
    data = case.data()
    data.x[0, 2, 4, 3] = value
    with np.errstate(invalid="ignore"):
        expected = case.truth("forward", data)
    actual = case.compute("forward", data, layout=layout)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(actual[infinite], expected[infinite])
    assert np.isfinite(actual[np.isfinite(expected)]).all()


def test_relu_keeps_nan() -> None:
    case = Case(1, 3, (6, 6), 20, padding=((1, 1), (1, 1)))
    data = case.data()
    data.x[0, 1, 2, 2] = np.nan
    out = case.compute("forward", data, activation="relu")
    np.testing.assert_array_equal(np.isnan(out), np.isnan(case.truth("forward", data)))


def test_layout_nchw_is_the_default() -> None:
    data = CASES[0].data()
    np.testing.assert_array_equal(konv.conv2d(data.x, data.w, layout="NCHW"), konv.conv2d(data.x, data.w))


def test_large_image() -> None:
    """More pixels than a tile holds in either direction, with a border that is never a multiple."""
    case = Case(1, 3, (517, 303), 5, padding=((1, 1), (1, 1)))
    for layout in LAYOUTS:
        case.check("forward", layout=layout)
