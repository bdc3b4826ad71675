"""Activation layers and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from ..activations import describe_activation
from ..graph import Graph
from .arguments import activation_name, number
from .base import Layer


class Activation(Layer):
    """An activation by name.

    Parameters
    ----------
    activation : str
        "linear", "relu", "relu6", "leaky_relu" (slope 0.2), "sigmoid", "tanh", "softmax" (over the last axis), "silu"
        or "swish", "gelu" (exact), "hard_sigmoid", "hard_silu" or "hard_swish", "elu", "selu", "softplus",
        "softsign", "exponential" or "mish", as Keras defines them.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If it is no such name.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Activation("relu")(np.array([[-1.0, 2.0]]))
    array([[0., 2.]])
    """

    def __init__(self, activation: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation_name(activation)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node, none for "linear"."""
        return [describe_activation(graph, inputs[0], self.activation, self.name)]


class ReLU(Layer):
    """max(x, 0), with a ceiling, a slope below and a threshold where wanted.

    Parameters
    ----------
    max_value : float, optional
        The ceiling; none by default.
    negative_slope : float
        Below the threshold the result is negative_slope * (x - threshold).
    threshold : float
        Where values begin to pass.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    ValueError
        If an argument is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.ReLU(max_value=6.0, negative_slope=0.5)(np.array([[-2.0, 2.0, 8.0]]))
    array([[-1.,  2.,  6.]])
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _from_zero(max_value, "max_value")
        self.negative_slope = _from_zero(negative_slope, "negative_slope")
        self.threshold = _from_zero(threshold, "threshold")

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        attributes = {
            "kind": "relu",
            "negative_slope": self.negative_slope,
            "max_value": inf if self.max_value is None else self.max_value,
            "threshold": self.threshold,
        }
        return [graph.add_node("activation", inputs, attributes, name=self.name)]


class LeakyReLU(Layer):
    """x where it is positive, and a fraction of it where it is not.

    Parameters
    ----------
    negative_slope : float
        The fraction.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    ValueError
        If `negative_slope` is negative.

    References
    ----------
    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.LeakyReLU(0.5)(np.array([[-2.0, 2.0]]))
    array([[-1.,  2.]])
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = _from_zero(negative_slope, "negative_slope")

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        attributes = {"kind": "leaky_relu", "negative_slope": self.negative_slope}
        return [graph.add_node("activation", inputs, attributes, name=self.name)]


class Softmax(Layer):
    """exp(x) over the sum of exp(x) along the last axis.

    Parameters
    ----------
    axis : int
        The last one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Softmax()(np.zeros((1, 4)))
    array([[0.25, 0.25, 0.25, 0.25]])
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        rank = len(graph.values[inputs[0]].shape)
        if self.axis not in (-1, rank - 1):
            raise ValueError(f"axis of layer {self.name!r} must be the last one, got {self.axis}")
        return [describe_activation(graph, inputs[0], "softmax", self.name)]


class Dropout(Layer):
    """Set elements to zero at random while training, and scale up the others.

    Parameters
    ----------
    rate : float
        Share of elements to drop, at least 0 and at most 1. The rest is scaled by 1 / (1 - rate).
    seed : int, optional
        Makes this layer's choices repeatable by themselves; else `set_random_seed` does.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If `rate` is no number or out of range.

    Notes
    -----
    Outside training the layer does nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Dropout(0.5)(np.ones((1, 3)))
    array([[1., 1., 1.]])
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = number(rate, "rate")
        self.seed = seed
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must be within [0, 1], got {rate}")

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node, none for a rate of 0."""
        if self.rate == 0:
            return list(inputs)
        return [graph.add_node("dropout", inputs, {"rate": self.rate, "seed": self.seed}, name=self.name)]


def _from_zero(value: Any, name: str) -> float:
    found = number(value, name)
    if not found >= 0:
        raise ValueError(f"{name} must not be negative, got {found}")
    return found
