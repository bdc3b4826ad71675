"""Checks of layer arguments, shared by the layers."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from ..graph import Graph

ACTIVATIONS = ("linear", "relu", "sigmoid", "softmax", "tanh")


def positive_int(value: Any, name: str) -> int:
    """Return a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be positive, got {value}")
    return int(value)


def pair(value: Any, name: str) -> tuple[int, int]:
    """Return (height, width) from a number or a pair."""
    if isinstance(value, Integral):
        return (positive_int(value, name),) * 2
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{name} must be an integer or a pair of integers, got {value!r}")
    if len(value) != 2:
        raise ValueError(f"{name} must be an integer or a pair of integers, got {value!r}")
    return positive_int(value[0], name), positive_int(value[1], name)


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


def channels_last(data_format: str | None) -> None:
    """Refuse channels-first data, which layers do not take."""
    if data_format is not None:
        one_of(data_format, "data_format", ("channels_last",))


def describe_activation(graph: Graph, x: int, name: str, layer: str) -> int:
    """Add the node of an activation, none for "linear"."""
    if name == "linear":
        return x
    attributes = {"negative_slope": 0.0, "max_value": float("inf"), "threshold": 0.0}
    return graph.add_node(name, [x], attributes if name == "relu" else None, name=layer)
