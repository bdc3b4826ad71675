"""Checks of layer arguments, shared by the layers."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from ..activations import ACTIVATIONS


def positive_int(value: Any, name: str) -> int:
    """Return a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be positive, got {value}")
    return int(value)


def sizes(value: Any, name: str, rank: int) -> tuple[int, ...]:
    """Return `rank` positive integers from one or from a sequence."""
    if isinstance(value, Integral):
        return (positive_int(value, name),) * rank
    expected = f"{name} must be an integer or {rank} of them"
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{expected}, got {value!r}")
    if len(value) != rank:
        raise ValueError(f"{expected}, got {value!r}")
    return tuple(positive_int(size, name) for size in value)


def not_negative_int(value: Any, name: str) -> int:
    """Return an integer from 0 on."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return int(value)


def number(value: Any, name: str) -> float:
    """Return a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return float(value)


def one_of(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return a string that is among the choices; upper case is accepted as in Keras."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {tuple(choices)}, got {value!r}")
    if value.lower() not in choices:
        raise ValueError(f"{name} must be one of {tuple(choices)}, got {value!r}")
    return value.lower()


def activation_name(value: str | None) -> str:
    """Return an activation's name, "linear" for None."""
    return "linear" if value is None else one_of(value, "activation", ACTIVATIONS)


def channels_last(data_format: str | None) -> str:
    """Refuse channels-first data, which layers do not take."""
    return "channels_last" if data_format is None else one_of(data_format, "data_format", ("channels_last",))
