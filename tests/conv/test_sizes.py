"""Sizes around every SIMD width: each tail of each kernel is met at each ISA level."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests.cases import DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case
from tests.reference import assert_accurate

SIZES = range(1, 36)
FAMILIES = {
    "3x3": lambda n: Case(1, n, (4, 5), n, padding=((1, 1), (1, 1))),
    "pointwise": lambda n: Case(1, n, (3, 5), n, (1, 1)),
    "depthwise": lambda n: Case(1, n, (4, 5), n, padding=((1, 1), (1, 1)), groups=n),
    "outputs": lambda n: Case(1, 3, (4, 5), n),
    "inputs": lambda n: Case(1, n, (4, 5), 3),
    "width": lambda n: Case(1, 2, (3, n), 3, padding=((1, 1), (1, 1))),
    "width-depthwise": lambda n: Case(1, 2, (3, n), 2, padding=((1, 1), (1, 1)), groups=2),
    "width-stride2": lambda n: Case(1, 2, (3, n), 2, stride=(2, 2), padding=((1, 1), (1, 1))),
    "height": lambda n: Case(1, 2, (n, 3), 3, padding=((1, 1), (1, 1))),
    "pixels-pointwise": lambda n: Case(1, 4, (1, n), 5, (1, 1)),
    "batch": lambda n: Case(n, 2, (3, 3), 2),
}


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", SIZES)
def test_size(n: int, family: str, isa: str) -> None:
    case = FAMILIES[family](n)
    with konv.config(isa=isa):
        for direction in DIRECTIONS:
            for layout in LAYOUTS:
                for dtype in DTYPES:
                    case.check(direction, dtype, layout=layout)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("n", [63, 64, 65, 95, 96, 97, 127, 129, 255, 257])
def test_wider_than_one_panel(n: int, isa: str) -> None:
    with konv.config(isa=isa):
        for case in (
            Case(1, n, (3, 4), 33, padding=((1, 1), (1, 1))),
            Case(1, 33, (3, 4), n, (1, 1)),
            Case(1, 3, (2, n), 17, padding=((1, 1), (1, 1))),
        ):
            for direction in DIRECTIONS:
                case.check(direction)
                case.check(direction, layout="NHWC")


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
def test_pairs_of_panels(isa: str, activation: str | None) -> None:
    """Channels-last pixels by 64 outputs and more: remainders of a tile's rows and of steps, and a panel left over."""
    rng = np.random.default_rng(5)
    with konv.config(isa=isa):
        for pixels in range(24, 31):
            for channels, outputs in ((1, 64), (3, 96), (4, 128), (65, 130), (512, 64)):
                x = rng.standard_normal((2, 1, pixels, channels)).astype(np.float32)
                w = rng.standard_normal((outputs, channels, 1, 1)).astype(np.float32)
                b = rng.standard_normal(outputs).astype(np.float32)
                residual = rng.standard_normal((2, 1, pixels, outputs)).astype(np.float32)
                sums = x.astype(np.float64) @ w[:, :, 0, 0].T.astype(np.float64) + b + residual
                magnitude = np.abs(x) @ np.abs(w[:, :, 0, 0].T) + np.abs(b) + np.abs(residual)
                truth = {"relu": np.maximum(sums, 0), "relu6": np.clip(sums, 0, 6)}.get(str(activation), sums)
                for algorithm in ("auto", "implicit_gemm"):
                    y = konv.conv2d(
                        x, w, b, layout="NHWC", activation=activation, residual=residual, algorithm=algorithm,
                        out=np.full(residual.shape, np.nan, np.float32),
                    )  # fmt: skip
                    assert_accurate(y, truth, magnitude, channels + 2)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("outputs", [64, 96, 192])
