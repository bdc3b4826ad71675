"""Figures of a run, of two runs, and of forced algorithms, as tables."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from statistics import median

from konv._words import counted
from konv.bench.engine import OURS
from konv.bench.report import Report
from konv.bench.timing import Row, Timing, geometric_mean
from konv.cli.table import print_table, table_width

# Rows that are listed as the worst.
WORST = 5
# Smaller changes of a time count as none, whatever the spreads say.
LEAST_CHANGE = 0.02
# The column that stands for all peers where a terminal is narrow.
BEST = "best peer"


def heading(name: str) -> str:
    """Break a contender's name into lines of a column's head."""
    return name.replace("_", "\n", 1)


def microseconds(seconds: float) -> str:
    """Show a time with at least three digits."""
    us = seconds * 1e6
    return f"{us:.0f}" if us >= 100 else f"{us:.1f}"


def times(ratio: float | None) -> str:
    """Show a ratio."""
    return "-" if ratio is None else f"{ratio:.2f}x"


def _cell(row: Row, name: str) -> str:
    """A contender's time and spread; of the best peer, where it stands for all, time and name."""
    if name == BEST:
        best = row.best_peer
        return "-" if best is None else f"{microseconds(row.timings[best].median)} {best}"
    if name in row.failed:
        return "failed"
    if name not in row.timings:
        return "-"
    timing = row.timings[name]
    mark = " WRONG" if name in row.wrong else "*" if name == row.best_peer else ""
    return f"{microseconds(timing.median)} ±{timing.spread:.0%}{mark}"


def _total(rows: Sequence[Row], name: str) -> str:
    """The time of all layers, each as often as its network has it."""
    if not all(name in row.timings for row in rows):
        return "-"
    return f"{sum(row.layer.count * row.timings[name].median for row in rows) * 1e3:.4g} ms"


