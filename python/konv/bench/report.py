"""Figures of a run as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from konv.bench.timing import Row, geometric_mean
from konv.cli.table import print_table


def _names(rows: Sequence[Row]) -> list[str]:
    """Contenders in order of appearance, konv first."""
    return list(dict.fromkeys(name for row in rows for name in row.seconds))


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    cells = [row.layer.name, f"{row.layer.flops / 1e9:.3f}"]
    for name in names:
        if name not in row.seconds:
            cells.append("-")
            continue
        text = f"{row.seconds[name] * 1e6:.1f}"
        if name != "konv":
            text += f" ({row.ratio(name):.2f}x)"
        cells.append(text + (" WRONG" if name in row.wrong else ""))
    cells.append(f"{row.layer.flops / row.seconds['konv'] / 1e9:.1f}")
    return cells


def _mean(rows: Sequence[Row], name: str) -> str:
    return f"{geometric_mean([ratio for row in rows if (ratio := row.ratio(name))]):.2f}x"


def print_rows(rows: Sequence[Row], title: str) -> None:
    """Print the figures of all layers, and for each contender the mean ratio and konv's lowest."""
    names = _names(rows)
    others = [name for name in names if name != "konv"]
    header = ["layer", "GFLOP", *(name.replace(" ", "\n") for name in names), "konv\nGFLOP/s"]
    mean = ["geometric mean", "", "", *(_mean(rows, name) for name in others), ""]
    print_table(
        f"{title}; microseconds, and how many times as fast konv is",
        header,
        [*(_cells(row, names) for row in rows), mean],
    )
    for name in others:
        lowest, layer = min((ratio, row.layer.name) for row in rows if (ratio := row.ratio(name)))
        print(f"lowest against {name}: {lowest:.2f}x at {layer}")


def as_json(rows: Sequence[Row], **context: Any) -> str:
    """The same figures for a program."""
    figures = [
        {
            "layer": row.layer.name,
            "gflop": row.layer.flops / 1e9,
            "us": {name: s * 1e6 for name, s in row.seconds.items()},
            "wrong": row.wrong,
        }
        for row in rows
    ]
    return json.dumps({**context, "rows": figures}, indent=1)
