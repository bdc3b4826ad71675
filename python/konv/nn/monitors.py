"""Callbacks that watch one figure, by Keras's names: they stop, slow down or save a training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .callbacks import Callback, Logs

if TYPE_CHECKING:
    from .variable import Array


class _Monitor(Callback):
    """Watches one figure and says when it has become better.

    Parameters
    ----------
    monitor : str
        The figure's name in the logs.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" knows it of losses, errors and accuracies by their names.
    min_delta : float
        What counts as a change.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(float(min_delta))
        self._sign = {"auto": self._direction(), "min": -1, "max": 1}[mode]
        self.best: float | None = None

    def _direction(self) -> int:
        name = self.monitor.removeprefix("val_")
        if name.endswith(("acc", "accuracy", "auc", "precision", "recall", "score", "iou")):
            return 1
        if name.endswith(("loss", "error", "mse", "mae", "crossentropy")):
            return -1
        if self.mode == "auto":
            raise ValueError(f"mode must be 'min' or 'max' for monitor={self.monitor!r}, whose name does not tell")
        return 0

    def _value(self, logs: Logs) -> float:
        if self.monitor not in logs:
            raise ValueError(f"monitor must be one of {sorted(logs)}, got {self.monitor!r}")
        return float(logs[self.monitor])

    def _is_better(self, value: float, than: float | None) -> bool:
        if than is None:
            return not math.isnan(value)
        return self._sign * (value - than) > self.min_delta


class EarlyStopping(_Monitor):
    """Ends the training when a figure has stopped getting better.

    Parameters
    ----------
    monitor : str
        The figure's name in the logs.
    min_delta : float
        What counts as better.
    patience : int
        How many epochs in a row may be no better before the training ends.
    verbose : {0, 1}
        Whether to say so.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" knows it of losses, errors and accuracies by their names.
    baseline : float, optional
        What the figure has to be better than at least.
    restore_best_weights : bool
        Whether to bring back the weights of the best epoch at the end.
    start_from_epoch : int
        How many epochs go by before it watches.

    Raises
    ------
    ValueError
        If an argument does not fit; in training, if there is no such figure.

    Examples
    --------
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    >>> model.compile(nn.SGD(0.0), "mse")
    >>> stop = nn.EarlyStopping("loss", patience=2)
    >>> len(model.fit([[1.0]], [[1.0]], epochs=9, verbose=0, callbacks=[stop]).epoch)
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _count(patience, "patience")
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _count(start_from_epoch, "start_from_epoch")
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best_weights: list[Array] | None = None

    def on_train_begin(self, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Start anew."""
        self.wait, self.stopped_epoch, self.best_epoch = 0, 0, 0
        self.best, self.best_weights = None, None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare."""
        value = self._value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch  # should no epoch be better
        self.wait += 1
        if self._is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Bring back the best weights."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(_Monitor):
    """Multiplies the learning rate when a figure has stopped getting better.

    Parameters
    ----------
    monitor : str
        The figure's name in the logs.
    factor : float
        New rate over old; below 1.
    patience : int
        How many epochs in a row may be no better before the rate changes.
    verbose : {0, 1}
        Whether to say so.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" knows it of losses, errors and accuracies by their names.
    min_delta : float
        What counts as better.
    cooldown : int
        How many epochs go by after a change before it watches again.
    min_lr : float
        The least rate.

    Raises
    ------
    ValueError
        If an argument does not fit; in training, if there is no such figure.

    Examples
    --------
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    >>> model.compile(nn.SGD(0.1), "mse")
    >>> reduce = nn.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> _ = model.fit([[0.0]], [[0.0]], epochs=2, verbose=0, callbacks=[reduce])
    >>> model.optimizer.learning_rate
    0.05
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(f"factor must be at least 0 and below 1, got {factor}")
        self.factor = factor
        self.patience = _count(patience, "patience")
        self.verbose = verbose
        self.cooldown = _count(cooldown, "cooldown")
        self.min_lr = min_lr
        self.wait, self.cooldown_counter = 0, 0

    def on_train_begin(self, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Start anew."""
        self.wait, self.cooldown_counter, self.best = 0, 0, None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare."""
        value = self._value(logs)
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_better(value, self.best):
            self.best, self.wait = value, 0
            return
        if self.cooldown_counter:
            return
        self.wait += 1
        if self.wait >= self.patience:
            self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self._optimizer()
        if optimizer.learning_rate > self.min_lr:
            optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                print(f"Epoch {epoch + 1}: reducing the learning rate to {optimizer.learning_rate:g}")


class ModelCheckpoint(_Monitor):
    """Saves the model, or its weights, as it trains.

    Parameters
    ----------
    filepath : str or Path
        Where to; "{epoch}" and the figures' names are filled in: "at_{epoch:02d}_{val_loss:.3f}.konv".
    monitor : str
        What to judge by, where only the best is saved.
    verbose : {0, 1}
        Whether to say so.
    save_best_only : bool
        Whether to save only where the figure has become better.
    save_weights_only : bool
        Whether to save the weights alone.
    mode : {"auto", "min", "max"}
        Which way is better; "auto" knows it of losses, errors and accuracies by their names.
    save_freq : "epoch" or int
        After each epoch, or after so many training steps.
    initial_value_threshold : float, optional
        What the figure has to be better than at first.

    Raises
    ------
    ValueError
        If an argument does not fit; in training, if there is no such figure.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    >>> model.compile(nn.SGD(0.1), "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save = nn.ModelCheckpoint(Path(folder) / "{epoch}.konv")
    ...     _ = model.fit([[1.0]], [[1.0]], epochs=2, verbose=0, callbacks=[save])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['1.konv', '2.konv']
    """

    def __init__(
        self,
        filepath: str | Path,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        if save_freq != "epoch" and _count(save_freq, "save_freq") < 1:
            raise ValueError(f"save_freq must be 'epoch' or a positive integer, got {save_freq!r}")
        self.filepath = str(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.best = initial_value_threshold
        self._epoch, self._steps = 0, 0

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Keep the number."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Save, where it is time."""
        self._steps += 1
        if self.save_freq != "epoch" and self._steps % int(self.save_freq) == 0:
            self._save(logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Save, where it is time."""
        if self.save_freq == "epoch":
            self._save(logs)

    def _save(self, logs: Logs) -> None:
        if self.save_best_only:
            value = self._value(logs)
            if not self._is_better(value, self.best):
                return
            self.best = value
        try:
            path = Path(self.filepath.format(epoch=self._epoch + 1, **logs))
        except KeyError as error:
            raise ValueError(f"filepath {self.filepath!r} names {error}, figures are {sorted(logs)}") from None
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 0:
        raise ValueError(f"{name} must not be negative, got {value}")
    return int(value)
