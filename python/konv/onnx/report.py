"""What a model does, step by step, as a table and as a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from .._graph.compiled import StepReport


@dataclass
class Report:
    """The steps of a model for inputs of some shapes; prints as a table.

    Attributes
    ----------
    given : dict
        The shapes of the inputs.
    steps : list of StepReport
        In the order in which they run; times are in seconds, 0 where none was taken.
    arena_bytes : int
        Memory of all arrays between the steps.
    """

    given: dict[str, tuple[int, ...]]
    steps: list[StepReport] = field(default_factory=list)
    arena_bytes: int = 0

    def add(self, steps: Sequence[StepReport], arena_bytes: int) -> None:
        """Append the steps of a compiled program."""
        start = self._end()
        self.steps += [StepReport(**{**vars(s), "start": s.start + start}) for s in steps]
        self.arena_bytes += arena_bytes

    def add_call(self, name: str, op: str, seconds: float = 0.0) -> None:
        """Append what NumPy computes."""
        self.steps.append(StepReport(name, "", op, "NumPy", 0.0, 0, 0, seconds, self._end()))

    def _end(self) -> float:
        return self.steps[-1].start + self.steps[-1].seconds if self.steps else 0.0

    def __str__(self) -> str:
        timed = any(s.seconds for s in self.steps)
        head = ", ".join(f"{name} {shape}" for name, shape in self.given.items())
        width = max([len(s.name) for s in self.steps], default=4)
        lines = [f"{head}: {len(self.steps)} steps, {self.arena_bytes / 1e6:.1f} MB between them"]
        for s in self.steps:
            time = f"{1e6 * s.seconds:9.1f} us" if timed else ""
            speed = f"{s.flops / s.seconds / 1e9:8.1f} GFLOP/s" if timed and s.seconds and s.flops else " " * 16 * timed
            work = f"{s.flops / 1e6:9.2f} MFLOP" if s.flops else " " * 15
            memory = f"{s.weight_bytes / 1e6:7.2f} MB" if s.weight_bytes else " " * 10
            lines.append(f"{s.name:{width}}  {s.kind:12} {s.dtype:8} {s.detail:24} {work} {memory} {time}{speed}".rstrip())
        if timed:
            lines.append(f"in all {1e3 * sum(s.seconds for s in self.steps):.3f} ms")
        return "\n".join(lines)

    def write_trace(self, path: str | PathLike[str]) -> None:
        """Write the times as a trace, which chrome://tracing and Perfetto show."""
        events = [
            {
                "name": s.name, "cat": s.kind, "ph": "X", "pid": 0, "tid": 0,
                "ts": 1e6 * s.start, "dur": 1e6 * s.seconds,
                "args": {"kind": s.kind, "dtype": s.dtype, "detail": s.detail, "MFLOP": s.flops / 1e6},
            }
            for s in self.steps
        ]  # fmt: skip
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))
