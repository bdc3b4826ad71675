"""Metrics: means over the samples seen so far."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from .variable import Array


class Metric(ABC):
    """A mean over samples that is fed batch by batch.

    Parameters
    ----------
    name : str, optional
        The key under which `History` keeps it.
    """

    default_name = "metric"

    def __init__(self, name: str | None = None) -> None:
        self.name = name or self.default_name
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all samples."""
        self._total, self._count = 0.0, 0

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike) -> None:
        """Take in a batch of targets and predictions."""
        values = self.score(np.asarray(y_true), np.asarray(y_pred))
        self._total += float(values.sum())
        self._count += values.size

    def result(self) -> float:
        """Return the mean over the samples since the last reset, 0 where there were none."""
        return self._total / self._count if self._count else 0.0

    @abstractmethod
    def score(self, y_true: Array, y_pred: Array) -> Array:
        """Return one value a sample."""


class SparseCategoricalAccuracy(Metric):
    """Share of samples whose largest prediction is at the class given by number.

    Examples
    --------
    >>> from konv import nn
    >>> metric = nn.SparseCategoricalAccuracy()
    >>> metric.update_state([0, 1], [[0.9, 0.1], [0.8, 0.2]])
    >>> metric.result()
    0.5
    """

    default_name = "sparse_categorical_accuracy"

    def score(self, y_true: Array, y_pred: Array) -> Array:
        """Return whether each sample is right."""
        if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
            y_true = y_true[..., 0]
        found: Array = y_pred.argmax(axis=-1) == y_true
        return found


class CategoricalAccuracy(Metric):
    """Share of samples whose largest prediction is where their one-hot target is largest."""

    default_name = "categorical_accuracy"

    def score(self, y_true: Array, y_pred: Array) -> Array:
        """Return whether each sample is right."""
        found: Array = y_pred.argmax(axis=-1) == y_true.argmax(axis=-1)
        return found


class BinaryAccuracy(Metric):
    """Share of values on the side of `threshold` that their 0/1 targets say."""

    default_name = "binary_accuracy"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def score(self, y_true: Array, y_pred: Array) -> Array:
        """Return whether each value is right."""
        found: Array = (y_pred > self.threshold) == (y_true.reshape(y_pred.shape) > 0.5)
        return found


class MeanSquaredErrorMetric(Metric):
    """Mean of (y_true - y_pred)^2."""

    default_name = "mean_squared_error"

    def score(self, y_true: Array, y_pred: Array) -> Array:
        """Return each value's squared error."""
        squares: Array = np.square(y_true.reshape(y_pred.shape) - y_pred, dtype=np.float64)
        return squares


def _accuracy(y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> type[Metric]:
    """Return Keras's choice for "accuracy"."""
    if output_shape[-1] == 1:
        return BinaryAccuracy
    one_hot = len(y_shape) == len(output_shape) and y_shape[-1] > 1
    return CategoricalAccuracy if one_hot else SparseCategoricalAccuracy


_NAMES: dict[str, type[Metric]] = {
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "binary_accuracy": BinaryAccuracy,
    "mean_squared_error": MeanSquaredErrorMetric,
    "mse": MeanSquaredErrorMetric,
}
NAMES = ("accuracy", "acc", *_NAMES)


def check(identifier: str | Metric) -> str | Metric:
    """Refuse what `get` would not know, before any shapes are known."""
    if isinstance(identifier, Metric):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"metrics must be names or Metric objects, got {identifier!r}")
    if identifier not in NAMES:
        raise ValueError(f"metrics must be among {NAMES} or Metric objects, got {identifier!r}")
    return identifier


def get(identifier: str | Metric, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Metric:
    """Return the metric that a name stands for, for targets and outputs of these shapes."""
    if isinstance(identifier, Metric):
        return identifier
    if identifier in ("accuracy", "acc"):
        return _accuracy(y_shape, output_shape)(identifier)
    return _NAMES[identifier](identifier)
