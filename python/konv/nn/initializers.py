"""Initial values of weights, by Keras's names and formulas."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod, sqrt

import numpy as np
from numpy.typing import DTypeLike

from .random import generator
from .variable import Array


class Initializer(ABC):
    """Makes the initial values of a weight."""

    @abstractmethod
    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array.

        Parameters
        ----------
        shape : sequence of int
            (in, out) of a dense kernel; of a convolution's, the window's sizes stand in front.
        dtype : dtype
            float32 by default.
        """


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array."""
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array."""
        return np.ones(shape, dtype)


class Constant(Initializer):
    """One value everywhere.

    Parameters
    ----------
    value : float
        That value.

    Examples
    --------
    >>> from konv import nn
    >>> nn.Constant(0.5)((2,))
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Make an array."""
        return np.full(shape, self.value, dtype)


class RandomUniform(Initializer):
    """Uniform between two values.

    Parameters
    ----------
    minval, maxval : float
        The range.
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array."""
        return generator(self.seed).uniform(self.minval, self.maxval, tuple(shape)).astype(dtype)


class RandomNormal(Initializer):
    """Normal with a mean and a standard deviation.

    Parameters
    ----------
    mean, stddev : float
        Of the distribution.
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array."""
        return generator(self.seed).normal(self.mean, self.stddev, tuple(shape)).astype(dtype)


class TruncatedNormal(RandomNormal):
    """Normal, where values beyond two standard deviations are drawn again.

    Parameters
    ----------
    mean, stddev : float
        Of the distribution before it is cut off.
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array."""
        return (self.mean + self.stddev * _truncated(self.seed, shape)).astype(dtype)


class VarianceScaling(Initializer):
    """Random values whose variance is `scale` over the number of a unit's connections.

    Parameters
    ----------
    scale : float
        The variance times that number.
    mode : {"fan_in", "fan_out", "fan_avg"}
        Which connections count: those that come in, those that go out, or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        What to draw from.
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.

    Raises
    ------
    ValueError
        If `scale` is not positive, or a name is not among those above.

    Examples
    --------
    >>> from konv import nn
    >>> bool(abs(nn.VarianceScaling(3.0, "fan_out", "uniform")((5, 9))).max() <= 1)
    True
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        modes, distributions = ("fan_in", "fan_out", "fan_avg"), ("truncated_normal", "untruncated_normal", "uniform")
        if mode not in modes:
            raise ValueError(f"mode must be one of {modes}, got {mode!r}")
        if distribution not in distributions:
            raise ValueError(f"distribution must be one of {distributions}, got {distribution!r}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array."""
        fan_in, fan_out = _fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / fan
        if self.distribution == "uniform":
            limit = sqrt(3 * variance)
            return generator(self.seed).uniform(-limit, limit, tuple(shape)).astype(dtype)
        if self.distribution == "untruncated_normal":
            return generator(self.seed).normal(0, sqrt(variance), tuple(shape)).astype(dtype)
        # A normal cut off at two standard deviations keeps 0.8796 of its standard deviation.
        return (_truncated(self.seed, shape) * (sqrt(variance) / 0.87962566103423978)).astype(dtype)


class GlorotUniform(VarianceScaling):
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

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform within sqrt(6 / fan_in) of zero."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal of variance 2 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """Uniform within sqrt(3 / fan_in) of zero."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """Truncated normal of variance 1 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


class Orthogonal(Initializer):
    """Orthonormal columns, or rows where there are fewer of those, of the kernel as a matrix (..., out).

    Parameters
    ----------
    gain : float
        Factor of the matrix.
    seed : int, optional
        Draws the same values on every call; by default the shared generator goes on.

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> q = nn.Orthogonal()((3, 3, 2, 4)).reshape(18, 4)
    >>> bool(np.allclose(q.T @ q, np.eye(4), atol=1e-6))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain, self.seed = gain, seed

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Array:
        """Draw an array."""
        if len(shape) < 2:
            raise ValueError(f"shape must have two dimensions or more for Orthogonal, got {tuple(shape)}")
        rows, columns = prod(shape[:-1]), shape[-1]
        drawn = generator(self.seed).standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(drawn)
        q *= np.sign(np.diag(r))  # without this, the factorisation's choice of signs would bias the draw
        return (self.gain * (q if rows >= columns else q.T)).reshape(tuple(shape)).astype(dtype)


def _truncated(seed: int | None, shape: Sequence[int]) -> Array:
    rng = generator(seed)
    values = rng.standard_normal(tuple(shape))
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values


def _fans(shape: Sequence[int]) -> tuple[float, float]:
    if len(shape) < 2:
        size = float(prod(shape))
        return max(size, 1.0), max(size, 1.0)
    field = prod(shape[:-2])
    return max(float(shape[-2] * field), 1.0), max(float(shape[-1] * field), 1.0)


_NAMES: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "random_uniform": RandomUniform,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "orthogonal": Orthogonal,
}

AnyInitializer = Initializer | Callable[..., Array]


def get(identifier: str | AnyInitializer) -> AnyInitializer:
    """Return the initializer that a name stands for; a callable stands for itself."""
    if callable(identifier):
        return identifier
    if not isinstance(identifier, str) or identifier not in _NAMES:
        raise ValueError(f"initializer must be one of {sorted(_NAMES)} or a callable, got {identifier!r}")
    return _NAMES[identifier]()
