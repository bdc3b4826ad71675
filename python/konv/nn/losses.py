"""Losses: what training makes small, as expressions that differentiate themselves, by Keras's names."""

# ruff: noqa: ARG002 - losses share their signatures

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import get_num_threads
from .._graph import ir
from .._graph.compiled import Compiled
from .._graph.lower import Weights
from . import ops
from .ops import Symbol
from .variable import Array, DType

_EPSILON = 1e-7  # Keras's: how near probabilities may come to 0 and 1


@dataclass(frozen=True)
class Prediction:
    """A model's output as rows, (rows, outputs), with what its last activation was made of.

    Attributes
    ----------
    value : Symbol
        The output.
    activation : str
        "softmax", "sigmoid", or "" where the model ends otherwise.
    scores : Symbol, optional
        What lies in front of that activation: exact where probabilities would round to 0 or 1.
    """

    value: Symbol
    activation: str = ""
    scores: Symbol | None = None


class Loss(ABC):
    """A loss: the mean, over samples and pixels, of one number each.

    Attributes
    ----------
    name : str
        The loss's name in Keras.
    """

    name = "loss"

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check and convert the targets of outputs of shape `output_shape`, batch included."""
        return _like_output(y, output_shape, dtype, "")

    @abstractmethod
    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike) -> float:
        """Return the mean loss of predictions.

        Parameters
        ----------
        y_true : array_like
            The targets.
        y_pred : array_like
            (batch, ..., outputs).
        """
        given = np.asarray(y_pred)
        if given.dtype not in (np.float32, np.float64):
            given = given.astype(np.float32)
        y = self.targets(y_true, given.shape, given.dtype)
        columns = given.shape[-1] if given.ndim > 1 else 1
        predicted = given.reshape(-1, columns)
        wanted = y.reshape(-1) if y.dtype == np.int64 else y.reshape(-1, columns)
        if not predicted.size:
            return 0.0
        graph = ir.Graph()
        graph.inputs = [ir.Value(a.shape, a.dtype) for a in (wanted, predicted)]
        symbols = [Symbol(graph, value) for value in graph.inputs]
        loss = ops.mean(self.rows(symbols[0], Prediction(symbols[1])), axis=0)
        graph.outputs = [loss.node_value]
        return float(Compiled(graph, Weights(), get_num_threads()).run([wanted, predicted])[0].item())


class FunctionLoss(Loss):
    """A loss that the user wrote with `konv.nn.ops`: ``function(y_true, y_pred)`` of symbols, (rows, outputs) each.

    What it returns has one row for each of theirs; several columns are averaged.
    """

    def __init__(self, function: Callable[[Symbol, Symbol], Symbol]) -> None:
        self.function = function
        self.name = getattr(function, "__name__", "loss")

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        made = self.function(y, prediction.value)
        if not isinstance(made, Symbol) or made.shape[0] != y.shape[0]:
            raise TypeError(f"loss {self.name!r} must return a symbol with as many rows as it was given, got {made!r}")
        return made if made.shape[1] == 1 else ops.mean(made)


# --- classes ------------------------------------------------------------------------------------------


class _CrossEntropy(Loss):
    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def _scores(self, prediction: Prediction) -> Symbol | None:
        if self.from_logits:
            return prediction.value
        return prediction.scores if prediction.activation == "softmax" else None


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

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        scores = self._scores(prediction)
        if scores is None:
            shares = prediction.value / ops.sum(prediction.value)
            scores = ops.log(ops.clip(shares, _EPSILON, 1 - _EPSILON))
        return ops.softmax_cross_entropy(scores, y)


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
        self.label_smoothing = _share(label_smoothing)

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check targets of the output's shape; returns them in its dtype."""
        rows = _like_output(y, output_shape, dtype, "; for class numbers use the sparse loss")
        if self.label_smoothing:
            rows = rows * (1 - self.label_smoothing) + self.label_smoothing / output_shape[-1]
        return rows.astype(dtype, copy=False)

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        scores = self._scores(prediction)
        if scores is not None:
            return ops.softmax_cross_entropy(scores, y)
        shares = prediction.value / ops.sum(prediction.value)
        return -ops.sum(y * ops.log(ops.clip(shares, _EPSILON, 1 - _EPSILON)))


