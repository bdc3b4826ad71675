"""A graph that runs: the compiled program with the arrays it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from . import lower_forward, lower_training  # noqa: F401  (fill the table)
from .bands import band_rows
from .ir import Array, Graph
from .lower import Lowering, Weights
from .passes import simplify
from .target import Time
from .tiling import tile_batch


@dataclass(frozen=True)
class StepReport:
    """One step of a program.

    `origins` are names and operators of those nodes of the model that it does the work of; `kind` and `detail` say what
    it does and how, `result_bytes` is the size of what its node makes, and `dtype` its
    elements': uint8 where they are quantised. Times are in seconds, 0 where none was taken; steps of one thread run one
    after another, those of another beside them.
    """

    name: str
    origins: tuple[tuple[str, str], ...]
    result_bytes: int
    dtype: str
    kind: str
    detail: str
    flops: float = 0.0
    weight_bytes: int = 0
    workspace_bytes: int = 0
    seconds: float = 0.0
    start: float = 0.0
    thread: int = 0


class Compiled:
    """Runs a graph of one set of shapes; any number of threads may call it at once.

    Parameters
    ----------
    graph : Graph
        Is simplified in place.
    weights : Weights
        Where packed weights are kept for graphs of other shapes; says for which target.
    threads : int
        At most this many.
    change : callable, optional
        What to do to the graph once it is simplified.
    """

    def __init__(
        self, graph: Graph, weights: Weights, threads: int, change: Callable[[Graph], None] | None = None
    ) -> None:
        simplify(graph)
        if change is not None:
            change(graph)
        self._target = weights.target
        self._target.check(graph)
        if self._target.tiles_batches:
            tile_batch(graph, threads)
            band_rows(graph, threads)
        self.graph = graph
        self._program, self._nodes = Lowering(graph, weights, threads).compile()

    @property
    def arena_bytes(self) -> int:
        return int(self._program.arena_bytes)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        return self._run(inputs, timed=False)[0]

    def profile(self, inputs: Sequence[Array]) -> tuple[list[Array], list[StepReport]]:
        """Run with a clock around each step; times are in seconds, from the first one's start."""
        outputs, times = self._run(inputs, timed=True)
        return outputs, self._reports(times)

    def steps(self) -> list[StepReport]:
        return self._reports([])

    def _run(self, inputs: Sequence[Array], timed: bool) -> tuple[list[Array], list[Time]]:
        return self._target.run(self._program, self.graph, inputs, timed)

    def _reports(self, times: Sequence[Time]) -> list[StepReport]:
        reports = []
        for i, (node, row) in enumerate(zip(self._nodes, self._program.steps(), strict=True)):
            spent: dict[str, Any] = {}
            if times:
                begin, end, thread = times[i]
                spent = {"seconds": (end - begin) / 1e9, "start": (begin - times[0][0]) / 1e9, "thread": thread}
            dtype = node.outputs[0].dtype.name if node.outputs else ""
            made = sum(value.size * value.dtype.itemsize for value in node.outputs)
            reports.append(StepReport(node.name, tuple(node.origins), made, dtype, *row, **spent))
        return reports
