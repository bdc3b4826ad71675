"""Models in bfloat16 and int8: copies that predict and evaluate."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from .._graph.precision import Precision, quantised
from .._graph.target import CPU, Target
from .execution import Executor
from .graph import Graph
from .model import Model
from .training import Batch, Objective, Outcome, Steps
from .variable import Array

CONVOLUTIONS = ("conv", "depthwise_conv", "conv_transpose", "dense")


def precision_of(
    graph: Graph, name: str, mode: str, batches: list[list[Array]] | None, method: str | tuple[str, float]
) -> Precision:
    """What the graph of the model of this name runs in, calibrated on batches of its inputs."""
    dtype = graph.values[graph.inputs[0]].dtype
    if dtype != np.float32:
        raise ValueError(f"model: expected one of float32, {name!r} is of {dtype}")
    if not any(node.op in CONVOLUTIONS for node in graph.nodes):
        raise ValueError(f"model: {name!r} has no convolution or dense layer to quantise")
    return quantised(mode, batches, method, lambda precision: Executor(graph, precision).run)


class QuantizedModel(Model):
    """A model in bfloat16 or int8, made by `Model.quantize`.

    `predict`, `evaluate` and calls are those of `Model`. The loss is computed in float32 from the outputs alone,
    without the penalties of regularizers.

    Attributes
    ----------
    mode : {"bfloat16", "int8"}
    """

    def __init__(self, model: Model, mode: str, precision: Precision) -> None:
        self.__dict__.update(copy.deepcopy(model).__dict__)
        self.mode = mode
        self._precision = precision

    def fit(self, *arguments: Any, **settings: Any) -> NoReturn:  # noqa: ARG002
        """Raise ValueError: train the model, then quantise it."""
        raise self._refusal("train")

    def train_on_batch(self, *arguments: Any, **settings: Any) -> NoReturn:  # noqa: ARG002
        """Raise ValueError: train the model, then quantise it."""
        raise self._refusal("train")

    def save(self, filepath: str | Path, overwrite: bool = True) -> NoReturn:  # noqa: ARG002
        """Raise ValueError: save the model, and quantise what `load_model` returns."""
        raise self._refusal("be saved")

    def call_on_arrays(self, inputs: Any, training: bool = False) -> Any:
        """Return the outputs for one batch."""
        if training:
            raise self._refusal("train")
        return super().call_on_arrays(inputs)

    def _refusal(self, what: str) -> ValueError:
        return ValueError(f"model: {self.name!r} in {self.mode} cannot {what}, the model that it was made of can")

    def _new_executor(self, target: Target) -> Executor:
        if target is not CPU and self.mode != "bfloat16":
            raise ValueError(f"device: models in {self.mode} run on the CPU, not on {target.name!r}")
        return Executor(self._built_graph(), self._precision, target)

    def _the_steps(self) -> Any:
        if self._steps is None:
            self._steps = None, _Evaluation(self._the_executor(), self._objective())  # type: ignore[assignment]
        return self._steps


class _Evaluation:
    """Steps that evaluate: predictions, and then the losses of these in a program of their own."""

    def __init__(self, executor: Executor, objective: Objective) -> None:
        self._executor = executor
        outputs = Graph()
        for number in executor.graph.outputs:
            value = executor.graph.values[number]
            outputs.outputs.append(outputs.add_input(value.shape, value.dtype))
        self._losses = Steps(outputs, objective, None)

    def run(self, batch: Batch, *, wants_outputs: bool) -> Outcome:
        """Evaluate one batch."""
        found: list[Array] = self._executor.run(batch.inputs)
        outcome = self._losses.run(Batch(found, batch.targets, batch.weights), wants_outputs=False)
        return Outcome(outcome.loss, outcome.losses, found if wants_outputs else [])
