"""Convolutions on a device and their gradients, against float64, by every algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv
from tests import convolution, reference
from tests.cases import CASES, Case, channels_last
from tests.reference import Array

ALGORITHMS = ("auto", "reference")
SMALL = tuple(case for case in CASES if case.n * case.c * case.k * np.prod(case.size) * np.prod(case.kernel) < 3e6)
DIRECTIONS = ("forward", "input", "weight")


def dtype_of(name: str) -> Any:
    return pytest.importorskip("ml_dtypes").bfloat16 if name == "bfloat16" else np.dtype(name)


def compute(case: Case, direction: str, x: Array, w: Array, b: Array, gy: Array, **options: Any) -> Array:
    options = {**case.options, **options}
    if direction == "forward":
        return konv.cuda.conv2d(x, w, b, **options)
    if direction == "input":
        return konv.cuda.grad.conv2d_input(case.input_shape, w, gy, **options)
    return konv.cuda.grad.conv2d_weight(x, case.weight_shape, gy, **options)


def assert_close(out: Array, truth: Array, magnitude: Array, length: int) -> None:
    """What tests/reference.py allows; 16-bit results are float32 sums that are rounded once more."""
    if out.dtype.itemsize > 2:
        return reference.assert_accurate(out, truth, magnitude, length)
    eps = 2.0**-8 if out.dtype.name == "bfloat16" else 2.0**-11
    error = np.abs(out.astype(np.float64) - truth)
    assert np.all(error <= eps * np.abs(truth) + 8 * 2.0**-23 * magnitude + 1e-7)
    return None


def check(case: Case, direction: str, dtype: str = "float32", layout: str = "NCHW", algorithm: str = "auto") -> None:
    kind = dtype_of(dtype)
    data = case.data()
    x, w, b, gy = (a.astype(kind) for a in (data.x, data.w, data.b, data.gy))
    exact = [a.astype(np.float64) for a in (x, w, b, gy)]
    truth = case.truth(direction, type(data)(*exact))
    magnitude = case.truth(direction, type(data)(*map(np.abs, exact)))
    if layout == "NCHW-last":
        x, gy = channels_last(x), channels_last(gy)
    out = compute(case, direction, x, w, b, gy, algorithm=algorithm)
    assert out.dtype == kind
    assert_close(out, truth, magnitude, case.length(direction))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_cases(case: Case, direction: str, algorithm: str) -> None:
    check(case, direction, algorithm=algorithm)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["NCHW", "NCHW-last"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_dtypes_and_layouts(direction: str, layout: str, dtype: str) -> None:
    check(Case(2, 6, (9, 7), 4, stride=(2, 1), padding=((1, 1), (0, 1)), groups=2), direction, dtype, layout)


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_dimensions_and_transposed(spatial: int) -> None:
    rng = np.random.default_rng(spatial)
    x = rng.standard_normal((2, 4, *(5, 6, 4)[:spatial]), np.float32)
    w = rng.standard_normal((6, 4, *(2, 3, 2)[:spatial]), np.float32)
    wt = rng.standard_normal((4, 3, *(2, 3, 2)[:spatial]), np.float32)
    b = rng.standard_normal(6, np.float32)
    out = getattr(konv.cuda, f"conv{spatial}d")(x, w, b, padding=1)
    reference.assert_accurate(
        out, convolution.conv(x, w, b, padding=1), convolution.conv(abs(x), abs(w), abs(b), padding=1), 100
    )
    bt = b[:3]
    for name in ("conv_transpose{}d",):
        out = getattr(konv.cuda, name.format(spatial))(x, wt, bt, stride=2, output_padding=1)
        truth = convolution.conv_transpose(x, wt, bt, 2, 0, 1)
        reference.assert_accurate(out, truth, convolution.conv_transpose(abs(x), abs(wt), abs(bt), 2, 0, 1), 100)
        gy = rng.standard_normal(truth.shape, np.float32)
        for operand, size in (("input", (x.shape, wt, gy)), ("weight", (x, wt.shape, gy))):
            gradient = name.format(spatial) + "_" + operand
            ours = getattr(konv.cuda.grad, gradient)(*size, stride=2, output_padding=1)
            theirs = getattr(konv.grad, gradient)(*size, stride=2, output_padding=1)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_padding_modes(direction: str, mode: str) -> None:
    case = Case(1, 2, (5, 6), 3, padding=((1, 2), (2, 1)), stride=(1, 2))
    data = case.data()
    keywords = {"padding_mode": mode}
    out = compute(case, direction, data.x, data.w, data.b, data.gy, **keywords)
    o = {**case.options, "mode": mode}

    def truth(x: Array, w: Array, b: Array, gy: Array) -> Array:
        if direction == "forward":
            return convolution.conv(x, w, b, **o)
        if direction == "input":
            return convolution.conv_input(case.input_shape, w, gy, **o)
        return convolution.conv_weight(x, case.weight_shape, gy, **o)

    operands = (data.x, data.w, data.b, data.gy)
    reference.assert_accurate(out, truth(*operands), truth(*map(np.abs, operands)), 100)


@pytest.mark.parametrize(
    "activation",
    ["relu", "relu6", ("leaky_relu", 0.2), "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish"],
)
def test_epilogue(activation: Any) -> None:
    case = Case(2, 3, (6, 5), 4)
    data = case.data()
    residual = np.random.default_rng(1).standard_normal(case.output_shape, np.float32)
    keywords = {**case.options, "activation": activation, "residual": residual}
    ours, theirs = (f(data.x, data.w, data.b, **keywords) for f in (konv.cuda.conv2d, konv.conv2d))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    last = keywords | {"residual": channels_last(residual)}
    np.testing.assert_array_equal(konv.cuda.conv2d(data.x, data.w, data.b, **last), ours)


def test_out_accumulate_and_samples() -> None:
    case = Case(2, 3, (6, 5), 4)
    data = case.data()
    out = np.full(case.output_shape, np.nan, np.float32)
    assert konv.cuda.conv2d(data.x, data.w, out=out) is out
    np.testing.assert_array_equal(out, konv.cuda.conv2d(data.x, data.w))
    for name, args in (
        ("conv2d_input", (case.input_shape, data.w, data.gy)),
        ("conv2d_weight", (data.x, case.weight_shape, data.gy)),
    ):
        gradient = getattr(konv.cuda.grad, name)
        once = gradient(*args)
        total = once.copy()
        assert gradient(*args, out=total, accumulate=True) is total
        np.testing.assert_allclose(total, 2 * once, rtol=1e-6)
    samples = konv.cuda.grad.conv2d_weight(data.x, case.weight_shape, data.gy, per_sample=True)
    assert samples.shape == (2, *case.weight_shape)
    np.testing.assert_allclose(
        samples.sum(axis=0), konv.grad.conv2d_weight(data.x, case.weight_shape, data.gy), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(konv.cuda.grad.conv_bias(data.gy), reference.conv_bias(data.gy), rtol=1e-5, atol=1e-5)


def test_empty() -> None:
    assert konv.cuda.conv2d(np.ones((0, 2, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)).shape == (0, 3, 2, 2)
    gradient = konv.cuda.grad.conv2d_weight(
        np.ones((0, 2, 4, 4), np.float32), (3, 2, 3, 3), np.ones((0, 3, 2, 2), np.float32)
    )
    np.testing.assert_array_equal(gradient, np.zeros((3, 2, 3, 3)))


def test_explain() -> None:
    explanation = konv.explain("conv2d", input_shape=(1, 3, 8, 8), weight_shape=(4, 3, 3, 3), device="cuda")
    assert {c.algorithm for c in explanation.candidates} >= set(ALGORITHMS) - {"auto"}
    assert explanation.candidates[-1].algorithm == "reference"
