"""What a model does, step by step, as a table and as a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from .._graph.compiled import StepReport
from .._words import counted


@dataclass(repr=False)
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

    def add_call(self, name: str, op: str, result_bytes: int, seconds: float = 0.0) -> None:
        """Append what NumPy computes."""
        self.steps.append(
            StepReport(name, ((name, op),), result_bytes, "", "NumPy", "", seconds=seconds, start=self._end())
        )

    def _end(self) -> float:
        return max((s.start + s.seconds for s in self.steps), default=0.0)

    def __str__(self) -> str:
        """One line a step: its first node, all operators it does, how; work, memory, and time where it was taken."""
        timed = any(s.seconds for s in self.steps)
        total = sum(s.seconds for s in self.steps)
        folded = _folded(self.steps)
        rows: list[tuple[str, ...]] = [
            ("node", "operators", "runs as", "MFLOP", "weights", "result", "time", "share", "GFLOP/s")
        ]
        for count, s in folded:
            time = (f"{1e3 * s.seconds:.3f} ms", f"{s.seconds / total:.1%}" if total else "") if timed else ("", "")
            speed = f"{s.flops / s.seconds / 1e9:.1f}" if s.seconds and s.flops else ""
            kind = f"{s.kind} {s.dtype}" if s.dtype in ("bfloat16", "uint8") else s.kind
            how = f"{kind}: {s.detail}" if s.detail else kind
            how = f"{count} x {how}" if count > 1 else how
            work = f"{s.flops / 1e6:.2f}" if s.flops else ""
            rows.append(
                (_short(s.name), _short(_operators(s)), _short(how), work, _size(s.weight_bytes), _size(s.result_bytes),
                 *time, speed)
            )  # fmt: skip
        rows = rows if timed else [row[:6] for row in rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        table = [
            "  ".join(
                text.ljust(width) if i < 3 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([self._head(), "", *table, "", *self._sums(total)])

    __repr__ = __str__

    def _head(self) -> str:
        given = ", ".join(f"{name} {shape}" for name, shape in self.given.items())
        nodes = {origin for s in self.steps for origin in s.origins}
        weights = sum(s.weight_bytes for _, s in _folded(self.steps))
        return (
            f"{given}: {counted(len(nodes), 'node')} in {counted(len(self.steps), 'step')}; "
            f"{weights / 1e6:.2f} MB of packed weights, {self.arena_bytes / 1e6:.2f} MB between steps"
        )

    def _sums(self, total: float) -> list[str]:
        """Time and work of each kind of step, the longest first."""
        kinds = dict.fromkeys(s.kind for s in self.steps)
        alike = {kind: [s for s in self.steps if s.kind == kind] for kind in kinds}
        lines = []
        for kind, steps in sorted(alike.items(), key=lambda item: -sum(s.seconds + 1e-18 * s.flops for s in item[1])):
            seconds, flops = sum(s.seconds for s in steps), sum(s.flops for s in steps)
            time = f"  {1e3 * seconds:9.3f} ms  {seconds / total:6.1%}" if total else ""
            lines.append(f"{kind:12} {len(steps):4}{time}  {flops / 1e6:10.2f} MFLOP".rstrip())
        if total:
            lines.append(f"{'in all':12} {len(self.steps):4}  {1e3 * total:9.3f} ms")
            if any(s.thread for s in self.steps):  # some ran beside others
                lines.append(f"{'to the end':12}       {1e3 * self._end():9.3f} ms")
        return lines

    def write_trace(self, path: str | PathLike[str]) -> None:
        """Write the times as a trace, which chrome://tracing and Perfetto show."""
        events = [
            {
                "name": s.name, "cat": s.kind, "ph": "X", "pid": 0, "tid": s.thread,
                "ts": 1e6 * s.start, "dur": 1e6 * s.seconds,
                "args": {
                    "kind": s.kind, "dtype": s.dtype, "detail": s.detail, "operators": _operators(s),
                    "MFLOP": s.flops / 1e6,
                },
            }
            for s in self.steps
        ]  # fmt: skip
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


def _folded(steps: Sequence[StepReport]) -> list[tuple[int, StepReport]]:
    """Steps with how many they stand for: those that do the same for other samples of a batch are one."""
    alike: dict[object, list[StepReport]] = {}
    for step in steps:
        alike.setdefault((step.name, step.origins, step.kind, step.detail), []).append(step)
    sums = ("result_bytes", "flops", "seconds")
    return [
        (len(same), replace(same[0], **{name: sum(getattr(s, name) for s in same) for name in sums}))
        for same in alike.values()
    ]


def _operators(step: StepReport) -> str:
    return " + ".join(op for _, op in step.origins)


def _short(text: str, most: int = 44) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _size(count: int) -> str:
    if count == 0:
        return ""
    return f"{count / 1e6:.2f} MB" if count >= 10_000 else f"{count / 1e3:.2f} kB"
