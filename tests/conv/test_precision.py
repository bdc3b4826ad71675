"""Precision "medium": factors rounded to bfloat16, products added in float32.

bfloat16 has 8 bits of significand, so rounding to nearest changes a factor by at most u = 2^-8 of itself and a product
by (1 + u)^2 - 1 < 2^-7 + 2^-16. Against the truth of the rounded factors the error is that of any float32 sum.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import konv
from tests import reference
from tests.cases import CASES, DTYPES, ISA_LEVELS, LAYOUTS, Case, Data
from tests.reference import Array
from tests.views import VIEWS

NAME = "implicit_gemm_bf16"
ONE = ((1, 1), (1, 1))
DIRECTIONS = ("forward", "input")
needs_bfloat16 = pytest.mark.skipif(not konv.info()["bfloat16"], reason="the CPU has no products in bfloat16")


def bfloat16(x: Array) -> Array:
    """Float32 values rounded to the nearest bfloat16, ties to even; subnormals become zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0), rounded)


def rounded(data: Data) -> Data:
    return Data(bfloat16(data.x), bfloat16(data.w), data.b, bfloat16(data.gy))


def medium(case: Case, direction: str, data: Data, **call: Any) -> Array:
    with konv.config(precision="medium"):
        return case.compute(direction, data, algorithm=NAME, **call)


def check(case: Case, direction: str, **call: Any) -> Array:
    """Both bounds of this file's head."""
    data, truth, magnitude = case.known(direction, "float32", 0)
    out = medium(case, direction, data, **call)
    length = case.length(direction)
    near = rounded(data)
    reference.assert_accurate(out, case.truth(direction, near), case.truth(direction, abs(near)), length)
    allowed = (2**-7 + 2**-16 + min((length + 2) / 2, 8) * 2**-22) * magnitude
    assert (np.abs(out - truth) <= allowed).all()
    return out


@needs_bfloat16
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_error(case: Case, layout: str, direction: str) -> None:
    check(case, direction, layout=layout)


SHAPES = st.builds(
    Case,
    n=st.integers(1, 3),
    c=st.sampled_from([2, 4, 6, 10, 34, 66]),
    size=st.tuples(st.integers(7, 23), st.integers(7, 40)),
    k=st.sampled_from([2, 6, 16, 18, 34, 66]),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3))),
    groups=st.sampled_from([1, 1, 2]),
)


@needs_bfloat16
@given(
    case=SHAPES,
    direction=st.sampled_from(DIRECTIONS),
    layout=st.sampled_from(LAYOUTS),
    views=st.tuples(*[st.sampled_from(sorted(VIEWS))] * 3),
    threads=st.integers(2, 5),
    max_workspace=st.sampled_from([0, 1 << 16, 8 << 20]),
)
def test_any_shape(
    case: Case, direction: str, layout: str, views: tuple[str, str, str], threads: int, max_workspace: int
) -> None:
    call: dict[str, Any] = {"layout": layout, "max_workspace": max_workspace}
    one = check(case, direction, threads=1, **call)
    data = case.data()
    np.testing.assert_array_equal(one, medium(case, direction, data, threads=threads, **call))
    odd = Data(VIEWS[views[0]](data.x), VIEWS[views[1]](data.w), data.b, VIEWS[views[2]](data.gy))
    near, magnitude = rounded(data), case.truth(direction, abs(data))
    out = medium(case, direction, odd)
    reference.assert_accurate(out, case.truth(direction, near), magnitude, case.length(direction))


@needs_bfloat16
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_small_integers_are_exact(case: Case, direction: str) -> None:
    rng = np.random.default_rng(1)
    shapes = case.input_shape, case.weight_shape, (case.k,), case.output_shape
    data = Data(*(rng.integers(-16, 17, shape).astype(np.float32) for shape in shapes))
    for layout in LAYOUTS:
        np.testing.assert_array_equal(medium(case, direction, data, layout=layout), case.truth(direction, data))


