"""Models: training, evaluation and prediction over a graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import losses, optimizers, weights_file
from . import metrics as metric_names
from .callbacks import Callback
from .data import Batches, as_input
from .execution import Executor
from .graph import Graph
from .history import History
from .layers import Layer
from .layers.arguments import positive_int
from .layers.base import assign_all, unique_name
from .losses import Loss
from .metrics import Metric
from .optimizers import Optimizer
from .progress import Progress
from .random import generator
from .summary import summary_text
from .training import Samples, split
from .variable import Array, Shape, Variable


class Model(ABC):
    """What trains and runs a graph of layers. Subclasses say how the layers make the graph."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or unique_name(type(self).__name__)
        self.optimizer: Optimizer | None = None
        self.loss: Loss | None = None
        self.history: History | None = None
        self.stop_training = False
        self._metrics: list[str | Metric] = []
        self._graph: Graph | None = None
        self._trainer: Executor | None = None
        # Executors own what they compute, so each call to the model has one to itself.
        self._idle: list[Executor] = []

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_trainer": None, "_idle": []}

    # --- structure -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def layers(self) -> list[Layer]:
        """The layers, without the input."""

    @abstractmethod
    def graph_for(self, x: Array) -> Graph:
        """Return the graph, built for samples like `x` if it was not built before."""

    @property
    def built(self) -> bool:
        """Whether the input's shape is known and the weights exist."""
        return self._graph is not None

    @property
    def weights(self) -> list[Variable]:
        """All variables, layer by layer."""
        return [variable for layer in self.layers for variable in layer.weights]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [variable for variable in self.weights if variable.trainable]

    @property
    def input_shape(self) -> Shape:
        """The input's shape, batch included."""
        graph = self._built_graph()
        return graph.values[graph.inputs[0]].shape

    @property
    def output_shape(self) -> Shape:
        """The output's shape, batch included."""
        graph = self._built_graph()
        return graph.values[graph.outputs[0]].shape

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its position.

        Raises
        ------
        ValueError
            If there is none.
        """
        if (name is None) == (index is None):
            raise ValueError("give either name or index")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(f"index must be below {len(self.layers)}, got {index}")
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"name must be one of {[x.name for x in self.layers]}, got {name!r}")

    def count_params(self) -> int:
        """Return the number of scalars in all weights."""
        self._built_graph()
        return sum(layer.count_params() for layer in self.layers)

    def summary(self, line_length: int | None = None, *, print_fn: Callable[[str], object] = print) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Parameters
        ----------
        line_length : int, optional
            Width of the table.
        print_fn : callable
            What to pass the text to.
        """
        print_fn(summary_text(self.name, self.layers, line_length))

    # --- weights ---------------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Return copies of all weights, layer by layer, in Keras's order and layout."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy arrays, as `get_weights` returns them, into the weights.

        Raises
        ------
        ValueError
            If their number or a shape does not fit; nothing is changed then.
        """
        self._built_graph()
        assign_all(f"model {self.name!r}", self.weights, weights)

    def save_weights(self, filepath: str | Path) -> None:
        """Write all weights to a NumPy .npz file; replaces the file only once it is complete."""
        self._built_graph()
        weights_file.save(Path(filepath), self.layers)

    def load_weights(self, filepath: str | Path) -> None:
        """Read weights that `save_weights` of a model with the same layers wrote.

        Raises
        ------
        ValueError
            If the file is not one, or its arrays do not fit; nothing is changed then.
        """
        self._built_graph()
        weights_file.load(Path(filepath), self.layers)

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

    def __call__(self, inputs: ArrayLike, training: bool = False) -> Array:
        """Return the outputs for one batch."""
        samples = np.asarray(inputs)
        graph = self.graph_for(samples)
        value = graph.values[graph.inputs[0]]
        batch = as_input(samples, value, "inputs").astype(value.dtype, copy=False)
        executor = self._borrow()
        y = executor.forward(batch, training).copy()
        self._idle.append(executor)
        return y

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
        self._graph = graph
        self._trainer = None
        self._idle = []

    def _built_graph(self) -> Graph:
        if self._graph is None:
            raise ValueError(f"model {self.name!r} is not built: start it with an Input, or pass it samples")
        return self._graph

    def _compiled(self) -> tuple[Loss, Optimizer]:
        if self.loss is None or self.optimizer is None:
            raise ValueError(f"model {self.name!r} is not compiled: call compile(...) first")
        return self.loss, self.optimizer


def _batch_size(value: int | None) -> int:
    return 32 if value is None else positive_int(value, "batch_size")
