"""Bias, residual and activation after the sums, fused into every algorithm."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

import konv
from tests import convolution

from ..cases import ISA_LEVELS, SPREADING


def _erfc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vectorize(math.erfc, otypes=[np.float64])(x)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.maximum(x, -709)))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    ("leaky_relu", 0.25): lambda x: np.where(x < 0, 0.25 * x, x),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: x * _erfc(-x / math.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x * _sigmoid(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    None: lambda x: x,
}


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activations_over_their_range(isa: str, dtype: type, activation: object) -> None:
    x = np.concatenate([np.linspace(-30, 30, 4001), np.linspace(-1, 1, 501), [-0.0, 1e-30, -1e-30]]).astype(dtype)
    image = x.reshape(1, 1, 1, -1)
    one = np.ones((1, 1, 1, 1), dtype)
    with konv.config(isa=isa):
        got = konv.conv2d(image, one, activation=activation).reshape(-1)
    expected = ACTIVATIONS[activation](x.astype(np.float64))
    eps = np.finfo(dtype).eps
    # Subnormal factors are flushed.
    # Those that tend to zero carry the rounding of their argument, of which the exponential makes |x|^2 / 2 ulps.
    tolerance = 8 * eps * np.abs(expected) * np.maximum(1, x.astype(np.float64) ** 2 / 4) + 32 * np.finfo(dtype).tiny
    if activation == "gelu_tanh":
        tolerance = tolerance * np.maximum(1, np.abs(x.astype(np.float64)))
    assert np.all(np.abs(got - expected) <= tolerance)


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a not in ("gelu", None)], ids=str)
def test_nan_stays(activation: object) -> None:
    x = np.full((1, 1, 3, 21), np.nan, np.float32)
    assert np.isnan(konv.conv2d(x, np.ones((1, 1, 1, 1), np.float32), activation=activation)).all()


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_nan_stays_where_kernels_clip(activation: str, layout: str, isa: str) -> None:
    case = (16, 64, 1, 1, 1, 0, 1)
    x, w, b, r, _, _ = _problem(case, layout)
    x[...] = np.nan
    for algorithm in _algorithms(case, layout):
        for residual in (None, r):
            options = {"activation": activation, "layout": layout, "residual": residual, "algorithm": algorithm}
            with konv.config(isa=isa):
                assert np.isnan(konv.conv2d(x, w, b, **options)).all(), (algorithm, residual is None)


CASES = [
    # c, k, groups, kernel, stride, padding, dilation
    (5, 7, 1, 3, 1, 1, 1),
    (32, 48, 1, 3, 1, 1, 1),
    (32, 48, 1, 3, 1, 2, 2),
    (16, 64, 1, 1, 1, 0, 1),
    (16, 20, 1, 5, 2, 2, 1),
    (6, 6, 6, 3, 1, 1, 1),
    (40, 40, 40, 3, 2, 1, 1),
    (6, 6, 6, 4, 1, 2, 1),
    (8, 16, 2, 3, 1, 1, 1),
]


def _problem(case: tuple[int, ...], layout: str, dtype: type = np.float32) -> tuple[NDArray, ...]:
    c, k, groups, kernel, stride, padding, dilation = case
    rng = np.random.default_rng(sum(case))
    x = rng.standard_normal((2, c, 13, 17)).astype(dtype)
    w = rng.standard_normal((k, c // groups, kernel, kernel)).astype(dtype)
    b = rng.standard_normal(k).astype(dtype)
    value = convolution.conv(x, w, b, stride, padding, dilation, groups)
    scale = convolution.conv(abs(x), abs(w), abs(b), stride, padding, dilation, groups)
    r = rng.standard_normal(value.shape).astype(dtype)
    if layout == "NHWC":
        x, r, value, scale = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, r, value, scale))
    return x, w, b, r, value, scale


def _algorithms(case: tuple[int, ...], layout: str) -> list[str]:
    c, k, groups, kernel, stride, padding, dilation = case
    explanation = konv.explain(
        "conv2d",
        input_shape=(2, c, 13, 17) if layout == "NCHW" else (2, 13, 17, c),
        weight_shape=(k, c // groups, kernel, kernel),
        stride=stride, padding=padding, dilation=dilation, groups=groups, layout=layout,
    )  # fmt: skip
    return [candidate.algorithm for candidate in explanation.candidates if not candidate.reason]


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_residual_and_activation_in_every_algorithm(case: tuple[int, ...], layout: str, isa: str) -> None:
    x, w, b, r, value, scale = _problem(case, layout)
    *_, stride, padding, dilation = case
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": case[2], "layout": layout}
    for algorithm in _algorithms(case, layout):
        for activation in (None, "relu", "relu6", ("leaky_relu", 0.25), "hardswish"):
            for residual in (None, r):
                out = np.full_like(r, np.nan)
                finish = {"activation": activation, "residual": residual}
                with konv.config(isa=isa):
                    konv.conv2d(x, w, b, **options, **finish, algorithm=algorithm, out=out)
                sums = value if residual is None else value + residual
                error = np.abs(out - ACTIVATIONS[activation](sums))
                # hardswish's slope reaches 1.5, and its product rounds relative to the result.
                magnitude = np.full_like(scale, scale.max()) if algorithm in SPREADING else scale
                bound = 8 * np.finfo(np.float32).eps * (magnitude + np.abs(sums)) * 1.5
                assert np.all(error <= bound), (algorithm, activation, residual is None)


@pytest.mark.parametrize("activation", ["silu", "relu6"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_residual_may_be_out_and_have_other_strides(case: tuple[int, ...], layout: str, activation: str) -> None:
    x, w, b, r, _, _ = _problem(case, layout)
    *_, stride, padding, dilation = case
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": case[2], "layout": layout}
    for algorithm in _algorithms(case, layout):
        expected = konv.conv2d(x, w, b, **options, residual=r, activation=activation, algorithm=algorithm)
        out = r.copy()
        result = konv.conv2d(x, w, b, **options, residual=out, activation=activation, algorithm=algorithm, out=out)
        assert result is out
        np.testing.assert_array_equal(out, expected)
        turned = np.asfortranarray(r)
        np.testing.assert_array_equal(
            konv.conv2d(x, w, b, **options, residual=turned, activation=activation, algorithm=algorithm), expected
        )
        if algorithm == "grouped":  # takes contiguous rows only
            continue
        strided = np.zeros((*r.shape[:-1], 2 * r.shape[-1]), np.float32)[..., ::2]
        konv.conv2d(x, w, b, **options, residual=r, activation=activation, algorithm=algorithm, out=strided)
        np.testing.assert_array_equal(strided, expected)
