"""Every algorithm at every ISA level in every direction, layout and dtype."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import numpy as np
import pytest

import konv
from tests.cases import ALGORITHMS, CASES, DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forced(case: Case, isa: str, algorithm: str, direction: str) -> None:
    """The right result, or a refusal where the algorithm is not for such a problem."""
    may_refuse = not case.supported_by(algorithm, direction)
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            for dtype in DTYPES:
                with contextlib.suppress(ValueError) if may_refuse else contextlib.nullcontext():
                    case.check(direction, dtype, layout=layout, algorithm=algorithm)


def explained(case: Case, direction: str = "forward", **options: Any) -> Any:
    op = "conv2d" if direction == "forward" else f"conv2d_{direction}"
    options = {"input_shape": case.input_shape, "weight_shape": case.weight_shape, **options}
    return konv.explain(op, **case.options, **options)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_explanations_hold(case: Case, direction: str) -> None:
    """What explain says is refused is refused with the same words; what it says runs, runs."""
    explanation = explained(case, direction)
    assert tuple(sorted(c.algorithm for c in explanation.candidates)) == tuple(sorted(ALGORITHMS))
    assert explanation.candidates[-1].algorithm == "reference"
    assert sum(c.chosen for c in explanation.candidates) == 1
    data = case.data()
    for candidate in explanation.candidates:
        assert candidate.algorithm in str(explanation)
        if candidate.reason:
            assert candidate.cost is None
            with pytest.raises(ValueError, match=re.escape(candidate.reason)):
                case.compute(direction, data, algorithm=candidate.algorithm)
        else:
            assert candidate.cost is not None
            case.check(direction, algorithm=candidate.algorithm)
    automatic = case.compute(direction, data)
    forced = case.compute(direction, data, algorithm=explanation.chosen)
    np.testing.assert_array_equal(automatic, forced)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference_is_never_chosen(case: Case, direction: str) -> None:
    assert explained(case, direction).chosen != "reference"


def test_explanation_of_a_forced_algorithm() -> None:
    assert explained(CASES[0], algorithm="reference").chosen == "reference"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"op": "conv9d"}, "op.*conv9d"),
        ({"input_shape": (1, 4, 8)}, "channels"),  # unbatched, so of one channel
        ({"input_shape": (4, 8)}, "input_shape"),
        ({"weight_shape": (4, 4)}, "weight_shape"),
        ({"weight_shape": (4, 5, 3, 3)}, "weight"),
        ({"stride": 0}, "stride"),
        ({"dtype": "int16"}, "dtype.*int16"),
        ({"layout": "HW"}, "layout.*HW"),
    ],
)
def test_explain_refuses(options: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"op": "conv2d", "input_shape": (1, 4, 8, 8), "weight_shape": (6, 4, 3, 3)}
    with pytest.raises((ValueError, TypeError), match=message):
        konv.explain(**{**good, **options})


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (Case(1, 64, (28, 28), 64, padding=((1, 1), (1, 1))), "winograd"),
        (Case(1, 64, (28, 28), 64, (7, 7), padding=((3, 3), (3, 3))), "winograd"),
        (Case(1, 64, (28, 28), 64, (3, 5), padding=((1, 1), (2, 2))), "implicit_gemm"),
        (Case(1, 64, (28, 28), 64, (1, 7), padding=((0, 0), (3, 3))), "winograd"),
        (Case(1, 64, (28, 28), 64, (1, 1)), "pointwise"),
        (Case(1, 64, (28, 28), 64, padding=((1, 1), (1, 1)), stride=(2, 2), groups=64), "depthwise"),
    ],
    ids=str,
)
def test_choice_on_plain_layers(case: Case, expected: str) -> None:
    assert explained(case).chosen == expected
    assert explained(case, layout="NHWC", input_shape=(1, 28, 28, 64)).chosen == expected


def test_unknown_algorithm() -> None:
    data = CASES[0].data()
    with pytest.raises(ValueError, match=r"algorithm.*'fft4'"):
        konv.conv2d(data.x, data.w, algorithm="fft4")
