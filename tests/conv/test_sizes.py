"""Sizes around every SIMD width: each tail of each kernel is met at each ISA level."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests.cases import DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case

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
