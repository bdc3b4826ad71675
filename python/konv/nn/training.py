"""A step of training or evaluation as one compiled program: forward, losses, backward and updates.

Variables lie where they are; each is changed as soon as its gradient is known and nobody reads it any more, so few
gradients live at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .. import _core, get_num_threads
from .._graph import ir
from .._graph.compiled import Compiled
from .._graph.gradients import Differentiation
from .._graph.lower import Weights
from .._graph.passes import prepare_training, remove_unused
from . import ops
from .execution import Forward, Programs, Seeds
from .graph import Graph
from .losses import Loss, Prediction
from .ops import Symbol
from .optimizers import Optimizer
from .regularizers import Regularizer
from .variable import Array, Variable


@dataclass(frozen=True)
class Objective:
    """What training makes small: a loss for each output, none where one does not count, and their weights."""

    losses: list[Loss | None]
    weights: list[float]


@dataclass
class Batch:
    """Arrays of one step: inputs; targets and sample weights by output, None where there are none."""

    inputs: list[Array]
    targets: list[Array | None]
    weights: list[Array | None]

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(self.inputs[0])


@dataclass
class Outcome:
    """What a step found: the loss, that of each output that has one, and the outputs where they were asked for."""

    loss: float
    losses: list[float]
    outputs: list[Array]


class Step:
    """One program for batches of certain sizes.

    Parameters
    ----------
    model : Graph
        What is run.
    objective : Objective
        One loss an output.
    optimizer : Optimizer, optional
        Without one the step evaluates.
    like : Batch
        A batch of the sizes that are meant.
    wants_outputs : bool
        Whether outcomes hold the outputs.
    weights : Weights
        Where packed weights are kept, of steps that evaluate.
    """

    def __init__(
        self,
        model: Graph,
        objective: Objective,
        optimizer: Optimizer | None,
        like: Batch,
        wants_outputs: bool,
        weights: Weights,
    ) -> None:
        trains = optimizer is not None
        forward = Forward(model, [x.shape for x in like.inputs], training=trains, bound=trains)
        graph = forward.graph
        self.dropouts = forward.emission.dropouts
        losses = []
        for i, loss in enumerate(objective.losses):
            target, share = like.targets[i], like.weights[i]
            if loss is None or target is None:
                continue
            losses.append(_loss_of(forward, model, i, loss, target, share))
        counted = [w for w, loss in zip(objective.weights, objective.losses, strict=True) if loss is not None]
        total = None
        for weight, one in zip(counted, losses, strict=True):
            part = one if weight == 1 else one * weight
            total = part if total is None else total + part
        trainable = [v for v in model.variables if v.trainable]
        for variable in trainable:
            if variable.regularizer is not None:
                penalty = _penalty(graph, forward.emission.variable(variable), variable.regularizer)
                total = penalty if total is None else total + penalty
        if total is None:
            raise ValueError("nothing to train: no output has a loss")
        self._count = len(losses)
        graph.outputs = [total.node_value, *(one.node_value for one in losses)]
        if wants_outputs:
            graph.outputs += forward.outputs(model)
        if optimizer is not None:
            rates = ir.Value(optimizer.rates.shape, np.dtype(np.float64), "rates")
            graph.inputs.append(rates)
            self._add_training(forward, optimizer, trainable, total.node_value, rates)
        self.compiled = Compiled(graph, weights, get_num_threads())

    @staticmethod
    def _add_training(
        forward: Forward, optimizer: Optimizer, variables: Sequence[Variable], total: ir.Value, rates: ir.Value
    ) -> None:
        graph = forward.graph
        prepare_training(graph)
        remove_unused(graph)
        values = [forward.emission.variable(v) for v in variables]
        one = ir.constant(np.ones(total.shape, total.dtype))
        grads = Differentiation(graph, values).of({total: one})
        for variable, value, grad in zip(variables, values, grads, strict=True):
            if grad is not None:
                optimizer.emit(graph, variable, value, grad, rates)

    def run(self, batch: Batch, seeds: Array | None, rates: Array | None) -> Outcome:
        """Take the step."""
        arrays = list(batch.inputs)
        if seeds is not None:
            arrays.append(seeds)
        for target, share in zip(batch.targets, batch.weights, strict=True):
            if target is not None:
                arrays.append(_rows(target))
                if share is not None:
                    arrays.append(share)
        if rates is not None:
            arrays.append(rates)
        total, *others = self.compiled.run(arrays)
        losses = [float(one.item()) for one in others[: self._count]]
        return Outcome(float(total.item()), losses, others[self._count :])


class Steps:
    """A model's steps by the sizes they are for.

    Parameters
    ----------
    model, objective, optimizer
        As for `Step`.
    """

    def __init__(self, model: Graph, objective: Objective, optimizer: Optimizer | None) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self._programs = Programs()
        self._seeds = Seeds()
        self._weights = Weights()
        self._versions: Any = None

    def run(self, batch: Batch, *, wants_outputs: bool) -> Outcome:
        """Take a step on a batch; the gradient's is of the optimizer, if there is one."""
        variables = self.model.variables
        versions: Any = [(v.trainable, v.updated) if self.optimizer else v.version for v in variables]
        if versions != self._versions:
            self._programs.clear()
            self._weights, self._versions = Weights(), versions
        shapes = [[None if a is None else (a.shape, a.dtype) for a in side]
                  for side in (batch.inputs, batch.targets, batch.weights)]  # fmt: skip
        key = (repr(shapes), wants_outputs, _core.settings())
        step: Step = self._programs.get(
            key, lambda: Step(self.model, self.objective, self.optimizer, batch, wants_outputs, self._weights)
        )
        seeds = self._seeds.draw(step.dropouts) if step.dropouts else None
        rates = None
        if self.optimizer is not None:
            self.optimizer.iterations += 1
            rates = self.optimizer.rates
        outcome = step.run(batch, seeds, rates)
        if self.optimizer is not None:
            for variable in self.model.variables:
                if variable.trainable or variable.updated:
                    variable.changed()
        return outcome


