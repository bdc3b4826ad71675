"""Initial values of weights, by Keras's names and formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt

import numpy as np
from numpy.typing import DTypeLike

from .random import generator
from .variable import Array

Initializer = Callable[..., Array]


class Zeros:
    """All zeros."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array."""
        return np.zeros(shape, dtype)


class Ones:
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array."""
        return np.ones(shape, dtype)


class _VarianceScaling:
    """Random values whose variance is `scale` over the number of a unit's connections."""

    scale: float
    mode: str
    distribution: str

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array.

        Parameters
        ----------
        shape : sequence of int
            (in, out) of a dense kernel or (height, width, in, out) of a convolution's.
        dtype : dtype
            float32 by default.
        """
        fan_in, fan_out = _fans(shape)
        variance = self.scale / (fan_in if self.mode == "fan_in" else (fan_in + fan_out) / 2)
        rng = generator(self.seed)
        if self.distribution == "uniform":
            limit = sqrt(3 * variance)
            return rng.uniform(-limit, limit, tuple(shape)).astype(dtype)
        # A normal cut off at two standard deviations keeps 0.8796 of its standard deviation.
        values = rng.standard_normal(tuple(shape))
        while (outside := np.abs(values) > 2).any():
            values[outside] = rng.standard_normal(int(outside.sum()))
        return (values * sqrt(variance) / 0.87962566103423978).astype(dtype)


class GlorotUniform(_VarianceScaling):
    """Uniform within sqrt(6 / (fan_in + fan_out)) of zero: the default of kernels.

    Parameters
    ----------
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.

    Examples
    --------
    >>> from konv import nn
    >>> bool(abs(nn.GlorotUniform(seed=0)((3, 3, 1, 32))).max() <= (6 / (9 + 9 * 32)) ** 0.5)
    True
    """

    scale, mode, distribution = 1.0, "fan_avg", "uniform"


class GlorotNormal(_VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_VarianceScaling):
    """Uniform within sqrt(6 / fan_in) of zero."""

    scale, mode, distribution = 2.0, "fan_in", "uniform"


class HeNormal(_VarianceScaling):
    """Truncated normal of variance 2 / fan_in."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"


def _fans(shape: Sequence[int]) -> tuple[float, float]:
    if len(shape) < 2:
        size = float(prod(shape))
        return max(size, 1.0), max(size, 1.0)
    field = prod(shape[:-2])
    return max(float(shape[-2] * field), 1.0), max(float(shape[-1] * field), 1.0)


_NAMES: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
}


def get(identifier: str | Initializer) -> Initializer:
    """Return the initializer that a name stands for; a callable stands for itself."""
    if callable(identifier):
        return identifier
    if identifier not in _NAMES:
        raise ValueError(f"initializer must be one of {sorted(_NAMES)} or a callable, got {identifier!r}")
    return _NAMES[identifier]()
