"""Figures as a table, with rich where it is installed, as plain text without it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from konv.bench.timing import Row, geometric_mean


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


def summary(rows: Sequence[Row]) -> list[str]:
    """One line for each contender: how much faster konv is, on average and at worst."""
    lines = []
    for name in _names(rows):
        ratios = [(ratio, row.layer.name) for row in rows if (ratio := row.ratio(name))]
        if name == "konv":
            continue
        mean = geometric_mean([ratio for ratio, _ in ratios])
        worst, where = min(ratios)
        lines.append(
            f"konv is {mean:.2f}x as fast as {name} (geometric mean of {len(ratios)} layers; "
            f"lowest {worst:.2f}x at {where})"
        )
    return lines


def print_table(rows: Sequence[Row], title: str) -> None:
    """Print the figures of all rows, then the summary."""
    names = _names(rows)
    header = ["layer", "GFLOP", *names, "konv GFLOP/s"]
    body = [_cells(row, names) for row in rows]
    title += "; microseconds, and how many times as fast konv is"
    if not _print_rich(header, body, title):
        _print_plain(header, body, title)
    for line in summary(rows):
        print(line)


def _print_rich(header: list[str], body: list[list[str]], title: str) -> bool:
    """Print on a terminal with rich; False where either is missing."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    console = Console()
    if not console.is_terminal:
        return False
    table = Table(title=title)
    for i, text in enumerate(header):
        table.add_column(text, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for cells in body:
        table.add_row(*cells)
    console.print(table)
    return True


def _print_plain(header: list[str], body: list[list[str]], title: str) -> None:
    widths = [max(len(cells[i]) for cells in (header, *body)) for i in range(len(header))]
    print(title)
    for cells in (header, ["-" * width for width in widths], *body):
        first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())


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
