"""Winograd's algorithm: its error on the sizes of real networks, and shapes that its tiles do not divide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import konv
from tests import reference
from tests.cases import DIRECTIONS, DTYPES, ISA_LEVELS, Case

# Largest error in eps times the largest sum of |x| |w|, for normal data and many channels; weight gradients of small
# images sum few products, which leaves more of the transforms' rounding.
ERROR = {"winograd": 5.0, "winograd_2x2": 2.0}
ONE = ((1, 1), (1, 1))
LAYERS = [
    Case(1, 64, (56, 56), 64, padding=ONE),
    Case(1, 128, (28, 28), 128, padding=ONE),
    Case(1, 256, (14, 14), 256, padding=ONE),
    Case(1, 512, (7, 7), 512, padding=ONE),
    Case(2, 96, (13, 13), 208, padding=ONE),
    Case(1, 128, (32, 32), 128, padding=((2, 2), (2, 2)), dilation=(2, 2)),
    Case(1, 64, (28, 28), 64, padding=ONE, groups=2),
    Case(1, 48, (35, 35), 64, (5, 5), padding=((2, 2), (2, 2))),
    Case(1, 128, (56, 56), 128, stride=(2, 2), padding=ONE),
    Case(1, 64, (40, 40), 96, (5, 5), (2, 2), ((1, 2), (1, 2))),
    Case(1, 3, (112, 112), 64, (7, 7), (2, 2), ((3, 3), (3, 3))),
    Case(1, 64, (28, 28), 64, (7, 7), padding=((3, 3), (3, 3))),
    Case(1, 160, (17, 17), 192, (1, 7), padding=((0, 0), (3, 3))),
    Case(1, 192, (17, 17), 160, (7, 1), padding=((3, 3), (0, 0))),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("algorithm", ERROR)
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_error_on_networks_layers(case: Case, algorithm: str, direction: str) -> None:
    if not case.supported_by(algorithm, direction):
        pytest.skip("this kernel and direction has no such form")
    for dtype in DTYPES:
        data, truth, magnitude = case.known(direction, dtype, 0)
        out = case.compute(direction, data, algorithm=algorithm)
        eps = float(np.finfo(dtype).eps) + (float(np.finfo(np.float64).eps) if dtype == "float64" else 0)
        constant = 6.0 if direction == "weight" else ERROR[algorithm]
        assert np.abs(out - truth).max() <= constant * eps * magnitude.max()


CASES = st.builds(
    lambda kernel_and_stride, dilation, **sizes: Case(
        kernel=kernel_and_stride[0],
        stride=kernel_and_stride[1],
        dilation=dilation if kernel_and_stride[1] == (1, 1) else (1, 1),
        **sizes,
    ),
    kernel_and_stride=st.one_of(
        st.sampled_from([((3, 3), (1, 1)), ((5, 5), (1, 1)), ((3, 3), (2, 2))]),
        st.tuples(st.integers(2, 8), st.integers(1, 2))
        .filter(lambda pair: pair[0] > pair[1])
        .map(lambda pair: ((pair[0], pair[0]), (pair[1], pair[1]))),
        st.sampled_from([((1, 3), (1, 1)), ((3, 1), (1, 1)), ((1, 7), (1, 1)), ((9, 1), (1, 1)), ((1, 5), (1, 2))]),
    ),
    n=st.integers(1, 3),
    c=st.sampled_from([2, 4, 6, 16, 34, 50]),
    size=st.tuples(st.integers(9, 23), st.integers(9, 23)),
    k=st.sampled_from([2, 4, 16, 18, 32, 34, 66]),
    padding=st.tuples(*(st.tuples(st.integers(0, 2), st.integers(0, 2)) for _ in range(2))),
    dilation=st.sampled_from([(1, 1), (1, 1), (2, 2), (2, 1), (1, 2)]),
    groups=st.sampled_from([1, 1, 2]),
)


@given(
    case=CASES,
    isa=st.sampled_from(ISA_LEVELS),
    layout=st.sampled_from(["NCHW", "NHWC", "NCHW-last"]),
    dtype=st.sampled_from(DTYPES),
    algorithm=st.sampled_from(list(ERROR)),
    direction=st.sampled_from(DIRECTIONS),
    threads=st.integers(2, 5),
    max_workspace=st.sampled_from([0, 1 << 16, 8 << 20]),
)
def test_any_shape(
    case: Case,
    isa: str,
    layout: str,
    dtype: str,
    algorithm: str,
    direction: str,
    threads: int,
    max_workspace: int,
) -> None:
    assume(case.supported_by(algorithm, direction))
    with konv.config(isa=isa):
        one = case.check(direction, dtype, layout=layout, algorithm=algorithm, threads=1)
        many = case.compute(
            direction,
            case.data(dtype),
            layout=layout,
            algorithm=algorithm,
            threads=threads,
            max_workspace=max_workspace,
        )
    np.testing.assert_array_equal(one, many)


def test_strict_precision_excludes_it() -> None:
    case = LAYERS[0]
    data, truth, magnitude = case.known("forward", "float32", 0)
    with konv.config(precision="strict"):
        explanation = konv.explain("conv2d", input_shape=case.input_shape, weight_shape=case.weight_shape, padding=1)
        out = case.compute("forward", data)
        with pytest.raises(ValueError, match=r"algorithm: 'winograd' does not compute this problem: .*'strict'"):
            case.compute("forward", data, algorithm="winograd")
    assert explanation.chosen == "implicit_gemm"
    reference.assert_accurate(out, truth, magnitude, case.length("forward"))


def test_weights_that_change_in_place_are_seen() -> None:
    case = LAYERS[1]
    data = case.data()
    before = case.compute("forward", data, algorithm="winograd")
    data.w[:] *= 2
    data.b[:] *= 2
    np.testing.assert_array_equal(case.compute("forward", data, algorithm="winograd"), 2 * before)
