"""What a user may have done at the events of a training, by Keras's names."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Model
    from .optimizers import Optimizer

Logs = Mapping[str, float]


class Callback:
    """Called by `fit`, `evaluate` and `predict`; a subclass overrides what it needs.

    Attributes
    ----------
    model : Model
        The model in training. Setting its `stop_training` ends the training after the epoch.
    params : dict
        "verbose", "epochs" and "steps" of the training.
    """

    model: Model
    params: Mapping[str, Any]

    def set_model(self, model: Model) -> None:
        """Before all else: the model."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Before all else: the settings of the training."""
        self.params = params

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch; `logs` is empty."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last epoch; `logs` holds its figures."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch, counted from 0; `logs` is empty."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch; `logs` holds its figures, such as "loss" and "val_accuracy"."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a training step, counted from 0 in each epoch; `logs` is empty."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After a training step; `logs` holds the figures of the epoch so far."""

    def on_test_begin(self, logs: Logs) -> None:
        """Before an evaluation or validation; `logs` is empty."""

    def on_test_end(self, logs: Logs) -> None:
        """After an evaluation or validation; `logs` holds its figures."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of an evaluation; `logs` is empty."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of an evaluation; `logs` holds the figures so far."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Before a prediction; `logs` is empty."""

    def on_predict_end(self, logs: Logs) -> None:
        """After a prediction; `logs` is empty."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of a prediction; `logs` is empty."""

    def on_predict_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of a prediction; `logs` is empty."""

    def _optimizer(self) -> Optimizer:
        if self.model.optimizer is None:
            raise ValueError(f"model {self.model.name!r} is not compiled: call compile(...) first")
        return self.model.optimizer


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)`` returns the rate for an epoch, counted from 0, from the present one.
    verbose : {0, 1}
        Whether to print each rate.

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

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule must be a function of (epoch, learning_rate), got {schedule!r}")
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Set the rate."""
        optimizer = self._optimizer()
        optimizer.learning_rate = float(self.schedule(epoch, optimizer.learning_rate))
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {optimizer.learning_rate:g}")


class CSVLogger(Callback):
    """Writes each epoch's figures as a line of a CSV file.

    Parameters
    ----------
    filename : str or Path
        The file.
    separator : str
        Between values.
    append : bool
        Whether to go on with a file that is there, else it is replaced.

    Raises
    ------
    ValueError
        In training, if a file that is there has other columns.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from konv import nn
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer="zeros")])
    >>> model.compile(nn.SGD(0.0), "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = Path(folder) / "log.csv"
    ...     _ = model.fit([[1.0]], [[1.0]], epochs=2, verbose=0, callbacks=[nn.CSVLogger(log)])
    ...     log.read_text().split()
    ['epoch,loss', '0,1.0', '1,1.0']
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs) -> None:  # noqa: ARG002 - the interface
        """Start the file, or find out what is in it."""
        self._names = []
        if not self.append:
            self.filename.write_text("")
        elif self.filename.is_file():
            with self.filename.open(newline="") as file:
                self._names = next(csv.reader(file, delimiter=self.separator), [])

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write a line."""
        figures = {"epoch": epoch, **{name: float(value) for name, value in sorted(logs.items())}}
        is_new = not self._names
        if is_new:
            self._names = list(figures)
        elif set(self._names) != set(figures):
            raise ValueError(f"filename {self.filename} has the columns {self._names}, figures are {list(figures)}")
        with self.filename.open("a", newline="") as file:
            writer = csv.DictWriter(file, self._names, delimiter=self.separator, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(figures)
