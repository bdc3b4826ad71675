"""Models: training, evaluation and prediction over a network's graph."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._graph.target import Target, target_of
from .._words import counted
from ..cuda._arrays import on_device
from ..cuda._target import device_of
from . import optimizers, saving, settings
from .callbacks import Callback
from .data import (
    ArraySource,
    Checked,
    IterableSource,
    Names,
    Source,
    as_array,
    as_input,
    batch_size_or_default,
    distinct,
    is_iterable_of_batches,
    limit,
    parts,
    split,
    validation_parts,
)
from .execution import Executor
from .figures import Figures
from .graph import Graph
from .history import History
from .layers.arguments import positive_int
from .loop import run_pass, tell
from .network import Network
from .optimizers import Optimizer
from .progress import Progress
from .random import generator
from .serialization import Config, CustomObjects, plain, revived
from .training import Batch, Objective, Steps
from .variable import Array

if TYPE_CHECKING:
    from .quantized import QuantizedModel


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
        self.loss: Any = None
        self.history: History | None = None
        self.stop_training = False
        self._loss_weights: Any = None
        self._metrics: Any = []
        self._executors: dict[str, Executor] = {}  # by where they compute
        self._steps: tuple[Steps, Steps] | None = None  # that train, and that evaluate
        super().__init__(inputs, outputs, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_executors": {}, "_steps": None}

    # --- training --------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: str | Optimizer,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
    ) -> None:
        """Say how to train.

        Parameters
        ----------
        optimizer : {"adam", "adamw", "sgd"} or Optimizer
            A name stands for the defaults.
        loss : str, Loss or callable, or a list or dict of them
            By name, such as "sparse_categorical_crossentropy"; an object; or ``function(y_true, y_pred)`` written with
            `konv.nn.ops`. Several outputs take a list in their order or a dict by their names, where None leaves an
            output out; one loss alone serves all outputs.
        loss_weights : float, or a list or dict of them, optional
            What each output's loss is multiplied by; 1 by default.
        metrics : list of str or Metric, optional
            What to report beside the loss, such as "accuracy"; for several outputs a list of lists, or a dict by names.

        Raises
        ------
        TypeError, ValueError
            If an argument is none of these.
        """
        chosen = settings.checked_loss(loss), settings.checked_weights(loss_weights), settings.checked_metrics(metrics)
        self.optimizer = optimizers.get(optimizer)
        self.loss, self._loss_weights, self._metrics = chosen
        self._steps = None

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
            If the model is not built, or holds what no file can, such as a function without a name.
        """
        saving.save_model(self, Path(filepath), overwrite=overwrite)

    def get_compile_config(self) -> Config:
        """Return what `compile` was given as plain data, nothing where the model is not compiled."""
        if self.optimizer is None or self.loss is None:
            return {}
        given = {
            "optimizer": self.optimizer,
            "loss": self.loss,
            "loss_weights": self._loss_weights,
            "metrics": self._metrics,
        }
        return {name: plain(value, name) for name, value in given.items()}

    def compile_from_config(self, config: Config, custom_objects: CustomObjects | None = None) -> None:
        """Compile with what `get_compile_config` returned."""
        self.compile(**revived(config, custom_objects))

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Sequence[Callback] = (),
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        seed: int | None = None,
    ) -> History:
        """Train.

        Parameters
        ----------
        x : array_like, list or dict of them, or iterable
            Samples of the model's input shape, batch first, of any real dtype; for several inputs a list or a dict by
            their names. Or batches: a generator, or anything that yields ``(x, y)`` or ``(x, y, sample_weight)``.
        y : array_like, or list or dict of them, optional
            Targets, as the loss takes them; left out where x yields batches.
        batch_size : int, optional
            Samples a step; 32 by default.
        epochs : int
            The epoch to stop after.
        verbose : {"auto", 0, 1, 2}
            Silent (0), a progress bar (1, "auto") or a line an epoch (2).
        callbacks : sequence of Callback
            Called around epochs and steps.
        validation_split : float
            The share of samples, from the end, to validate with instead.
        validation_data : (x, y), (x, y, sample_weight) or iterable, optional
            What to evaluate after each epoch.
        shuffle : bool
            Whether to draw a new order of samples each epoch.
        class_weight : dict of int to float, optional
            Weights of samples by their class, 1 for those not named; of a model with one output.
        sample_weight : array_like, or list or dict of them, optional
            A weight for each sample, or each pixel of each.
        initial_epoch : int
            Where to go on counting.
        steps_per_epoch : int, optional
            Steps an epoch; by default all samples, or until x has no more. A generator goes on where it was.
        validation_steps : int, optional
            Steps of a validation.
        validation_batch_size : int, optional
            By default `batch_size`.
        validation_freq : int
            Validate after each so many epochs.
        seed : int, optional
            Makes the orders repeatable by themselves; else `set_random_seed` does.

        Returns
        -------
        History
            Its `history` holds a list for each figure: "accuracy", "loss", "val_accuracy", "val_loss", ...

        Raises
        ------
        TypeError, ValueError
            If the model is not compiled or an argument does not fit; nothing is trained then.

        Notes
        -----
        A step runs forward, backward and through the optimizer in one compiled program for its batch's size; a second
        size, such as that of a smaller last batch, has one of its own.

        Examples
        --------
        >>> import numpy as np
        >>> from konv import nn
        >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(2, activation="softmax")])
        >>> model.compile(nn.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> x = np.array([[0.0, 1.0], [1.0, 0.0]] * 50)
        >>> history = model.fit(x, [0, 1] * 50, epochs=20, verbose=0, seed=1)
        >>> history.history["accuracy"][-1]
        1.0
        """
        self._compiled()
        positive_int(epochs, "epochs")
        positive_int(validation_freq, "validation_freq")
        if validation_split and validation_data is None:
            if is_iterable_of_batches(x):
                raise ValueError("validation_split needs arrays: pass validation_data beside an iterable")
            (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
        rng = generator(seed) if shuffle else None
        source = self._source(
            x, y, sample_weight, batch_size, limit(steps_per_epoch, "steps_per_epoch"), class_weight, rng
        )
        validation = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            steps = limit(validation_steps, "validation_steps")
            validation = self._source(*validation_parts(validation_data), size, steps)
        train, figures = self._the_steps()[0], self._figures()
        self.history = History({"verbose": verbose, "epochs": epochs, "steps": source.steps})
        self.stop_training = False
        for callback in callbacks:
            callback.set_model(self)
            callback.set_params(self.history.params)
        tell(callbacks, "on_train_begin", {})
        logs: dict[str, float] = {}
        for epoch in range(initial_epoch, epochs):
            tell(callbacks, "on_epoch_begin", epoch, {})
            progress = Progress(source.steps, verbose, title=f"Epoch {epoch + 1}/{epochs}")
            taken, logs = run_pass(train, source, figures, progress, callbacks, "train")
            if validation is not None and (epoch + 1) % validation_freq == 0:
                logs |= {f"val_{name}": value for name, value in self._validate(validation, callbacks).items()}
            progress.finish(logs, taken)
            self.history.append(epoch, logs)
            tell(callbacks, "on_epoch_end", epoch, logs)
            if self.stop_training:
                break
        tell(callbacks, "on_train_end", logs)
        return self.history

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Return the loss and the metrics on samples that are not trained on.

        Parameters
        ----------
        x, y, batch_size, sample_weight
            As for `fit`.
        verbose : {"auto", 0, 1, 2}
            As for `fit`.
        steps : int, optional
            Batches to take; all of them by default.
        callbacks : sequence of Callback
            Called around the evaluation and its batches.
        return_dict : bool
            Whether to return {name: figure}.

        Returns
        -------
        float, list of float, or dict
            The loss; with metrics, or several outputs, [loss, figure, ...].
        """
        self._compiled()
        source = self._source(x, y, sample_weight, batch_size, limit(steps, "steps"))
        figures = self._figures()
        progress = Progress(source.steps, verbose)
        for callback in callbacks:
            callback.set_model(self)
        tell(callbacks, "on_test_begin", {})
        taken, logs = run_pass(self._the_steps()[1], source, figures, progress, callbacks, "test")
        tell(callbacks, "on_test_end", logs)
        progress.finish(logs, taken)
        if return_dict:
            return logs
        values = figures.as_list()
        return values if len(values) > 1 else values[0]

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        device: str | None = None,
    ) -> Any:
        """Return the outputs for samples, computed batch by batch.

        Parameters
        ----------
        x : array_like, list or dict of them, or iterable
            Samples of the model's input shape, batch first; or an iterable of batches of them. Arrays on a CUDA
            device are one batch.
        batch_size : int, optional
            Samples at a time; 32 by default.
        verbose : {"auto", 0, 1, 2}
            As for `fit`.
        steps : int, optional
            Batches to take; all of them by default.
        callbacks : sequence of Callback
            Called around the prediction and its batches.
        device : {"cpu", "cuda", "cuda:0", ...}, optional
            Where to compute: by default where `x` is. A device keeps a copy of the weights until these change.

        Returns
        -------
        ndarray, or list of them
            (samples, ...), of the model's dtype; a list where the model was made with a list of outputs. Arrays on a
            device give arrays of their library there.

        Raises
        ------
        TypeError, ValueError
            If the samples do not fit the model, or the device cannot compute one of its layers.
        RuntimeError
            If there is no such device, or konv was built without its CUDA module.
        """
        batches, count = self._batches_of_inputs(x, batch_size, limit(steps, "steps"))
        progress = Progress(count, verbose)
        for callback in callbacks:
            callback.set_model(self)
        tell(callbacks, "on_predict_begin", {})
        found: list[list[Array]] = []
        for step, batch in enumerate(batches):
            tell(callbacks, "on_predict_batch_begin", step, {})
            found.append(self._the_executor(device_of(batch, device)).run(batch))
            tell(callbacks, "on_predict_batch_end", step, {})
            if progress.is_due():
                progress.update(step + 1, {})
        tell(callbacks, "on_predict_end", {})
        progress.finish({}, len(found))
        if not found:
            raise ValueError("x must yield at least one batch")
        return self._packed([one[0] if len(one) == 1 else np.concatenate(one) for one in zip(*found, strict=True)])

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        *,
        return_dict: bool = False,
    ) -> float | list[float] | dict[str, float]:
        """Take one step of training on one batch; returns its figures as `evaluate` does."""
        return self._on_batch(x, y, sample_weight, class_weight, "train", return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, return_dict: bool = False
    ) -> float | list[float] | dict[str, float]:
        """Evaluate one batch; returns its figures as `evaluate` does."""
        return self._on_batch(x, y, sample_weight, None, "test", return_dict)

    def predict_on_batch(self, x: Any, *, device: str | None = None) -> Any:
        """Return the outputs for one batch; `device` is as for `predict`."""
        return self._on_arrays(parts(x, self._names_for(x).inputs, "x"), False, device)

    def call_on_arrays(self, inputs: Sequence[ArrayLike], training: bool = False) -> Any:
        """Return the outputs for one batch, computed where the arrays are."""
        return self._on_arrays(inputs, training, None)

    def _on_arrays(self, inputs: Sequence[ArrayLike], training: bool, device: str | None) -> Any:
        graph = self.graph_for(as_array(inputs[0]))
        values = [graph.values[number] for number in graph.inputs]
        if len(inputs) != len(values):
            raise ValueError(f"model {self.name!r} takes {counted(len(values), 'input')}, got {len(inputs)}")
        given = [as_input(x, value, "inputs") for x, value in zip(inputs, values, strict=True)]
        batch = [
            x if on_device(x) else x.astype(value.dtype, copy=False) for x, value in zip(given, values, strict=True)
        ]
        return self._packed(self._the_executor(device_of(batch, device)).run(batch, training=training))

    def quantize(self, mode: str, samples: Any = None, *, method: str | tuple[str, float] = "mse") -> QuantizedModel:
        """Return a copy that predicts in fewer bits; this model stays as it is.

        Inputs and outputs keep their dtype, float32. The copy has the weights of now, is compiled as the model is, and
        does not train.

        Parameters
        ----------
        mode : {"bfloat16", "int8"}
            bfloat16 rounds weights and what lies between layers to 8 bits of precision, and sums in float32. int8 has
            unsigned bytes between layers, with one scale a tensor, and signed weights, with one an output channel;
            convolutions and dense layers sum them exactly, everything else runs in float32.
        samples : array_like, list or dict of them, or iterable, for "int8"
            As `predict` takes them: typical ones, some dozens, of which the ranges of all layers are taken. All are
            held in memory.
        method : {"mse", "minmax", "percentile"} or ("percentile", number)
            How a range follows from the samples: the part of it with the least mean square error, all of it, or without
            the rarest 0.01 % of the elements (or what the number leaves).

        Returns
        -------
        QuantizedModel

        Raises
        ------
        ValueError
            An argument is none of these, or the model is not built, has nothing to quantise or is not of float32.
        ImportError
            bfloat16 without ml_dtypes.

        Examples
        --------
        >>> import numpy as np
        >>> from konv import nn
        >>> model = nn.Sequential([nn.Input((8, 8, 1)), nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(2)])
        >>> x = np.random.default_rng(0).random((32, 8, 8, 1), np.float32)
        >>> small = model.quantize("int8", x)
        >>> bool(np.abs(small.predict(x, verbose=0) - model.predict(x, verbose=0)).max() < 0.1)
        True
        """
        from .quantized import QuantizedModel, precision_of

        batches = None if samples is None else list(self._batches_of_inputs(samples, None, None)[0])
        precision = precision_of(self._built_graph(), self.name, mode, batches, method)
        return QuantizedModel(self, mode, precision)

    # --- one pass ----------------------------------------------------------------------------------

    def _validate(self, source: Source, callbacks: Sequence[Callback]) -> dict[str, float]:
        figures = self._figures()
        tell(callbacks, "on_test_begin", {})
        _, logs = run_pass(self._the_steps()[1], source, figures, Progress(source.steps, 0), callbacks, "test")
        tell(callbacks, "on_test_end", logs)
        return logs

    def _on_batch(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, kind: str, return_dict: bool
    ) -> float | list[float] | dict[str, float]:
        self._compiled()
        source = self._source(x, y, sample_weight, sys.maxsize, None, class_weight)
        figures = self._figures()
        _, logs = run_pass(self._the_steps()[kind == "test"], source, figures, Progress(1, 0), (), kind)
        if return_dict:
            return logs
        values = figures.as_list()
        return values if len(values) > 1 else values[0]

    def _source(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        batch_size: int | None,
        steps: int | None,
        class_weight: Mapping[int, float] | None = None,
        rng: np.random.Generator | None = None,
    ) -> Source:
        size = batch_size_or_default(batch_size)
        if is_iterable_of_batches(x) and y is None:
            return IterableSource(x, self._checked(class_weight), steps)
        if y is None:
            raise ValueError("y is missing: only an iterable of (x, y) batches goes without")
        self._names_for(x)
        checked = self._checked(class_weight)
        return ArraySource(checked.all(x, y, sample_weight), size, checked.dtype, rng, steps)

    def _batches_of_inputs(
        self, x: Any, batch_size: int | None, steps: int | None
    ) -> tuple[Iterator[list[Array]], int | None]:
        size = batch_size_or_default(batch_size)
        if is_iterable_of_batches(x):
            dtype = self._built_graph().values[self._built_graph().inputs[0]].dtype
            items = itertools.islice(x, steps)
            checked = Checked(self._built_graph(), Objective([], []), self._names())
            # Of (x, y) pairs, as training takes them, the samples count.
            samples = (item[0] if isinstance(item, tuple) else item for item in items)
            return ([a.astype(dtype, copy=False) for a in checked.host_inputs(item)] for item in samples), steps
        names = self._names_for(x)
        checked = Checked(self._built_graph(), Objective([], []), names)
        inputs = checked.inputs(x)
        if any(map(on_device, inputs)):
            samples = inputs[0].shape[0]
            if batch_size is not None and batch_size < samples:
                raise ValueError(f"batch_size: arrays on a device are one batch, here of {samples}, got {batch_size}")
            return iter([inputs]), 1
        source = ArraySource(Batch(inputs, [], []), size, checked.dtype, steps=steps)
        if not len(inputs[0]):
            return iter([[a.astype(checked.dtype) for a in inputs]]), 1
        return (batch.inputs for batch in source.batches()), source.steps

    # --- what is made once ---------------------------------------------------------------------------

    def _checked(self, class_weight: Mapping[int, float] | None) -> Checked:
        return Checked(self._built_graph(), self._objective(), self._names(), class_weight)

    def _names_for(self, x: Any) -> Names:
        """The names, of a model built for samples like these if it was not built before."""
        if not self.built:
            first = next(iter(x.values())) if isinstance(x, Mapping) else x
            self.graph_for(as_array(first))
        return self._names()

    def _names(self) -> Names:
        self._built_graph()
        return Names([x.name for x in self.inputs], distinct([x.name for x in self.outputs]))

    def _objective(self) -> Objective:
        return settings.objective(self.loss, self._loss_weights, self._names().outputs)

    def _figures(self) -> Figures:
        names = self._names().outputs
        return Figures(self._objective(), settings.wanted_metrics(self._metrics, names), names)

    def _the_executor(self, device: str = "cpu") -> Executor:
        target = target_of(device)
        if target.name not in self._executors:
            self._executors[target.name] = self._new_executor(target)
        return self._executors[target.name]

    def _new_executor(self, target: Target) -> Executor:
        return Executor(self._built_graph(), target=target)

    def _the_steps(self) -> tuple[Steps, Steps]:
        if self._steps is None:
            graph, objective = self._built_graph(), self._objective()
            self._steps = Steps(graph, objective, self.optimizer), Steps(graph, objective, None)
        return self._steps

    def _set_graph(self, graph: Graph | None) -> None:
        super()._set_graph(graph)
        self._executors, self._steps = {}, None

    def _compiled(self) -> None:
        if self.optimizer is None:
            raise ValueError(f"model {self.name!r} is not compiled: call compile(...) first")
        if self.loss is None:
            raise ValueError(f"model {self.name!r} was compiled without a loss: call compile(..., loss=...)")
