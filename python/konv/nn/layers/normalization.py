"""Batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import initializers, regularizers
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..variable import Shape
from .arguments import number
from .base import Layer, known_channels


class BatchNormalization(Layer):
    """Bring each channel to mean 0 and variance 1, then scale and shift it.

    Parameters
    ----------
    axis : int
        The channels: the last axis.
    momentum : float
        How much of the moving statistics stays at a training step.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether to add `beta`, and to multiply by `gamma`.
    beta_initializer, gamma_initializer : str or callable
        How these start.
    moving_mean_initializer, moving_variance_initializer : str or callable
        How the statistics start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    In training the batch's own mean and (biased) variance count, and move the statistics by
    ``moving = momentum * moving + (1 - momentum) * batch``; otherwise the statistics do. With ``trainable=False``
    the layer works as outside training even in it, and its statistics stay, as in Keras. The weights are gamma, beta,
    moving_mean and moving_variance, in this order.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
    shift", 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.BatchNormalization(epsilon=0.0)
    >>> layer(np.array([[1.0], [3.0]]), training=True).ravel()
    array([-1.,  1.])
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | AnyInitializer = "zeros",
        gamma_initializer: str | AnyInitializer = "ones",
        moving_mean_initializer: str | AnyInitializer = "zeros",
        moving_variance_initializer: str | AnyInitializer = "ones",
        beta_regularizer: str | Regularizer | None = None,
        gamma_regularizer: str | Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.momentum = number(momentum, "momentum")
        self.epsilon = number(epsilon, "epsilon")
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer, "beta_regularizer")
        self.gamma_regularizer = regularizers.get(gamma_regularizer, "gamma_regularizer")
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum must be within [0, 1], got {momentum}")
        if not self.epsilon >= 0:
            raise ValueError(f"epsilon must not be negative, got {epsilon}")

    def make_weights(self, input_shape: Shape) -> None:
        """Make gamma, beta and the moving statistics."""
        shape = (known_channels(self, input_shape),)
        if self.axis not in (-1, len(input_shape) - 1):
            raise ValueError(f"axis of layer {self.name!r} must be the last one, got {self.axis}")
        if self.scale:
            self.gamma = self.add_weight("gamma", shape, self.gamma_initializer, regularizer=self.gamma_regularizer)
        if self.center:
            self.beta = self.add_weight("beta", shape, self.beta_initializer, regularizer=self.beta_regularizer)
        self.moving_mean = self.add_weight("moving_mean", shape, self.moving_mean_initializer, trainable=False)
        self.moving_variance = self.add_weight(
            "moving_variance", shape, self.moving_variance_initializer, trainable=False
        )

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        attributes = {
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "scale": self.scale,
            "center": self.center,
        }
        return [graph.add_node("batch_normalization", inputs, attributes, self.weights, self.name)]