class BinaryCrossentropy(Loss):
    """-y log p - (1 - y) log(1 - p), averaged over the outputs.

    Parameters
    ----------
    from_logits : bool
        Whether the model's output is scores rather than probabilities.
    label_smoothing : float
        Targets move this far towards one half.

    Examples
    --------
    >>> from konv import nn
    >>> round(nn.BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.25]]), 4)
    0.4904
    """

    name = "binary_crossentropy"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        self.from_logits = from_logits
        self.label_smoothing = _share(label_smoothing)

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check targets of the output's shape; returns them in its dtype."""
        rows = _like_output(y, output_shape, dtype, "")
        if self.label_smoothing:
            rows = rows * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        return rows.astype(dtype, copy=False)

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        scores = prediction.value if self.from_logits else None
        if scores is None and prediction.activation == "sigmoid":
            scores = prediction.scores
        if scores is not None:  # max(x, 0) - x y + log(1 + exp(-|x|))
            return ops.mean(ops.relu(scores) - scores * y + ops.softplus(-ops.abs(scores)))
        p = ops.clip(prediction.value, _EPSILON, 1 - _EPSILON)
        return -ops.mean(y * ops.log(p) + (1 - y) * ops.log(1 - p))


# --- numbers ------------------------------------------------------------------------------------------


class MeanSquaredError(Loss):
    """Mean of (y_true - y_pred)^2.

    Examples
    --------
    >>> from konv import nn
    >>> nn.MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    """

    name = "mean_squared_error"

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        return ops.mean(ops.square(y - prediction.value))


class MeanAbsoluteError(Loss):
    """Mean of the magnitude of y_true - y_pred.

    Examples
    --------
    >>> from konv import nn
    >>> nn.MeanAbsoluteError()([[0.0, 1.0]], [[3.0, 1.0]])
    1.5
    """

    name = "mean_absolute_error"

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        return ops.mean(ops.abs(y - prediction.value))


class Huber(Loss):
    """Half the squared error up to `delta`, beyond it delta * (error - delta / 2).

    Parameters
    ----------
    delta : float
        Positive.

    Examples
    --------
    >>> from konv import nn
    >>> nn.Huber()([[0.0, 0.0]], [[1.0, 3.0]])
    1.5
    """

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise ValueError(f"delta must be positive, got {delta}")
        self.delta = float(delta)

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        size = ops.abs(y - prediction.value)
        near = ops.minimum(size, self.delta)
        return ops.mean(near * (size - 0.5 * near))


class KLDivergence(Loss):
    """Sum of y_true log(y_true / y_pred), both cut off near 0 and 1.

    Examples
    --------
    >>> from konv import nn
    >>> round(nn.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """

    name = "kl_divergence"

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        p, q = (ops.clip(x, _EPSILON, 1.0) for x in (y, prediction.value))
        return ops.sum(p * ops.log(p / q))


class Hinge(Loss):
    """Mean of max(1 - y_true * y_pred, 0); targets are -1 or 1, and 0 stands for -1.

    Examples
    --------
    >>> from konv import nn
    >>> nn.Hinge()([[1.0, -1.0]], [[0.5, 0.5]])
    1.0
    """

    name = "hinge"

    def targets(self, y: ArrayLike, output_shape: tuple[int, ...], dtype: DType) -> Array:
        """Check targets of the output's shape; returns them in its dtype, -1 for 0 where all are 0 or 1."""
        rows = _like_output(y, output_shape, dtype, "")
        return 2 * rows - 1 if np.isin(rows, (0, 1)).all() else rows

    def rows(self, y: Symbol, prediction: Prediction) -> Symbol:
        """Return the loss of each row, (rows, 1)."""
        return ops.mean(ops.relu(1 - y * prediction.value))


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"label_smoothing must be within [0, 1], got {value}")
    return float(value)


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


_CLASSES: tuple[type[Loss], ...] = (
    SparseCategoricalCrossentropy, CategoricalCrossentropy, BinaryCrossentropy, MeanSquaredError, MeanAbsoluteError,
    Huber, KLDivergence, Hinge,
)  # fmt: skip
_NAMES: dict[str, type[Loss]] = {cls.name: cls for cls in _CLASSES} | {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
}


def get(identifier: Any) -> Loss:
    """Return the loss that a name stands for; a loss stands for itself, a function for a `FunctionLoss`."""
    if isinstance(identifier, Loss):
        return identifier
    if callable(identifier):
        return FunctionLoss(identifier)
    if not isinstance(identifier, str):
        raise TypeError(f"loss must be a name, a Loss or a function, got {identifier!r}")
    if identifier.lower() not in _NAMES:
        raise ValueError(f"loss must be one of {tuple(_NAMES)}, a Loss or a function, got {identifier!r}")
    return _NAMES[identifier.lower()]()
