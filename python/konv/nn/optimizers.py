"""Optimizers: Keras's names, defaults and update rules, as nodes that change variables where they lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from .. import get_num_threads
from .._graph import ir
from .._graph.compiled import Compiled
from .._graph.lower import Weights
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

    op = ""  # of the compiler's
    slots = 0  # arrays kept for each variable

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = _at_least_zero(learning_rate, "learning_rate")
        self.iterations = 0
        self._state: dict[Variable, list[Array]] = {}
        self._apply: tuple[tuple[Variable, ...], Compiled] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_apply": None}

    @property
    @abstractmethod
    def rates(self) -> Array:
        """What the present step multiplies by: float64 numbers, as the operation takes them."""

    @property
    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """What never changes, as the operation takes it."""

    def slots_of(self, variable: Variable) -> list[Array]:
        """Return the arrays kept for a variable, zeros at first."""
        if variable not in self._state:
            self._state[variable] = [np.zeros_like(variable.storage) for _ in range(self.slots)]
        return self._state[variable]

    def emit(self, graph: ir.Graph, variable: Variable, value: ir.Value, grad: ir.Value, rates: ir.Value) -> None:
        """Add the node that changes a variable."""
        kept: list[ir.Value | None] = [ir.variable(array) for array in self.slots_of(variable)]
        if not kept:
            kept = [None]
        graph.nodes.append(ir.Node(self.op, [value, grad, *kept, rates], [], self.attributes, self.op))

    def apply(self, grads: Sequence[Array], trainable_variables: Sequence[Variable]) -> None:
        """Take one step.

        Parameters
        ----------
        grads : sequence of ndarray
            One a variable, of its shape and dtype.
        trainable_variables : sequence of Variable
            Changed in place.
        """
        variables = tuple(trainable_variables)
        for grad, variable in zip(grads, variables, strict=True):
            if np.shape(grad) != variable.shape:
                raise ValueError(
                    f"gradient of variable {variable.name!r} must have shape {variable.shape}, got {np.shape(grad)}"
                )
        if self._apply is None or self._apply[0] != variables:
            graph = ir.Graph()
            rates = ir.Value(self.rates.shape, np.dtype(np.float64), "rates")
            for variable in variables:
                graph.inputs.append(ir.Value(variable.shape, variable.dtype, "grad"))
                self.emit(graph, variable, ir.variable(variable.storage), graph.inputs[-1], rates)
            graph.inputs.append(rates)
            self._apply = variables, Compiled(graph, Weights(), get_num_threads())
        self.iterations += 1
        self._apply[1].run([*grads, self.rates])
        for variable in variables:
            variable.changed()


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

    op = "sgd"

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__(learning_rate)
        self.momentum = _at_least_zero(momentum, "momentum")
        if self.momentum > 1:
            raise ValueError(f"momentum must be within [0, 1], got {momentum}")
        self.nesterov = nesterov
        self.slots = 1 if self.momentum else 0

    @property
    def rates(self) -> Array:
        """The learning rate."""
        return np.array([self.learning_rate])

    @property
    def attributes(self) -> dict[str, Any]:
        """Momentum, and whether it looks ahead."""
        return {"momentum": self.momentum, "nesterov": self.nesterov}


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

    op = "adam"
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

    @property
    def rates(self) -> Array:
        """The learning rate, with the bias of both means taken out; and by how much weights decay."""
        step = max(1, self.iterations)
        alpha = self.learning_rate * sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return np.array([alpha, 0.0])

    @property
    def attributes(self) -> dict[str, Any]:
        """Decays, and what is added to the root."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class AdamW(Adam):
    """Adam whose weights decay apart from their gradients (Loshchilov and Hutter, 2019).

    Parameters
    ----------
    learning_rate : float
        Size of a step.
    weight_decay : float
        Each step first takes learning_rate * weight_decay of a weight away.
    beta_1, beta_2, epsilon : float
        As for `Adam`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> w = nn.Variable(np.ones(2))
    >>> nn.AdamW(learning_rate=0.5, weight_decay=0.1).apply([np.zeros(2)], [w])
    >>> w.numpy()
    array([0.95, 0.95])
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon)
        self.weight_decay = _at_least_zero(weight_decay, "weight_decay")

    @property
    def rates(self) -> Array:
        """As Adam's; and by how much weights decay."""
        return np.array([super().rates[0], self.learning_rate * self.weight_decay])


def _at_least_zero(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return float(value)


_NAMES: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def get(identifier: str | Optimizer) -> Optimizer:
    """Return the optimizer that a name stands for; an optimizer stands for itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"optimizer must be a name or an Optimizer, got {identifier!r}")
    if identifier.lower() not in _NAMES:
        raise ValueError(f"optimizer must be one of {tuple(_NAMES)} or an Optimizer, got {identifier!r}")
    return _NAMES[identifier.lower()]()
