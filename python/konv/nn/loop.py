"""A pass over batches: the steps of an epoch or of an evaluation, with callbacks told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .callbacks import Callback
from .data import Source
from .figures import Figures
from .progress import Progress
from .training import Steps


def tell(callbacks: Sequence[Callback], event: str, *arguments: Any) -> None:
    """Call one method of every callback."""
    for callback in callbacks:
        getattr(callback, event)(*arguments)


def run_pass(
    steps: Steps, source: Source, figures: Figures, progress: Progress, callbacks: Sequence[Callback], kind: str
) -> tuple[int, dict[str, float]]:
    """Take a step for each batch; `kind` is "train" or "test". Returns the number of steps and the figures."""
    figures.reset()
    taken = 0
    for batch in source.batches():
        tell(callbacks, f"on_{kind}_batch_begin", taken, {})
        figures.update(batch, steps.run(batch, wants_outputs=figures.wants_outputs))
        taken += 1
        if callbacks:
            tell(callbacks, f"on_{kind}_batch_end", taken - 1, figures.result())
        if progress.is_due():
            progress.update(taken, figures.result())
    return taken, figures.result()
