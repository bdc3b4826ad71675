"""The gradients of the gradients, as docs/second_derivatives.md states them, against PyTorch's double backward."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import konv
from tests import reference, strategies
from tests.cases import Case, Data
from tests.reference import Array

CASES = (
    Case(2, 4, (9, 9), 6, stride=(2, 2), padding=((1, 1), (1, 1)), groups=2),
    Case(1, 6, (12, 11), 6, padding=((2, 2), (0, 0)), dilation=(2, 1), groups=6),
    Case(2, 5, (8, 8), 7, padding=((1, 1), (1, 1))),
    Case(1, 3, (9, 10), 4, (2, 5), (1, 3), ((0, 2), (1, 3))),
    Case(3, 8, (5, 6), 10, (1, 1)),
)


def second(case: Case, data: Data, other: Data) -> dict[str, Array]:
    """konv: what a loss with the gradients `other` of (gx, gw, gb) has for (gy, x, w)."""
    options = case.options
    from_gx = konv.conv2d(other.x, data.w, **options)
    return {
        "gy": konv.conv2d(data.x, other.w, other.b, **options, residual=from_gx),
        "x": konv.grad.conv2d_input(case.input_shape, other.w, data.gy, **options),
        "w": konv.grad.conv2d_weight(other.x, case.weight_shape, data.gy, **options),
    }


def expected(case: Case, data: Data, other: Data) -> dict[str, Array]:
    torch = pytest.importorskip("torch")
    x, w, b, gy = (torch.tensor(a, requires_grad=True) for a in (data.x, data.w, data.b, data.gy))
    (top, bottom), (left, right) = case.pads
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, w, b, case.stride, 0, case.dilation, case.groups)
    first = torch.autograd.grad(y, (x, w, b), gy, create_graph=True)
    # gx does not depend on x, nor gw on w.
    given = tuple(torch.tensor(a) for a in (other.x, other.w, other.b))
    results = torch.autograd.grad(first, (gy, x, w), given)
    return dict(zip(("gy", "x", "w"), (r.numpy() for r in results), strict=True))


def check(case: Case) -> None:
    data, other = case.data("float64"), case.data("float64", seed=1)
    with konv.config(precision="strict"):
        actual = second(case, data, other)
        magnitude = second(case, abs(data), abs(other))
    lengths: dict[str, Any] = {
        "gy": 2 * case.length("forward") + 1,
        "x": case.length("input"),
        "w": case.length("weight"),
    }
    for name, truth in expected(case, data, other).items():
        reference.assert_accurate(actual[name], truth, magnitude[name], lengths[name])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_double_backward(case: Case) -> None:
    check(case)


@settings(max_examples=100)
@given(case=strategies.cases())
def test_double_backward_of_random_problems(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_adjoint(case: Case) -> None:
    """The three gradients are what makes both losses equal: no library needed to see it."""
    data, other = case.data("float64"), case.data("float64", seed=1)
    to = second(case, data, other)
    gx = konv.grad.conv2d_input(case.input_shape, data.w, data.gy, **case.options)
    gw = konv.grad.conv2d_weight(data.x, case.weight_shape, data.gy, **case.options)
    through_input = np.vdot(gx, other.x)
    through_weight = np.vdot(gw, other.w)
    through_bias = np.vdot(konv.grad.conv_bias(data.gy), other.b)
    np.testing.assert_allclose(through_input, np.vdot(to["w"], data.w), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(through_weight, np.vdot(to["x"], data.x), rtol=1e-10, atol=1e-10)
    total = through_input + through_weight + through_bias
    np.testing.assert_allclose(total, np.vdot(to["gy"], data.gy), rtol=1e-10, atol=1e-10)
