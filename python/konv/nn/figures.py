"""The figures of a pass over batches: means of the loss and of the metrics."""

from __future__ import annotations

from collections.abc import Sequence

from . import metrics
from .metrics import Metric
from .training import Batch, Objective, Outcome

Wanted = Sequence["str | Metric"]


class Figures:
    """Running means, by the names under which `History` keeps them.

    Parameters
    ----------
    objective : Objective
        Which outputs have a loss.
    wanted : sequence of sequences of str or Metric
        For each output, what to report beside the loss.
    names : sequence of str
        Of the outputs; they mark figures where there are several.
    """

    def __init__(self, objective: Objective, wanted: Sequence[Wanted], names: Sequence[str]) -> None:
        self._wanted, self._names = wanted, names
        self._with_loss = [i for i, loss in enumerate(objective.losses) if loss is not None]
        self._metrics: list[tuple[int, str, Metric]] | None = None
        self.wants_outputs = any(wanted)
        self._total, self._losses, self._count = 0.0, [0.0] * len(self._with_loss), 0

    def reset(self) -> None:
        """Forget all batches."""
        self._total, self._losses, self._count = 0.0, [0.0] * len(self._with_loss), 0
        for _, _, metric in self._metrics or []:
            metric.reset_state()

    def update(self, batch: Batch, outcome: Outcome) -> None:
        """Take in a batch."""
        if self._metrics is None:
            self._metrics = self._resolve(batch, outcome)
        self._total += outcome.loss * batch.size
        self._losses = [a + b * batch.size for a, b in zip(self._losses, outcome.losses, strict=True)]
        self._count += batch.size
        for i, _, metric in self._metrics:
            target = batch.targets[i]
            if target is not None:
                metric.update_state(target, outcome.outputs[i])

    def result(self) -> dict[str, float]:
        """Return the means so far, in the order of their names."""
        count = max(1, self._count)
        figures = {"loss": self._total / count}
        if len(self._names) > 1:
            figures |= {
                f"{self._names[i]}_loss": loss / count for i, loss in zip(self._with_loss, self._losses, strict=True)
            }
        figures |= {name: metric.result() for _, name, metric in self._metrics or []}
        return dict(sorted(figures.items()))

    def as_list(self) -> list[float]:
        """Return the loss, then the other figures in the order in which they were asked for."""
        figures = self.result()
        others = [f"{self._names[i]}_loss" for i in self._with_loss] if len(self._names) > 1 else []
        return [figures["loss"], *(figures[name] for name in others), *(m.result() for _, _, m in self._metrics or [])]

    def _resolve(self, batch: Batch, outcome: Outcome) -> list[tuple[int, str, Metric]]:
        found = []
        for i, (wanted, target) in enumerate(zip(self._wanted, batch.targets, strict=True)):
            for identifier in wanted:
                if target is None:
                    raise ValueError(f"metrics of output {self._names[i]!r} need targets, and so a loss")
                metric = metrics.get(identifier, target.shape, outcome.outputs[i].shape)
                metric.reset_state()
                name = f"{self._names[i]}_{metric.name}" if len(self._names) > 1 else metric.name
                found.append((i, name, metric))
        return found
