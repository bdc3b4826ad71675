"""Losses: the mean over the batch, and its gradient."""

# ruff: noqa: ARG002 - losses share their signatures

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from .variable import Array, DType

_EPSILON = 1e-7  # Keras's: how near probabilities may come to 0 and 1


class Loss(ABC):
    """A loss. Subclasses say what targets they take, and compute value and gradient.

    Attributes
    ----------
    name : str
        The loss's name in Keras.
    takes_logits : bool
        Whether the loss can work on the scores in front of a final softmax, which is exact where
        probabilities would round to 0 or 1; training then passes it those.
    """

    name = "loss"
    takes_logits = False

    @abstractmethod
    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check and convert the targets of outputs of shape `output_shape`, batch included."""

    @abstractmethod
    def value_and_grad(self, y: Array, prediction: Array, grad: Array | None, *, logits: bool = False) -> float:
        """Return the mean loss; writes its gradient with respect to `prediction` into `grad`.

        Parameters
        ----------
        y : ndarray
            As `targets` returned it.
        prediction : ndarray
            (batch, ..., outputs); float32 or float64.
        grad : ndarray, optional
            Like `prediction`.
        logits : bool
            Whether `prediction` is in front of the softmax.
        """

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike) -> float:
        """Return the mean loss of predictions.

        Parameters
        ----------
        y_true : array_like
            The targets.
        y_pred : array_like
            (batch, ..., outputs).
        """
        prediction = np.asarray(y_pred)
        if prediction.dtype not in (np.float32, np.float64):
            prediction = prediction.astype(np.float32)
        y = self.targets(y_true, prediction.shape, prediction.dtype)
        return self.value_and_grad(y, np.ascontiguousarray(prediction), None)


class _CrossEntropy(Loss):
    takes_logits = True

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits
        self.takes_logits = not from_logits

    def value_and_grad(self, y: Array, prediction: Array, grad: Array | None, *, logits: bool = False) -> float:
        """Return the mean loss; writes its gradient with respect to `prediction` into `grad`."""
        classes = prediction.shape[-1]
        scores = prediction.reshape(-1, classes)
        flat = None if grad is None else grad.reshape(-1, classes)
        labels = y.reshape(-1, classes) if y.shape == prediction.shape else y.reshape(-1)
        count = max(len(scores), 1)
        if logits or self.from_logits:
            total: float = _core.softmax_cross_entropy(scores, labels, flat, 1.0 / count)
        else:
            total = _from_probabilities(scores, labels, flat, 1.0 / count)
        return total / count


def _from_probabilities(p: Array, labels: Array, grad: Array | None, scale: float) -> float:
    """Sum up -log(p / sum(p)) of the labels, p cut off near 0 and 1 as in Keras."""
    if labels.ndim == 1:
        labels = np.eye(p.shape[1], dtype=p.dtype)[labels]
    total = p.sum(axis=1, keepdims=True)
    q = p / total
    clipped = np.clip(q, _EPSILON, 1 - _EPSILON)
    if grad is not None:
        inside = np.where(clipped == q, -labels / clipped, 0)
        grad[...] = scale * (inside - (inside * q).sum(axis=1, keepdims=True)) / total
    return -float((labels * np.log(clipped)).sum(dtype=np.float64))


class SparseCategoricalCrossentropy(_CrossEntropy):
    """-log of the probability given to the right class; labels are class numbers.

    Parameters
    ----------
    from_logits : bool
        Whether the model's output is scores rather than probabilities.

    Examples
    --------
    >>> from konv import nn
    >>> round(nn.SparseCategoricalCrossentropy()([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """

    name = "sparse_categorical_crossentropy"

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check labels of shape (batch, ...) or (batch, ..., 1); returns int64."""
        labels = np.asarray(y)
        if labels.ndim == len(output_shape) and labels.shape[-1] == 1:
            labels = labels[..., 0]
        if labels.shape != output_shape[:-1]:
            raise ValueError(
                f"y must hold one class number for each output of shape {output_shape}, got shape "
                f"{labels.shape}; for one-hot targets use loss='categorical_crossentropy'"
            )
        if labels.dtype.kind not in "iubf":
            raise TypeError(f"y must hold class numbers, got dtype {labels.dtype}")
        numbers = labels.astype(np.int64)
        classes = output_shape[-1]
        wrong = (numbers != labels) | (numbers < 0) | (numbers >= classes)
        if wrong.any():
            raise ValueError(f"y must hold whole numbers from 0 to {classes - 1}, got {labels[wrong][0]}")
        return numbers


class CategoricalCrossentropy(_CrossEntropy):
    """-log of the probability given to the right class; targets are one-hot rows.

    Parameters
    ----------
    from_logits : bool
        Whether the model's output is scores rather than probabilities.
    label_smoothing : float
        This share of each target is spread evenly over the classes.

    Examples
    --------
    >>> from konv import nn
    >>> round(nn.CategoricalCrossentropy()([[1, 0], [0, 1]], [[0.5, 0.5], [0.25, 0.75]]), 4)
    0.4904
    """

    name = "categorical_crossentropy"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"label_smoothing must be within [0, 1], got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check targets of the output's shape; returns them in its dtype."""
        rows = _like_output(y, output_shape, dtype, "; for class numbers use the sparse loss")
        if self.label_smoothing:
            rows = rows * (1 - self.label_smoothing) + self.label_smoothing / output_shape[-1]
        return rows.astype(dtype, copy=False)


class MeanSquaredError(Loss):
    """Mean of (y_true - y_pred)^2.

    Examples
    --------
    >>> from konv import nn
    >>> nn.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    name = "mean_squared_error"

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check targets of the output's shape; returns them in its dtype."""
        return _like_output(y, output_shape, dtype, "")

    def value_and_grad(self, y: Array, prediction: Array, grad: Array | None, *, logits: bool = False) -> float:
        """Return the mean loss; writes its gradient with respect to `prediction` into `grad`."""
        difference = prediction - y
        size = max(difference.size, 1)
        if grad is not None:
            np.multiply(difference, 2.0 / size, out=grad)
        return float(np.square(difference).sum(dtype=np.float64)) / size


def _like_output(
    y: ArrayLike,
    output_shape: tuple[int, ...],
    dtype: DType,
    hint: str,
) -> Array:
    targets = np.asarray(y)
    if targets.shape == output_shape[:-1] and output_shape[-1] == 1:
        targets = targets[..., None]
    if targets.shape != output_shape:
        raise ValueError(f"y must have the output's shape {output_shape}, got {targets.shape}{hint}")
    if targets.dtype.kind not in "iubf":
        raise TypeError(f"y must be numeric, got dtype {targets.dtype}")
    return targets.astype(dtype, copy=False)


_NAMES: dict[str, type[Loss]] = {
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
}


def get(identifier: str | Loss) -> Loss:
    """Return the loss that a name stands for; a loss stands for itself."""
    if isinstance(identifier, Loss):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"loss must be a name or a Loss, got {identifier!r}")
    if identifier.lower() not in _NAMES:
        raise ValueError(f"loss must be one of {tuple(_NAMES)} or a Loss, got {identifier!r}")
    return _NAMES[identifier.lower()]()