@needs_bfloat16
def test_values_that_bfloat16_rounds() -> None:
    """Ties go to even; the largest values to infinity; NaN stays; subnormals are zero."""
    values = [1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -(1 + 2**-8), 3.4e38, -3.4e38, np.nan, np.inf, 1e-40, 0.0]
    x = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    with konv.config(precision="medium"), np.errstate(invalid="ignore"):
        out = konv.conv2d(x, np.ones((1, 1, 1, 1), np.float32), algorithm=NAME)
    np.testing.assert_array_equal(out, bfloat16(x))
    assert out[:6].ravel().tolist() == [1, 1 + 2**-6, 1 + 2**-7, -1, np.inf, -np.inf]


@needs_bfloat16
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", [CASES[0], CASES[6], CASES[16], Case(1, 5, (9, 9), 7, (3, 3), (2, 2), ONE)], ids=str)
def test_infinities_reach_what_they_should(case: Case, layout: str, direction: str) -> None:
    """Odd channels are paired with zero, which must not spread an infinity or a NaN beyond what float32 does."""
    data = case.data()
    for array in (data.x, data.gy):
        flat = array.reshape(array.shape[0], -1)
        flat[0, -1], flat[0, flat.shape[1] // 2] = np.inf, np.nan
    data.w.reshape(-1)[-1] = -np.inf
    out = medium(case, direction, data, layout=layout)
    high = case.compute(direction, data, layout=layout, algorithm="implicit_gemm")
    for kind in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(kind(out), kind(high))
    assert np.isfinite(out).any()


@needs_bfloat16
def test_bias_activation_and_residual_follow_in_float32() -> None:
    case = Case(2, 24, (11, 13), 40, (3, 3), (2, 2), ONE)
    data = rounded(case.data())
    rng = np.random.default_rng(2)
    residual = rng.standard_normal(case.output_shape).astype(np.float32)
    magnitude = case.truth("forward", abs(data)) + np.abs(residual)
    sums = case.truth("forward", data) + residual
    for layout in LAYOUTS:
        order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
        out = medium(
            case, "forward", data, layout=layout, residual=residual.transpose(order), activation=("leaky_relu", 0.25)
        )
        reference.assert_accurate(out, np.where(sums > 0, sums, 0.25 * sums), magnitude, case.length("forward") + 2)


@needs_bfloat16
def test_the_setting_decides() -> None:
    case = Case(1, 64, (14, 14), 64, (1, 1))
    data = case.data()
    high = case.compute("forward", data)
    with konv.config(precision="medium"):
        assert konv.config.precision == "medium"
        chosen = konv.explain("conv2d", input_shape=case.input_shape, weight_shape=case.weight_shape).chosen
        fast = case.compute("forward", data)
    faster = "Intel" not in konv.info()["cpu"]  # whose cores have half as many units for these products
    assert (chosen == NAME) == faster
    np.testing.assert_array_equal(fast, medium(case, "forward", data) if faster else high)
    assert (medium(case, "forward", data) != high).any()
    np.testing.assert_array_equal(case.compute("forward", data), high)


def refusal(case: Case, op: str = "conv2d", dtype: str = "float32") -> str:
    explanation = konv.explain(op, input_shape=case.input_shape, weight_shape=case.weight_shape, dtype=dtype)
    return next(c.reason for c in explanation.candidates if c.algorithm == NAME)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_computes_as_high_where_it_cannot(isa: str, dtype: str) -> None:
    case = Case(1, 33, (9, 9), 20, (1, 1))
    data = case.data(dtype)
    with konv.config(isa=isa):
        available = konv.info()["bfloat16"] and dtype == "float32"
        high = case.compute("forward", data)
        assert refusal(case) == "precision is not 'medium'"
        with konv.config(precision="medium"):
            assert (refusal(case, dtype=dtype) == "") == available
            if not available:
                np.testing.assert_array_equal(case.compute("forward", data), high)
                with pytest.raises(ValueError, match=re.escape(refusal(case, dtype=dtype))):
                    medium(case, "forward", data)


def test_levels_without_the_instruction_say_so() -> None:
    case = Case(1, 33, (9, 9), 20, (1, 1))
    with konv.config(isa="generic", precision="medium"):
        assert not konv.info()["bfloat16"]
        assert "no products in bfloat16" in refusal(case)


@pytest.mark.parametrize("wrong", ["low", "HIGH", None, 1])
def test_unknown_precision(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"precision: expected 'strict', 'high' or 'medium', got"):
        konv.config(precision=wrong)
