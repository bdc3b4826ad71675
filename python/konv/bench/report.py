"""A run's figures with what they were taken on, as objects and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from konv._words import counted
from konv.bench.engine import OURS
from konv.bench.layers import Layer
from konv.bench.timing import Compared, Row, Timing

FORMAT = "konv bench 1"


@dataclass
class Report:
    """What `konv bench` found.

    Attributes
    ----------
    machine
        CPU and system, and its measured `peak_gflops` and `bandwidth_gb`.
    versions
        Of konv, Python and every library that took part.
    method
        `contenders`, `threads`, `dtype`, `layout`, `rounds`, and how turns are timed.
    rows
        One a layer and direction.
    """

    machine: dict[str, Any]
    versions: dict[str, str]
    method: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Threads, dtype, layout, ISA and CPU in a line."""
        parts = counted(self.method["threads"], "thread"), self.method["dtype"], self.method["layout"]
        return ", ".join((*parts, self.machine["isa"], self.machine["cpu"]))

    @property
    def names(self) -> list[str]:
        """The contenders that were asked, konv first."""
        names: list[str] = self.method["contenders"]
        return names

    @property
    def ours(self) -> list[str]:
        """Those of them that are konv's."""
        return [name for name in self.names if name in OURS]

    def groups(self) -> Iterator[tuple[str, list[Row]]]:
        """The rows of each suite and direction, with a heading."""
        for (suite, direction), rows in groupby(self.rows, lambda row: (row.layer.suite, row.direction)):
            what = direction if direction == "forward" else f"gradient with respect to the {direction}"
            yield f"{suite}, {what}", list(rows)

    def save(self, path: Path) -> None:
        """Write the report as JSON; times in microseconds."""
        rows = [_row_as_dict(row) for row in self.rows]
        parts = {"machine": self.machine, "versions": self.versions, "method": self.method, "rows": rows}
        path.write_text(json.dumps({"format": FORMAT, **parts}, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            For a file that is something else.
        """
        try:
            data = json.loads(path.read_text())
            if data["format"] != FORMAT:
                raise ValueError
            return cls(data["machine"], data["versions"], data["method"], [_row_from_dict(row) for row in data["rows"]])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}: expected a file that konv bench --json wrote") from None


def figures_as_dict(row: Compared) -> dict[str, Any]:
    """Return what every kind of row has, times in microseconds."""
    times = {
        name: {"median": t.median * 1e6, "low": t.low * 1e6, "high": t.high * 1e6, "rounds": t.rounds}
        for name, t in row.timings.items()
    }
    return {"us": times, "wrong": row.wrong, "failed": row.failed}


def _row_as_dict(row: Row) -> dict[str, Any]:
    about = {"layer": asdict(row.layer), "direction": row.direction, "gflop": row.layer.flops / 1e9}
    return {**about, **figures_as_dict(row), "chosen": row.chosen}


def _row_from_dict(data: dict[str, Any]) -> Row:
    layer = Layer(**{**data["layer"], "pad": tuple(data["layer"]["pad"])})
    timings = {
        name: Timing(t["median"] / 1e6, t["low"] / 1e6, t["high"] / 1e6, t["rounds"]) for name, t in data["us"].items()
    }
    return Row(layer, data["direction"], timings, data["wrong"], data["failed"], data["chosen"])