def test_weight_gradients_of_pairs_of_panels(isa: str, layout: str, outputs: int) -> None:
    """Remainders of rows, few channels with the taps of a kernel row, bands of rows, and results with outputs last."""
    same = ((1, 1), (1, 1))
    with konv.config(isa=isa):
        for case in (
            Case(2, 3, (13, 22), outputs, (7, 7), (2, 2), padding=((3, 3), (3, 3))),
            Case(2, 5, (9, 17), outputs, padding=same),
            Case(1, 8, (3, 250), outputs, (1, 3), padding=((0, 0), (1, 1))),
            Case(1, 4, (12, 13), outputs, padding=((2, 2), (2, 2)), dilation=(2, 2)),
            Case(2, 20, (12, 15), outputs, (3, 3), (2, 2), padding=same),
            Case(2, 67, (5, 23), outputs, padding=same),
            Case(3, 65, (11, 23), outputs, (1, 1)),
            Case(2, 12, (11, 23), outputs, (1, 1), (2, 2)),
            Case(1, 12, (2, 7), 2 * outputs, groups=2, padding=same),
        ):
            case.check("weight", layout=layout, algorithm="implicit_gemm")
            last = np.full((*case.kernel, *case.weight_shape[1::-1]), np.nan, np.float32)
            data, truth, magnitude = case.known("weight", "float32", 0)
            dw = case.compute("weight", data, layout=layout, algorithm="implicit_gemm", out=last.transpose(3, 2, 0, 1))
            case.compare("weight", dw, truth, magnitude, algorithm="implicit_gemm")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_long_reduction(direction: str) -> None:
    """Longer than any block of the reduction, so partial sums meet."""
    Case(1, 700, (6, 5), 20, padding=((1, 1), (1, 1))).check(direction)
    Case(1, 20, (6, 5), 700, padding=((1, 1), (1, 1))).check(direction)
    Case(6, 4, (40, 41), 5, padding=((1, 1), (1, 1))).check(direction)


def test_empty_batches_are_legal() -> None:
    case = Case(0, 3, (8, 8), 4, padding=((1, 1), (1, 1)))
    for layout in LAYOUTS:
        data = case.data()
        assert case.compute("forward", data, layout=layout).shape == (0, 4, 8, 8)
        assert case.compute("input", data, layout=layout).shape == (0, 3, 8, 8)
        weight = case.compute("weight", data, layout=layout)
        np.testing.assert_array_equal(weight, np.zeros((4, 3, 3, 3)))
    np.testing.assert_array_equal(konv.grad.conv_bias(case.data().gy), np.zeros(4))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("far", [8, 1000, 2**20, 2**30])
def test_taps_that_see_only_padding(far: int, groups: int) -> None:
    """A dilation beyond the image leaves one tap to meet it, and costs no memory for the others."""
    near = Case(1, 2, (8, 8), 2, (1, 1), groups=groups)
    data = near.data()
    w = np.ones((2, 2 // groups, 3, 3), np.float32)
    w[:, :, 1:2, 1:2] = data.w
    options = {"padding": far, "dilation": far, "groups": groups}
    results = {
        "forward": konv.conv2d(data.x, w, data.b, **options),
        "input": konv.grad.conv2d_input(data.x.shape, w, data.gy, **options),
        "weight": konv.grad.conv2d_weight(data.x, w.shape, data.gy, **options),
    }
    weight = results["weight"]
    results["weight"] = weight[:, :, 1:2, 1:2].copy()
    weight[:, :, 1, 1] = 0
    assert not weight.any()
    for direction, result in results.items():
        _, truth, magnitude = near.known(direction, "float32", 0)
        near.compare(direction, result, truth, magnitude)


@pytest.mark.parametrize("groups", [1, 2])
def test_no_tap_meets_the_image(groups: int) -> None:
    x, w, b = (np.ones(shape, np.float32) for shape in ((1, 2, 3, 3), (2, 2 // groups, 2, 2), 2))
    options = {"padding": 10, "dilation": 20, "groups": groups}
    out = konv.conv2d(x, w, b, **options)
    np.testing.assert_array_equal(out, np.ones((1, 2, 3, 3)))
    assert not konv.grad.conv2d_input(x.shape, w, out, **options).any()
    assert not konv.grad.conv2d_weight(x, w.shape, out, **options).any()