def _table(report: Report, rows: Sequence[Row], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The head and the lines of a table; what follows the layers sums up."""
    peak, ours = report.machine["peak_gflops"], report.ours
    head = ["layer", "MFLOP", *map(heading, names), *(f"{name}\nvs best" for name in ours), "% of\npeak"]
    lines = [
        [
            row.layer.name,
            f"{row.layer.flops / 1e6:.4g}",
            *(_cell(row, name) for name in names),
            *(times(row.against_best(name)) for name in ours),
            f"{row.gflops() / peak:.0%}",
        ]
        for row in rows
    ]
    columns = [[] if name in (*ours, BEST) else [row.ratio(name) for row in rows] for name in names]
    columns += [[row.against_best(name) for row in rows] for name in ours]
    ratios = [[ratio for ratio in column if ratio is not None] for column in columns]
    shares = [row.gflops() / peak for row in rows]
    means = [times(geometric_mean(column)) if column else "" for column in ratios]
    lowest = [times(min(column)) if column else "" for column in ratios]
    lines.append(["geometric mean", "", *means, f"{geometric_mean(shares):.0%}"])
    lines.append(["lowest", "", *lowest, f"{min(shares):.0%}"])
    if any(row.layer.count > 1 for row in rows):
        total = f"{sum(row.layer.count * row.layer.flops for row in rows) / 1e6:.4g}"
        lines.append(["all, by count", total, *(_total(rows, name) for name in names), *[""] * len(ours), ""])
    return head, lines


def print_report(report: Report) -> None:
    """Print a table for each suite and direction, and what stands out."""
    peak, read, rounds = report.machine["peak_gflops"], report.machine["bandwidth_gb"], report.method["rounds"]
    print(f"{report.title}; {peak:.0f} GFLOP/s of multiply-adds, {read:.0f} GB/s of reading")
    print(f"Microseconds a call: median of {counted(rounds, 'round')} ± half the quartiles' distance, * best peer.")
    print("Last lines, and under 'vs': how many times as fast konv is.")
    for title, rows in report.groups():
        print()
        names = [name for name in report.names if any(name in (*row.timings, *row.failed) for row in rows)]
        head, lines = _table(report, rows, names)
        if sys.stdout.isatty() and table_width(head, lines) > shutil.get_terminal_size().columns:
            head, lines = _table(report, rows, [*report.ours, BEST])
            head, *lines = ([name, *rest] for name, _, *rest in [head, *lines])  # without MFLOP
        print_table(title, head, lines, summary=len(lines) - len(rows))
        if apart := [name for name in report.names if name not in names]:
            print(f"do not compute these layers: {', '.join(apart)}")
        _print_worst(rows)
    _print_disagreements(report.rows)


def _print_worst(rows: Sequence[Row]) -> None:
    found = sorted((ratio, row.layer.name, row.best_peer) for row in rows if (ratio := row.against_best()) is not None)
    listed = ", ".join(f"{name} {times(ratio)} ({peer})" for ratio, name, peer in found[:WORST])
    if listed:
        print(f"konv is lowest against the best peer at {listed}")


def _print_disagreements(rows: Sequence[Row]) -> None:
    for row in rows:
        where = f"{row.layer.suite} {row.layer.name}, {row.direction}"
        for name, difference in row.wrong.items():
            print(f"WRONG: {where}: {name} differs from konv by {difference:.1e} of the largest value")
        for name, message in row.failed.items():
            print(f"failed: {where}: {name}: {message}")


def print_choice(report: Report) -> None:
    """Print where another algorithm than the chosen one was the fastest, beyond what the spreads explain."""
    print(f"{report.title}\nMicroseconds with each algorithm forced.")
    names = [name for name in report.names if name != "konv"]
    missed, losses = [], []
    for row in report.rows:
        if not (timings := {name: row.timings[name] for name in names if name in row.timings}):
            continue
        best = min(timings, key=lambda name: timings[name].median)
        chosen = timings.get(row.chosen, row.timings["konv"])
        loss = chosen.median / timings[best].median
        losses.append(loss)
        if _differ(chosen, timings[best]):
            cells = (microseconds(timings[name].median) if name in timings else "-" for name in names)
            missed.append([f"{row.layer.suite} {row.layer.name}", row.direction, *cells, row.chosen, best, times(loss)])
    if missed:
        missed.sort(key=lambda line: -float(line[-1].rstrip("x")))
        head = ["layer", "direction", *map(heading, names), "chosen", "fastest", "slower by"]
        print_table("Not the fastest was chosen", head, missed, summary=0)
    if losses:
        print(f"The fastest was chosen, or one as fast, for {len(losses) - len(missed)} of {len(losses)}; ", end="")
        print(f"the choice costs {geometric_mean(losses) - 1:.1%} on average.")
    _print_disagreements(report.rows)


def _differ(a: Timing, b: Timing, scale: float = 1.0) -> bool:
    """Whether the quartiles of a and of b times `scale` leave a gap, and the medians differ noticeably."""
    apart = a.low > b.high * scale or a.high < b.low * scale
    return apart and abs(math.log(a.median / (b.median * scale))) > math.log1p(LEAST_CHANGE)


def _key(row: Row) -> tuple[str, str, str]:
    return row.layer.suite, row.layer.name, row.direction


def print_comparison(report: Report, old: Report) -> None:
    """Print how konv's times changed, as far as peers' times and the spreads do not explain it."""
    before = {_key(row): row for row in old.rows if row.timings}
    pairs = [(row, before[_key(row)]) for row in report.rows if _key(row) in before and row.timings]
    changes = [
        row.timings[name].median / was.timings[name].median
        for row, was in pairs
        for name in row.timings
        if name in was.timings and name not in OURS
    ]
    drift = median(changes) if changes else 1.0
    for name in ("threads", "dtype", "layout", "batch"):
        if report.method[name] != old.method[name]:
            print(f"The runs differ in {name}: {old.method[name]} then, {report.method[name]} now")
    ours = [name for name in report.ours if name in old.ours]
    lines, ratios, counts = [], [], dict.fromkeys(("faster", "slower", "same"), 0)
    for row, was in pairs:
        for name in ours:
            if name not in row.timings or name not in was.timings:
                continue
            now, then = row.timings[name], was.timings[name]
            ratio = now.median / then.median / drift
            verdict = "same" if not _differ(now, then, drift) else "slower" if ratio > 1 else "faster"
            counts[verdict] += 1
            ratios.append(ratio)
            shown = [f"{microseconds(t.median)} ±{t.spread:.0%}" for t in (then, now)]
            lines.append(
                [f"{row.layer.suite} {row.layer.name}", row.direction, name, *shown, f"{ratio - 1:+.1%}", verdict]
            )
    if not lines:
        print("No layer is in both runs.")
        return
    mean = ["geometric mean", "", "", "", "", f"{geometric_mean(ratios) - 1:+.1%}", ""]
    head = ["layer", "direction", "contender", "then", "now", "change", ""]
    print_table("Microseconds then and now", head, [*lines, mean])
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()), end="; ")
    new, gone = len(report.rows) - len(pairs), len(old.rows) - len(pairs)
    print(f"{counted(new, 'layer')} only in this run, {gone} only in the old one.")
    if changes:
        print(f"Changes are net of the machine's: peers' times are {drift - 1:+.1%} (median of {len(changes)}).")
    else:
        print("No peer is in both runs: how the machine changed is unknown.")