def _rows(target: Array) -> Array:
    """Targets as rows: class numbers, or (rows, outputs)."""
    if target.dtype == np.int64:
        return target.reshape(-1)
    return target.reshape(-1, target.shape[-1] if target.ndim > 1 else 1)


def _loss_of(forward: Forward, model: Graph, i: int, loss: Loss, target: Array, share: Array | None) -> Symbol:
    """The mean loss of one output, whose targets and weights become inputs."""
    graph, emission, number = forward.graph, forward.emission, model.outputs[i]
    rows = _rows(target)
    wanted = ir.Value(rows.shape, rows.dtype, "target")
    graph.inputs.append(wanted)

    def symbol(value: ir.Value) -> Symbol:
        return Symbol(graph, emission.rows(value))

    last = next((node for node in model.nodes if node.output == number), None)
    activation = "" if last is None else {"activation": last.attributes.get("kind", "")}.get(last.op, last.op)
    scores = None
    if last is not None and activation in ("softmax", "sigmoid"):
        scores = symbol(forward.values[last.inputs[0]])
    each = loss.rows(Symbol(graph, wanted), Prediction(symbol(forward.values[number]), activation, scores))
    if share is not None:
        weight = ir.Value(share.shape, share.dtype, "weight")
        graph.inputs.append(weight)
        each = each * Symbol(graph, weight)
    return ops.mean(each, axis=0)


def _penalty(graph: ir.Graph, value: ir.Value, regularizer: Regularizer) -> Symbol:
    """L1 times the sum of magnitudes plus l2 times the sum of squares."""
    flat = Symbol(graph, graph.add("reshape", [value], (1, prod(value.shape))))
    parts = []
    if regularizer.l1:
        parts.append(ops.sum(ops.abs(flat)) * regularizer.l1)
    if regularizer.l2:
        parts.append(ops.sum(ops.square(flat)) * regularizer.l2)
    if not parts:
        return ops.sum(flat) * 0.0
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]
