"""Every algorithm at every ISA level in every direction, layout and dtype."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests.cases import ALGORITHMS, CASES, DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forced(case: Case, isa: str, algorithm: str, direction: str) -> None:
    """The right result, or a refusal in words where the algorithm is not for such a problem."""
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            for dtype in DTYPES:
                call = {"layout": layout, "algorithm": algorithm}
                if case.supported_by(algorithm):
                    case.check(direction, dtype, **call)
                    continue
                with pytest.raises(ValueError, match=algorithm):
                    case.compute(direction, case.data(dtype), **call)


def test_there_is_an_algorithm_for_every_test() -> None:
    """An algorithm that is added to the engine is added to the tests too."""
    text = str(konv.explain("conv2d", input_shape=(1, 3, 8, 8), weight_shape=(4, 3, 3, 3)))
    for name in ALGORITHMS:
        assert name in text


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case(1, 64, (28, 28), 64, padding=((1, 1), (1, 1))), "implicit_gemm"),
        (Case(1, 64, (28, 28), 64, (1, 1)), "pointwise"),
        (Case(1, 64, (28, 28), 64, padding=((1, 1), (1, 1)), groups=64), "depthwise"),
    ],
    ids=str,
)
def test_choice_on_plain_layers(case: Case, expected: str) -> None:
    data = case.data()
    np.testing.assert_array_equal(
        case.compute("forward", data), case.compute("forward", data, algorithm=expected)
    )


def test_unknown_algorithm() -> None:
    data = CASES[0].data()
    with pytest.raises(ValueError, match=r"algorithm.*'fft4'"):
        konv.conv2d(data.x, data.w, algorithm="fft4")
