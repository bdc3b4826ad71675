"""Passes over samples: one epoch of training, or one evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from . import metrics
from .data import Batches, as_input
from .execution import Executor
from .graph import Graph
from .losses import Loss
from .metrics import Metric
from .optimizers import Optimizer
from .progress import Progress
from .variable import Array


class Samples:
    """Samples with their targets, checked once for any number of passes.

    Parameters
    ----------
    graph : Graph
        The model's.
    x, y : array_like
        As many samples as targets, at least one.
    batch_size : int
        Samples a step.
    loss : Loss
        What to minimise; says what targets it takes.
    wanted : sequence of str or Metric
        What to report beside the loss.
    """

    def __init__(
        self,
        graph: Graph,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int,
        loss: Loss,
        wanted: Sequence[str | Metric],
    ) -> None:
        value = graph.values[graph.inputs[0]]
        samples = as_input(x, value)
        if len(samples) == 0:
            raise ValueError("x must hold at least one sample")
        if np.ndim(y) == 0 or len(np.asarray(y)) != len(samples):
            count = len(np.asarray(y)) if np.ndim(y) else "a number"
            raise ValueError(f"y must hold one target a sample, {len(samples)}, got {count}")
        output = tuple(size for size in graph.output_shapes([samples.shape])[0] if size is not None)
        self.batches = Batches(samples, batch_size, value.dtype)
        self.metrics = [metrics.get(metric, np.shape(y), output) for metric in wanted]
        self._loss = loss
        self._targets = loss.targets(y, output, value.dtype)
        # A loss that takes logits reads in front of a final softmax, which needs no gradient then.
        last = graph.nodes[-1] if graph.nodes else None
        self._from_logits = loss.takes_logits and last is not None and last.op == "softmax"
        self._score = graph.outputs[0]
        if self._from_logits and last is not None:
            self._score = last.inputs[0]

    def train(
        self,
        executor: Executor,
        optimizer: Optimizer,
        rng: np.random.Generator | None,
        progress: Progress,
    ) -> dict[str, float]:
        """Take one step a batch, in an order drawn from `rng`; returns the means on the way."""
        variables = [v for v in executor.graph.variables if v.trainable]
        grads = [v.grad for v in variables]
        grad_storage: Array | None = None
        total, count = self._start()
        order = self.batches.passes(rng)
        for step, (which, batch) in enumerate(order, 1):
            output = executor.forward(batch, training=True)
            score, targets = executor.value(self._score), self._targets[which]
            if grad_storage is None:
                grad_storage = np.empty_like(score)
            grad = grad_storage[: len(score)]
            loss = self._loss.value_and_grad(targets, score, grad, logits=self._from_logits)
            executor.backward(self._score, grad)
            optimizer.apply(grads, variables)
            total += loss * len(batch)
            count += len(batch)
            for metric in self.metrics:
                metric.update_state(targets, output)
            if progress.is_due():
                progress.update(step, self._figures(total / count))
        return self._figures(total / count)

    def test(self, executor: Executor, progress: Progress | None = None) -> dict[str, float]:
        """Return the means of the loss and the metrics, without training."""
        total, count = self._start()
        for step, (which, batch) in enumerate(self.batches.in_order(), 1):
            output = executor.forward(batch)
            score, targets = executor.value(self._score), self._targets[which]
            loss = self._loss.value_and_grad(targets, score, None, logits=self._from_logits)
            total += loss * len(batch)
            count += len(batch)
            for metric in self.metrics:
                metric.update_state(targets, output)
            if progress is not None and progress.is_due():
                progress.update(step, self._figures(total / count))
        return self._figures(total / count)

    def _start(self) -> tuple[float, int]:
        for metric in self.metrics:
            metric.reset_state()
        return 0.0, 0

    def _figures(self, loss: float) -> dict[str, float]:
        figures = {metric.name: metric.result() for metric in self.metrics}
        return dict(sorted((figures | {"loss": loss}).items()))


def split(x: ArrayLike, y: ArrayLike, share: float) -> tuple[Array, Array, tuple[Array, Array]]:
    """Cut the last `share` of samples off for validation, as Keras does: before any shuffling."""
    if not 0 < share < 1:
        raise ValueError(f"validation_split must be within [0, 1), got {share}")
    samples, targets = np.asarray(x), np.asarray(y)
    cut = int(len(samples) * (1 - share))
    if not 0 < cut < len(samples):
        raise ValueError(f"validation_split={share} of {len(samples)} samples leaves one side empty")
    return samples[:cut], targets[:cut], (samples[cut:], targets[cut:])
