"""Optimizers: Keras's names, defaults and update rules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt

import numpy as np

from .. import _core
from .variable import Array, Variable


class Optimizer(ABC):
    """Changes variables against their gradients, and keeps what it needs for each of them.

    Parameters
    ----------
    learning_rate : float
        Size of a step; may be changed at any time.

    Attributes
    ----------
    iterations : int
        The number of steps taken.
    """

    slots = 0  # arrays kept for each variable

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = _at_least_zero(learning_rate, "learning_rate")
        self.iterations = 0
        self._state: dict[Variable, list[Array]] = {}

    def apply(self, grads: Sequence[Array], trainable_variables: Sequence[Variable]) -> None:
        """Take one step.

        Parameters
        ----------
        grads : sequence of ndarray
            One a variable, of its shape and dtype.
        trainable_variables : sequence of Variable
            Changed in place.
        """
        self.iterations += 1
        for variable, grad in zip(trainable_variables, grads, strict=True):
            self.update(variable.value, grad, self._slots_of(variable))

    @abstractmethod
    def update(self, value: Array, grad: Array, slots: list[Array]) -> None:
        """Change one array in place."""

    def _slots_of(self, variable: Variable) -> list[Array]:
        if variable not in self._state:
            self._state[variable] = [np.zeros_like(variable.value) for _ in range(self.slots)]
        return self._state[variable]


class SGD(Optimizer):
    """Gradient descent: v = momentum * v - learning_rate * g; w += v.

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    momentum : float
        From 0 to 1.
    nesterov : bool
        Whether to look ahead: w += momentum * v - learning_rate * g, with the new v.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> w = nn.Variable(np.ones(2))
    >>> nn.SGD(learning_rate=0.5).apply([np.ones(2)], [w])
    >>> w.numpy()
    array([0.5, 0.5])
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(learning_rate)
        self.momentum = _at_least_zero(momentum, "momentum")
        if self.momentum > 1:
            raise ValueError(f"momentum must be within [0, 1], got {momentum}")
        self.nesterov = nesterov
        self.slots = 1 if self.momentum else 0

    def update(self, value: Array, grad: Array, slots: list[Array]) -> None:
        """Change one array in place."""
        velocity = slots[0] if slots else None
        _core.sgd_step(value, grad, velocity, self.learning_rate, self.momentum, self.nesterov)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2014), in the form of its section 2.1's last lines, as in Keras.

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    beta_1, beta_2 : float
        Decay of the mean gradient and of its mean square.
    epsilon : float
        Added to the root of the mean square.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> w = nn.Variable(np.ones(2))
    >>> nn.Adam(learning_rate=0.5).apply([np.ones(2)], [w])
    >>> w.numpy().round(3)
    array([0.5, 0.5])
    """

    slots = 2

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1 = _at_least_zero(beta_1, "beta_1")
        self.beta_2 = _at_least_zero(beta_2, "beta_2")
        self.epsilon = _at_least_zero(epsilon, "epsilon")
        if self.beta_1 >= 1 or self.beta_2 >= 1:
            raise ValueError(f"beta_1 and beta_2 must be below 1, got {beta_1} and {beta_2}")

    def update(self, value: Array, grad: Array, slots: list[Array]) -> None:
        """Change one array in place."""
        step = self.iterations
        alpha = self.learning_rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        mean, square = slots
        _core.adam_step(value, grad, mean, square, alpha, self.beta_1, self.beta_2, self.epsilon)


def _at_least_zero(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)


_NAMES: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimizer that a name stands for; an optimizer stands for itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"optimizer must be a name or an Optimizer, got {identifier!r}")
    if identifier.lower() not in _NAMES:
        raise ValueError(f"optimizer must be one of {tuple(_NAMES)} or an Optimizer, got {identifier!r}")
    return _NAMES[identifier.lower()]()
