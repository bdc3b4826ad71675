"""A run as a picture: each layer's ratio to the best peer, and a roofline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from konv._words import counted
from konv.bench.layers import Layer
from konv.bench.report import Report
from konv.bench.timing import Row, geometric_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FASTER, SLOWER, PEER = "#1a7f37", "#cf222e", "#6e7781"
KINDS = {
    "dense": "#0969da",
    "pointwise": "#8250df",
    "grouped": "#bf8700",
    "depthwise": "#1a7f37",
    "image filter": "#bf3989",
}
# With more layers than this a suite is one line of dots.
MOST_BARS = 70


def kind(layer: Layer) -> str:
    """Return which of KINDS a layer is."""
    if layer.is_filter:
        return "image filter"
    if layer.groups == layer.C == layer.K:
        return "depthwise"
    if layer.groups > 1:
        return "grouped"
    return "pointwise" if layer.R == layer.S == 1 else "dense"


def plot(report: Report, path: Path) -> None:
    """Save the picture; the file's suffix says the format.

    Parameters
    ----------
    report : Report
        What was measured.
    path : Path
        The file.

    Raises
    ------
    ValueError
        If no row can be drawn.
    """
    from matplotlib.figure import Figure

    rows = [row for row in report.rows if row.against_best() is not None]
    if not rows:
        raise ValueError("--plot: there is no layer that a peer computes too")
    bars = len(rows) <= MOST_BARS
    lines = len(rows) + len(_groups(rows)) if bars else len(_groups(rows))
    height = max(6.6, 1.6 + (0.21 if bars else 0.45) * lines)
    figure = Figure(figsize=(15, height), dpi=110, layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    figure.suptitle(f"konv {report.versions['konv']}: {report.title}", fontsize=13, weight="bold")
    if bars:
        _draw_bars(left, rows, report.ours)
    else:
        _draw_dots(left, rows)
    _draw_roofline(right, rows, report)
    figure.savefig(path)


def _groups(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by suite and direction."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(f"{row.layer.suite}, {row.direction}", []).append(row)
    return found


def _ratios(rows: list[Row], ours: str = "konv") -> list[float]:
    return [ratio for row in rows if (ratio := row.against_best(ours)) is not None]


def _label_ratios(axes: Axes, rows: list[Row]) -> None:
    """Give the horizontal axis of ratios a logarithmic scale with plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    mean = geometric_mean(_ratios(rows))
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high > 20 * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [step * 10.0**power for power in range(-4, 5) for step in steps]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    axes.axvline(1, color="black", linewidth=1)
    axes.grid(axis="x", color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(f"konv against the fastest other library: {mean:.2f}x as fast (geometric mean)", fontsize=11)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_bars(axes: Axes, rows: list[Row], ours: list[str]) -> None:
    """Draw a bar for each layer, with its spread and the name of the best peer."""
    labels, places, line = [], [], 0
    marks = [ratio for row in rows for ratio in _marks(row)]
    lowest, highest = min(0.8, *marks), max(1.25, *marks)
    for title, group in _groups(rows).items():
        mean = geometric_mean(_ratios(group))
        labels.append(f"{title}: {mean:.2f}x")
        places.append(line)
        line += 1
        for row in group:
            _draw_bar(axes, row, line, highest)
            labels.append(row.layer.name)
            places.append(line)
            if "plan" in ours and (planned := row.against_best("plan")) is not None:
                axes.plot(planned, line, "D", color="black", markerfacecolor="white", markersize=4)
            line += 1
    axes.set_yticks(places, labels, fontsize=8)
    for text in axes.get_yticklabels():
        if ": " in text.get_text():
            text.set_fontweight("bold")
    axes.set_ylim(line - 0.3, -0.7)
    axes.set_xlim(lowest / 1.05, highest * (highest / lowest) ** 0.35)
    axes.tick_params(axis="y", length=0)
    _label_ratios(axes, rows)
    axes.set_xlabel("times as fast as the best peer, which is named; whiskers: quartiles" + _planned(ours))


def _planned(ours: list[str]) -> str:
    return "; diamonds: with a plan" if "plan" in ours else ""


def _span(row: Row) -> tuple[float, float]:
    """Return the ratio to the best peer at unlike quartiles."""
    mine, theirs = row.timings["konv"], row.timings[row.best_peer or "konv"]
    return theirs.low / mine.high, theirs.high / mine.low


def _marks(row: Row) -> tuple[float, ...]:
    """Return all ratios that are drawn in a row."""
    return (*_span(row), row.against_best("plan") or 1.0)


def _draw_bar(axes: Axes, row: Row, line: int, highest: float) -> None:
    best = row.best_peer
    assert best is not None  # rows without are not drawn
    mine, theirs = row.timings["konv"], row.timings[best]
    ratio = theirs.median / mine.median
    color = FASTER if ratio >= 1 else SLOWER
    axes.barh(line, ratio - 1, left=1, color=color, alpha=0.75, height=0.7)
    axes.plot(_span(row), [line, line], color="black", linewidth=1)
    axes.text(highest * 1.05, line, f"{ratio:.2f}x  {best}", fontsize=7.5, va="center", color=color)


def _draw_dots(axes: Axes, rows: list[Row]) -> None:
    """Draw a line of dots for each suite, and its mean."""
    groups = _groups(rows)
    rng = np.random.default_rng(0)
    for line, group in enumerate(groups.values()):
        ratios = np.array(_ratios(group))
        height = line + rng.uniform(-0.22, 0.22, len(ratios))
        axes.scatter(ratios, height, s=14, alpha=0.6, linewidth=0, c=np.where(ratios >= 1, FASTER, SLOWER))
        axes.plot([geometric_mean(list(ratios))] * 2, [line - 0.35, line + 0.35], color="black", linewidth=2)
    labels = [
        f"{name}\n{counted(len(group), 'layer')}: {geometric_mean(_ratios(group)):.2f}x"
        for name, group in groups.items()
    ]
    axes.set_yticks(range(len(groups)), labels, fontsize=9)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    _label_ratios(axes, rows)
    axes.set_xlabel("times as fast as the best peer; a dot a layer, a stroke at the geometric mean")


def _draw_roofline(axes: Axes, rows: list[Row], report: Report) -> None:
    """Draw each layer's rate over its arithmetic intensity, below what the machine can do."""
    from matplotlib.ticker import FuncFormatter, LogFormatter

    peak, read = report.machine["peak_gflops"], report.machine["bandwidth_gb"]
    itemsize = np.dtype(report.method["dtype"]).itemsize
    intensity = [row.layer.flops / (row.layer.elements * itemsize) for row in rows]
    for row, x in zip(rows, intensity, strict=True):
        best = row.best_peer
        assert best is not None
        mine, theirs = row.gflops(), row.gflops(best)
        axes.plot([x, x], [mine, theirs], color=PEER, linewidth=0.6, alpha=0.5, zorder=1)
        axes.plot(x, theirs, "o", color=PEER, markerfacecolor="none", markersize=4, alpha=0.7, zorder=2)
        axes.plot(x, mine, "o", color=KINDS[kind(row.layer)], markersize=5.5, zorder=3)
    for name, color in KINDS.items():
        if any(kind(row.layer) == name for row in rows):
            axes.plot([], [], "o", color=color, markersize=5.5, label=f"konv, {name}")
    axes.plot([], [], "o", color=PEER, markerfacecolor="none", markersize=4, label="best peer")
    ridge = peak / read
    ends = np.array([min(*intensity, ridge) / 1.5, ridge, max(*intensity, ridge) * 1.5])
    bounds = f"{peak:.0f} GFLOP/s of multiply-adds,\n{read:.0f} GB/s from memory"
    axes.plot(ends, np.minimum(peak, ends * read), color="black", linewidth=1.2, zorder=0, label=bounds)
    axes.set(xscale="log", yscale="log", anchor="N", box_aspect=0.7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    axes.set_xlabel("FLOPs of the direct convolution for each byte of input, weight and output")
    axes.set_ylabel("GFLOP/s")
    axes.set_title("Rate and its bounds\n(caches may pass the sloping one, fewer FLOPs the level one)", fontsize=11)
    axes.grid(color="#d0d7de", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, fontsize=9, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
