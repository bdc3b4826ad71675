"""One call as it is drawn, channels-first and in plain memory, and what it must give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.cases import SPREADING
from tests.fuzz.draw import dtype_of
from tests.reference import Array

Function = Callable[..., "torch.Tensor"]


@dataclass(frozen=True)
class Expected:
    """A result in float64 and how far off it may be: see tests/reference.py for the bound."""

    value: Array
    magnitude: Array | None = None  # None: exactly this
    length: int = 0  # how many products one value adds up
    absolute: float = 0.0  # on top: where results are rounded to integers, the half of a step


@dataclass
class Trial:
    """The arguments of a call by name, and its results: one, or values and indices."""

    dtype: str
    arguments: dict[str, Any]
    results: tuple[Expected, ...]
    result_dtype: str = ""
    start: Array | None = None  # what `out` holds at first, where a result is added to it once it is rounded
    may_spread: bool = False  # whether an algorithm may run whose error is a multiple of all magnitudes around
    smooth: bool = False  # whether an activation of which the processor has only approximations comes last


def as_torch(a: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(a, np.float64))


def linear(f: Function, arrays: Sequence[Array | None], length: int) -> Expected:
    """What `f` gives, a sum of at most `length` products of the elements of `arrays`."""
    given = [None if a is None else as_torch(a) for a in arrays]
    magnitudes = [None if a is None else a.abs() for a in given]
    return Expected(f(*given).numpy(), f(*magnitudes).numpy(), length)


def gradient(f: Function, which: int, shapes: Sequence[Sequence[int]]) -> Function:
    """The gradient of `f`, linear in each argument, for argument `which` of the given shape.

    It takes the other arguments in their order and then the gradient of the result.
    """

    def of(*arrays: torch.Tensor) -> torch.Tensor:
        *others, grad_output = arrays
        leaf = torch.zeros(*shapes[which], dtype=torch.float64, requires_grad=True)
        others.insert(which, leaf)
        return torch.autograd.grad(f(*others), leaf, grad_output)[0]

    return of


def allowed(expected: Expected, trial: Trial) -> Array:
    """By how much each element may differ."""
    if expected.magnitude is None:
        return np.zeros(expected.value.shape)
    result = dtype_of(trial.result_dtype or trial.dtype)
    double = trial.dtype == "float64"
    eps = float(np.finfo(np.float64 if double else np.float32).eps) + float(np.finfo(np.float64).eps)
    magnitude = expected.magnitude
    c = min((expected.length + 2) / 2, 8.0)
    if trial.may_spread:
        c, magnitude = max(SPREADING.values()), np.full_like(magnitude, magnitude.max(initial=0))
    if trial.smooth:  # slopes up to 1.5, and a few roundings of the approximation's own
        c, magnitude = 1.5 * c, magnitude + 4
    bound = c * eps * magnitude + expected.length * float(np.finfo(np.float32).tiny) + expected.absolute
    if result.itemsize == 2 and result.kind not in "iu":  # the result is rounded once, subnormal ones to zero perhaps
        bits, tiny = (10, 2.0**-14) if trial.dtype == "float16" else (7, float(np.finfo(np.float32).tiny))
        bound = bound + 2.0**-bits * np.abs(expected.value) + tiny
        if trial.start is not None:
            bound = bound + 2.0**-bits * np.abs(expected.value - trial.start.astype(np.float64))
    return bound


def judge(actual: Array, expected: Expected, trial: Trial) -> None:
    """Raise AssertionError where `actual` is wrong."""
    assert actual.shape == expected.value.shape, f"shape {actual.shape} instead of {expected.value.shape}"
    value, truth = actual.astype(np.float64), expected.value
    if actual.dtype.kind in "iub":  # the maximum of nothing is the lowest number
        truth = np.maximum(truth, 0 if actual.dtype.kind == "b" else np.iinfo(actual.dtype).min)
    bound = allowed(expected, trial)
    with np.errstate(invalid="ignore"):  # infinities: equal, or not
        right = (value == truth) | (np.abs(value - truth) <= bound)
    if not right.all():
        where = tuple(int(i) for i in np.argwhere(~right)[0])
        raise AssertionError(
            f"{int((~right).sum())} of {right.size} values are off, the first at {where}: {actual[where]!r} instead of "
            f"{truth[where]!r}, allowed {bound[where]:.3g}"
        )
