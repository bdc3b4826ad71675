"""What a user may have done between the epochs of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Model


class Callback:
    """Called by `fit` around each epoch; a subclass overrides what it needs.

    Attributes
    ----------
    model : Model
        The model in training. Setting its `stop_training` ends the training after the epoch.
    """

    model: Model

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Before an epoch, counted from 0; `logs` is empty."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """After an epoch; `logs` holds its figures, such as "loss" and "val_accuracy"."""


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)`` returns the rate for an epoch, counted from 0, from the present one.

    Examples
    --------
    >>> from konv import nn
    >>> halve = nn.LearningRateScheduler(lambda epoch, rate: rate if epoch == 0 else rate / 2)
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    >>> model.compile(nn.SGD(0.4), "mse")
    >>> _ = model.fit([[1.0]], [[1.0]], epochs=3, verbose=0, callbacks=[halve])
    >>> model.optimizer.learning_rate
    0.1
    """

    def __init__(self, schedule: Callable[[int, float], float]) -> None:
        self.schedule = schedule

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float]) -> None:  # noqa: ARG002 - the interface
        """Set the rate."""
        optimizer = self.model.optimizer
        if optimizer is not None:
            optimizer.learning_rate = float(self.schedule(epoch, optimizer.learning_rate))
