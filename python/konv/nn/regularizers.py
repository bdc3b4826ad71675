"""Penalties on weights, by Keras's names: training adds them to the loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike


class Regularizer:
    """l1 times the sum of the magnitudes, plus l2 times the sum of the squares.

    Parameters
    ----------
    l1, l2 : float
        Finite and not negative.

    Raises
    ------
    TypeError, ValueError
        If one is not a number, or out of range.
    """

    def __init__(self, l1: float, l2: float) -> None:
        self.l1 = _factor(l1, "l1")
        self.l2 = _factor(l2, "l2")

    def __call__(self, x: ArrayLike) -> float:
        """Return the penalty of an array of weights."""
        values = np.asarray(x, np.float64)
        return float(self.l1 * np.abs(values).sum() + self.l2 * np.square(values).sum())


class L1(Regularizer):
    """l1 times the sum of the magnitudes.

    Parameters
    ----------
    l1 : float
        The factor.

    Examples
    --------
    >>> from konv import nn
    >>> nn.L1(0.5)([1.0, -2.0])
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1, 0.0)


class L2(Regularizer):
    """l2 times the sum of the squares; there is no factor of one half, as in Keras.

    Parameters
    ----------
    l2 : float
        The factor.

    Examples
    --------
    >>> from konv import nn
    >>> nn.L2(0.5)([1.0, -2.0])
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(0.0, l2)


class L1L2(Regularizer):
    """The sum of both penalties.

    Parameters
    ----------
    l1, l2 : float
        The factors.

    Examples
    --------
    >>> from konv import nn
    >>> nn.L1L2(l1=0.5, l2=0.5)([1.0, -2.0])
    4.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        super().__init__(l1, l2)


def _factor(value: float, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value}")
    return float(value)


_NAMES: dict[str, Callable[[], Regularizer]] = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: str | Regularizer | None, name: str) -> Regularizer | None:
    """Return the regularizer that a name stands for; a regularizer, or None, stands for itself."""
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"{name} must be a name or a Regularizer, got {identifier!r}")
    if identifier not in _NAMES:
        raise ValueError(f"{name} must be one of {tuple(_NAMES)} or a Regularizer, got {identifier!r}")
    return _NAMES[identifier]()
