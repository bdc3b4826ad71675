"""Activations by Keras's names: the operation of each and its parameters, with Keras's defaults."""

from __future__ import annotations

from math import inf
from typing import Any

from .graph import Graph

RELU = {"negative_slope": 0.0, "max_value": inf, "threshold": 0.0}

_TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("relu", RELU),
    "relu6": ("relu6", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}),
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "silu": ("silu", {}),
    "swish": ("silu", {}),
    "gelu": ("gelu", {"approximate": False}),
    "hard_sigmoid": ("hard_sigmoid", {}),
    "hard_silu": ("hard_silu", {}),
    "hard_swish": ("hard_silu", {}),
    "elu": ("elu", {"alpha": 1.0}),
    "selu": ("selu", {}),
    "softplus": ("softplus", {}),
    "softsign": ("softsign", {}),
    "exponential": ("exponential", {}),
    "mish": ("mish", {}),
}

ACTIVATIONS = ("linear", "softmax", *_TABLE)


def describe_activation(graph: Graph, x: int, activation: str, layer: str) -> int:
    """Add the node of an activation, none for "linear"; returns the value it ends in."""
    if activation == "linear":
        return x
    if activation == "softmax":
        return graph.add_node("softmax", [x], name=layer)
    kind, parameters = _TABLE[activation]
    return graph.add_node("activation", [x], {"kind": kind, **parameters}, name=layer)
