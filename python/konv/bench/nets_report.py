"""Figures of whole networks, as objects, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from konv._words import counted
from konv.bench.engine import OURS
from konv.bench.network_runtimes import LEFT_OUT
from konv.bench.report import figures_as_dict
from konv.bench.tables import heading, times
from konv.bench.timing import Compared, Timing, geometric_mean
from konv.cli.table import print_table

FORMAT = "konv bench nets 1"


@dataclass
class NetworkRow(Compared):
    """The figures of one network with one batch and number of threads.

    Attributes
    ----------
    timings
        By contender; one that is wrong or failed is missing.
    wrong
        Contenders whose results differ from the others' by more than rounding explains: the largest difference,
        relative to the largest value.
    failed
        Contenders that raised an error: what they said.
    peak_bytes
        Of training: how far memory grew beyond what the model took when it had been made, where the system tells.
    """

    network: str
    batch: int
    threads: int
    timings: dict[str, Timing] = field(default_factory=dict)
    wrong: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {counted(self.threads, 'thread')}"


@dataclass
class NetworkReport:
    """What `konv bench nets` found; machine, versions and method as in `Report`."""

    machine: dict[str, Any]
    versions: dict[str, str]
    method: dict[str, Any]
    rows: list[NetworkRow] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write the report as JSON; times in microseconds."""
        rows = [
            {
                "network": row.network, "batch": row.batch, "threads": row.threads, **figures_as_dict(row),
                "peak_bytes": row.peak_bytes,
            }
            for row in self.rows
        ]  # fmt: skip
        parts = {"machine": self.machine, "versions": self.versions, "method": self.method, "rows": rows}
        path.write_text(json.dumps({"format": FORMAT, **parts}, indent=1) + "\n")


def milliseconds(seconds: float) -> str:
    """Show a time with at least three digits."""
    ms = seconds * 1e3
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.2f}"


def _cell(row: NetworkRow, name: str) -> str:
    if name in row.failed:
        return "failed"
    if name in row.wrong:
        return "WRONG"
    if name not in row.timings:
        return "-"
    timing = row.timings[name]
    return f"{milliseconds(timing.median)} ±{timing.spread:.0%}{'*' if name == row.best_peer else ''}"


def _peak(row: NetworkRow, name: str) -> str:
    return f"{row.peak_bytes[name] / 1e6:.0f}" if name in row.peak_bytes else "-"


def _ratios(report: NetworkReport) -> dict[str, Callable[[NetworkRow], float | None]]:
    """The columns of ratios, by their heads."""
    columns: dict[str, Callable[[NetworkRow], float | None]] = {"konv\nvs best": lambda row: row.against_best()}
    if "konv_medium" in report.method["contenders"]:
        columns["medium\nvs konv"] = lambda row: row.ratio("konv", ours="konv_medium")
    return columns


def _summary(name: str, of: Callable[[Sequence[float]], float], columns: Sequence[Sequence[float | None]]) -> list[str]:
    found = [[ratio for ratio in column if ratio is not None] for column in columns]
    return [name, "", "", *(times(of(ratios)) if ratios else "" for ratios in found)]


def print_networks(report: NetworkReport) -> None:
    """Print a table, and what stands out."""
    names, rounds = report.method["contenders"], report.method["rounds"]
    what = "steps of training" if report.method["training"] else "whole networks"
    ratios = _ratios(report)
    peaks = names if report.method["training"] else []
    head = ["network", "batch", "threads", *map(heading, names), *ratios, *(f"MB\n{name}" for name in peaks)]
    lines = [
        [
            row.network, str(row.batch), str(row.threads), *(_cell(row, name) for name in names),
            *(times(ratio(row)) for ratio in ratios.values()), *(_peak(row, name) for name in peaks),
        ]
        for row in report.rows
    ]  # fmt: skip
    peers = [[] if name in OURS else [row.ratio(name) for row in report.rows] for name in names]
    columns = [*peers, *([ratio(row) for row in report.rows] for ratio in ratios.values()), *([] for _ in peaks)]
    lines += [_summary("geometric mean", geometric_mean, columns), _summary("lowest", min, columns)]
    print(f"Milliseconds a call: median of {counted(rounds, 'round')} ± half the quartiles' distance, * best peer.")
    print("Last lines, and under 'vs': how many times as fast konv is.")
    if peaks:
        print("MB: peak of memory beyond what the model took when it had been made.")
    print()
    print_table(f"{what}, float32, {report.machine['isa']}, {report.machine['cpu']}", head, lines, summary=2)
    if not report.method["training"]:
        print("left out:", "; ".join(f"{name}: {why}" for name, why in LEFT_OUT.items()))
    for row in report.rows:
        for name, difference in row.wrong.items():
            print(f"WRONG: {row}: {name} differs from the others by {difference:.1e} of the largest value")
        for name, message in row.failed.items():
            print(f"failed: {row}: {name}: {message}")
