"""Models: training, evaluation and prediction over a network's graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import losses, optimizers, saving
from . import metrics as metric_names
from .callbacks import Callback
from .data import Batches, as_input
from .execution import Executor
from .graph import Graph
from .history import History
from .layers.arguments import positive_int
from .losses import Loss
from .metrics import Metric
from .network import Network
from .optimizers import Optimizer
from .progress import Progress
from .random import generator
from .serialization import Config, CustomObjects, plain, revived
from .training import Samples, split
from .variable import Array


class Model(Network):
    """Layers between inputs and outputs, and what trains and runs them.

    Parameters
    ----------
    inputs : SymbolicTensor or list of them
        Each an `Input`, or what other layers make.
    outputs : SymbolicTensor or list of them
        What layers, called on the inputs, made of them.
    name : str, optional
        "functional", with a number, by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is no symbolic tensor, an output depends on an `Input` that is not given, or two layers
        have one name.

    Notes
    -----
    A layer called several times has its weights once. A model may be called like a layer, in another model.

    Examples
    --------
    A residual block:

    >>> from konv import nn
    >>> x = nn.Input((8, 8, 16))
    >>> y = nn.Conv2D(16, 3, padding="same", activation="relu")(x)
    >>> y = nn.Conv2D(16, 3, padding="same")(y)
    >>> model = nn.Model(x, nn.ReLU()(nn.Add()([x, y])))
    >>> model.output_shape, model.count_params()
    ((None, 8, 8, 16), 4640)
    """

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.history: History | None = None
        self.stop_training = False
        self._metrics: list[str | Metric] = []
        self._trainer: Executor | None = None
        # Executors own what they compute, so each call to the model has one to itself.
        self._idle: list[Executor] = []
        super().__init__(inputs, outputs, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_trainer": None, "_idle": []}

    # --- training --------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | Optimizer,
        loss: str | Loss,
        metrics: Sequence[str | Metric] | None = None,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : {"adam", "sgd"} or Optimizer
            A name stands for the defaults.
        loss : str or Loss
            "sparse_categorical_crossentropy", "categorical_crossentropy" or "mse".
        metrics : sequence of str or Metric, optional
            What to report beside the loss, such as "accuracy".
        """
        if isinstance(metrics, (str, Metric)):
            raise TypeError(f"metrics must be a list, got {metrics!r}")
        chosen = [metric_names.check(metric) for metric in metrics or []]
        self.optimizer, self.loss = optimizers.get(optimizer), losses.get(loss)
        self._metrics = chosen
        self._trainer = None

    def save(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write structure, weights and compile settings to one file, which `load_model` reads.

        Parameters
        ----------
        filepath : str or Path
            Any name; the file replaces another only once it is complete.
        overwrite : bool
            Whether a file may be there.

        Raises
        ------
        ImportError
            If safetensors is not installed.
        ValueError
            If the model is not built, or holds what no file can, such as a function.
        """
        saving.save_model(self, Path(filepath), overwrite=overwrite)

    def get_compile_config(self) -> Config:
        """Return what `compile` was given as plain data, nothing where the model is not compiled."""
        if self.optimizer is None or self.loss is None:
            return {}
        settings = {"optimizer": self.optimizer, "loss": self.loss, "metrics": self._metrics}
        return {name: plain(value, name) for name, value in settings.items()}

    def compile_from_config(self, config: Config, custom_objects: CustomObjects | None = None) -> None:
        """Compile with what `get_compile_config` returned."""
        self.compile(**revived(config, custom_objects))

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        *,
        callbacks: Sequence[Callback] = (),
        validation_split: float = 0.0,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        validation_batch_size: int | None = None,
        seed: int | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like
            Samples of the model's input shape, batch first; any real dtype.
        y : array_like
            Targets, as the loss takes them.
        batch_size : int, optional
            Samples a step; 32 by default.
        epochs : int
            The epoch to stop after.
        verbose : {"auto", 0, 1, 2}
            Silent (0), a progress bar (1, "auto") or a line an epoch (2).
        callbacks : sequence of Callback
            Called around each epoch.
        validation_split : float
            The share of samples, from the end, to validate with instead.
        validation_data : (x, y), optional
            What to evaluate after each epoch.
        shuffle : bool
            Whether to draw a new order each epoch.
        initial_epoch : int
            Where to go on counting.
        validation_batch_size : int, optional
            By default `batch_size`.
        seed : int, optional
            Makes the orders repeatable by themselves; else `set_random_seed` does.

        Returns
        -------
        History
            Its `history` holds a list for each figure: "accuracy", "loss", "val_loss", ...

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or an argument does not fit; nothing is trained then.

        Examples
        --------
        >>> import numpy as np
        >>> from konv import nn
        >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2, activation="softmax")])
        >>> model.compile(nn.Adam(0.1), "sparse_categorical_crossentropy", ["accuracy"])
        >>> x = np.array([[0.0, 1.0], [1.0, 0.0]] * 50)
        >>> history = model.fit(x, [0, 1] * 50, epochs=20, verbose=0, seed=1)
        >>> history.history["accuracy"][-1]
        1.0
        """
        loss, optimizer = self._compiled()
        positive_int(epochs, "epochs")
        if validation_split and validation_data is None:
            x, y, validation_data = split(x, y, validation_split)
        graph = self.graph_for(np.asarray(x))
        size = _batch_size(batch_size)
        samples = Samples(graph, x, y, size, loss, self._metrics)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
                raise TypeError("validation_data must be a pair (x, y)")
            size = _batch_size(validation_batch_size or batch_size)
            validation = Samples(graph, *validation_data, size, loss, self._metrics)
        if self._trainer is None:
            self._trainer = Executor(graph)
        rng = generator(seed) if shuffle else None
        steps = len(samples.batches)
        self.history = History({"verbose": verbose, "epochs": epochs, "steps": steps})
        self.stop_training = False
        for callback in callbacks:
            callback.model = self
        for epoch in range(initial_epoch, epochs):
            for callback in callbacks:
                callback.on_epoch_begin(epoch, {})
            progress = Progress(steps, verbose, title=f"Epoch {epoch + 1}/{epochs}")
            figures = samples.train(self._trainer, optimizer, rng, progress)
            if validation is not None:
                found = self._test(validation)
                figures |= {f"val_{name}": value for name, value in found.items()}
            progress.finish(figures)
            self.history.append(epoch, figures)
            for callback in callbacks:
                callback.on_epoch_end(epoch, figures)
            if self.stop_training:
                break
        return self.history

    def evaluate(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        *,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics on samples that are not trained on.

        Parameters
        ----------
        x, y : array_like
            Samples and targets, as for `fit`.
        batch_size : int, optional
            Samples at a time; 32 by default.
        verbose : {"auto", 0, 1, 2}
            As for `fit`.
        return_dict : bool
            Whether to return {name: figure}.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics, [loss, metric, ...].
        """
        loss, _ = self._compiled()
        graph = self.graph_for(np.asarray(x))
        samples = Samples(graph, x, y, _batch_size(batch_size), loss, self._metrics)
        progress = Progress(len(samples.batches), verbose)
        figures = self._test(samples, progress)
        progress.finish(figures)
        if return_dict:
            return figures
        values = [figures["loss"], *(figures[metric.name] for metric in samples.metrics)]
        return values if len(values) > 1 else values[0]

    def predict(self, x: ArrayLike, batch_size: int | None = None, verbose: str | int = "auto") -> Array:
        """Return the outputs for samples, computed batch by batch.

        Parameters
        ----------
        x : array_like
            Samples of the model's input shape, batch first.
        batch_size : int, optional
            Samples at a time; 32 by default.
        verbose : {"auto", 0, 1, 2}
            As for `fit`.

        Returns
        -------
        ndarray
            (samples, ...), of the model's dtype.
        """
        samples = np.asarray(x)
        graph = self.graph_for(samples)
        value = graph.values[graph.inputs[0]]
        batches = Batches(as_input(samples, value), _batch_size(batch_size), value.dtype)
        progress = Progress(len(batches), verbose)
        executor = self._borrow()
        outputs: Array | None = None
        for step, (which, batch) in enumerate(batches.in_order(), 1):
            y = executor.forward(batch)
            if outputs is None:
                outputs = np.empty((len(batches.samples), *y.shape[1:]), y.dtype)
            outputs[which] = y
            if progress.is_due():
                progress.update(step, {})
        if outputs is None:
            outputs = executor.forward(batches.samples.astype(value.dtype)).copy()
        self._idle.append(executor)
        progress.finish({})
        return outputs

    def call_on_arrays(self, inputs: Sequence[ArrayLike], training: bool = False) -> Any:
        """Return the outputs for one batch."""
        graph = self.graph_for(np.asarray(inputs[0]))
        values = [graph.values[number] for number in graph.inputs]
        if len(inputs) != len(values):
            raise ValueError(f"model {self.name!r} takes {len(values)} inputs, got {len(inputs)}")
        batch = [
            as_input(x, value, "inputs").astype(value.dtype, copy=False)
            for x, value in zip(inputs, values, strict=True)
        ]
        executor = self._borrow()
        outputs = [y.copy() for y in executor.run(batch, training=training)]
        self._idle.append(executor)
        return self._packed(outputs)

    def _test(self, samples: Samples, progress: Progress | None = None) -> dict[str, float]:
        executor = self._borrow()
        figures = samples.test(executor, progress)
        self._idle.append(executor)
        return figures

    def _borrow(self) -> Executor:
        """Take an executor out of the idle ones; the borrower puts it back."""
        try:
            return self._idle.pop()
        except IndexError:
            return Executor(self._built_graph())

    def _set_graph(self, graph: Graph | None) -> None:
        super()._set_graph(graph)
        self._trainer = None
        self._idle = []

    def _compiled(self) -> tuple[Loss, Optimizer]:
        if self.loss is None or self.optimizer is None:
            raise ValueError(f"model {self.name!r} is not compiled: call compile(...) first")
        return self.loss, self.optimizer


def _batch_size(value: int | None) -> int:
    return 32 if value is None else positive_int(value, "batch_size")
