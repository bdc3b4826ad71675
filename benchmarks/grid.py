"""A walk over dims x stride x dilation x groups x padding mode x dtype x layout x direction, on mid-sized problems.

Each cell is timed beside PyTorch on the same memory and beside im2col with NumPy's BLAS: rounds in which each has its
turn, the median of their best calls. `python benchmarks/grid.py --json FILE` writes all cells, `--markdown` prints the
tables of docs/performance.md, `--only TEXT` walks the cells whose names hold all words of TEXT.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.nn import functional

import konv

AXES: dict[str, tuple[Any, ...]] = {
    "dims": (1, 2, 3),
    "stride": (1, 2),
    "dilation": (1, 2),
    "groups": ("dense", "grouped", "depthwise"),
    "mode": ("zeros", "reflect", "replicate", "circular"),
    "dtype": ("float32", "float64", "float16", "bfloat16"),
    "layout": ("first", "last"),
    "direction": ("forward", "input", "weight"),
}
DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
SIZES = {1: (4, 64, (1024,)), 2: (1, 64, (28, 28)), 3: (1, 32, (12, 14, 14))}  # batch, channels, spatial
GROUPS = {"dense": 1, "grouped": 4}
LAYOUTS = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
PAUSE, TURN = 0.002, 0.012  # seconds before a turn, and of one
KERNEL = 3


@dataclass
class Cell:
    """One problem, and the seconds that a call takes of each contender."""

    dims: int
    stride: int
    dilation: int
    groups: str
    mode: str
    dtype: str
    layout: str
    direction: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The cell's place on each axis."""
        return (
            f"{self.dims}d s{self.stride} d{self.dilation} {self.groups} {self.mode} {self.dtype} {self.layout} "
            f"{self.direction}"
        )

    def over(self, contender: str) -> float | None:
        """How many times as long as konv's a contender's call takes."""
        other = self.seconds.get(contender)
        return None if other is None else other / self.seconds["konv"]


class Arrays:
    """The operands of a cell, channels-first, and what describes the convolution."""

    def __init__(self, cell: Cell) -> None:
        n, c, size = SIZES[cell.dims]
        c = 2 * c if cell.groups == "depthwise" else c
        self.groups = c if cell.groups == "depthwise" else GROUPS[cell.groups]
        self.pad = cell.dilation * (KERNEL // 2)
        out = [(s + 2 * self.pad - cell.dilation * (KERNEL - 1) - 1) // cell.stride + 1 for s in size]
        rng = np.random.default_rng(0)
        shapes = (n, c, *size), (c, c // self.groups, *[KERNEL] * cell.dims), (n, c, *out)
        self.x, self.w, self.gy = (rng.standard_normal(shape).astype(DTYPES[cell.dtype]) for shape in shapes)


def konv_call(cell: Cell, a: Arrays) -> Callable[[], Any]:
    """The functional call."""
    x, gy = a.x, a.gy
    options: dict[str, Any] = {"stride": cell.stride, "padding": a.pad, "dilation": cell.dilation, "groups": a.groups}
    options["padding_mode"] = cell.mode
    if cell.layout == "last":
        x, gy = (np.ascontiguousarray(np.moveaxis(v, 1, -1)) for v in (x, gy))
        options["layout"] = LAYOUTS[cell.dims]
    name = f"conv{cell.dims}d"
    if cell.direction == "forward":
        conv = getattr(konv, name)
        return lambda: conv(x, a.w, **options)
    gradient = getattr(konv.grad, f"{name}_{cell.direction}")
    if cell.direction == "input":
        return lambda: gradient(x.shape, a.w, gy, **options)
    return lambda: gradient(x, a.w.shape, gy, **options)


def tensor(array: Any) -> torch.Tensor:
    """PyTorch's view of an array."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def torch_call(cell: Cell, a: Arrays) -> Callable[[], Any]:
    """PyTorch on the same memory: of channels-last arrays a view that is channels-first."""
    x, w, gy = (tensor(v) for v in (a.x, a.w, a.gy))
    if cell.layout == "last":
        x, gy = (v.movedim(1, -1).contiguous().movedim(-1, 1) for v in (x, gy))
    dims = cell.dims
    numbers = [cell.stride] * dims, [a.pad if cell.mode == "zeros" else 0] * dims, [cell.dilation] * dims
    conv = getattr(functional, f"conv{dims}d")

    def padded(x: torch.Tensor) -> torch.Tensor:
        return x if cell.mode == "zeros" else functional.pad(x, [a.pad] * (2 * dims), mode=cell.mode)

    if cell.direction == "forward":
        return lambda: conv(padded(x), w, None, *numbers, a.groups)
    mask = [cell.direction == "input", cell.direction == "weight", False]

    def backward(x: torch.Tensor) -> Any:
        return torch.ops.aten.convolution_backward(
            gy, x, w, None, *numbers, False, [0] * dims, a.groups, mask
        )[mask.index(True)]  # fmt: skip

    if cell.direction == "weight" or cell.mode == "zeros":
        return lambda: backward(padded(x))
    leaf = x.detach().requires_grad_()
    wide = padded(leaf)
    detached = wide.detach()

    def folded() -> Any:
        with torch.no_grad():
            gradient = backward(detached)
        return torch.autograd.grad(wide, leaf, gradient, retain_graph=True)

    return folded


def numpy_call(cell: Cell, a: Arrays) -> Callable[[], Any] | None:
    """im2col, then a matrix product by BLAS; of 16-bit arrays none, as BLAS has no such product."""
    if np.dtype(DTYPES[cell.dtype]).itemsize < 4:
        return None
    n, c, *size = a.x.shape
    out, dims, g = a.gy.shape[2:], cell.dims, a.groups
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    border = ((0, 0), (0, 0), *[(a.pad, a.pad)] * dims)
    span = cell.dilation * (KERNEL - 1) + 1
    w = a.w.reshape(g, c // g, -1)
    gy = a.gy.reshape(n, g, c // g, -1)

    def columns() -> Any:
        windows = sliding_window_view(np.pad(a.x, border, mode=modes[cell.mode]), (span,) * dims, range(2, 2 + dims))  # type: ignore[call-overload]
        steps = (slice(None, None, cell.stride),) * dims + (slice(None, None, cell.dilation),) * dims
        windows = windows[(slice(None), slice(None), *steps)]
        order = (0, 1, *range(2 + dims, 2 + 2 * dims), *range(2, 2 + dims))
        return windows.transpose(order).reshape(n, g, w.shape[2], -1)

    def scattered() -> Any:
        parts = (w.swapaxes(1, 2) @ gy).reshape(n, c, *[KERNEL] * dims, *out)
        total = np.zeros([n, c, *[s + 2 * a.pad for s in size]], a.x.dtype)
        for tap in itertools.product(range(KERNEL), repeat=dims):
            starts = [t * cell.dilation for t in tap]
            window = [slice(b, b + (o - 1) * cell.stride + 1, cell.stride) for b, o in zip(starts, out, strict=True)]
            total[(slice(None), slice(None), *window)] += parts[(slice(None), slice(None), *tap)]
        return total[(slice(None), slice(None), *[slice(a.pad, -a.pad)] * dims)]

    if cell.direction == "forward":
        return lambda: w @ columns()
    if cell.direction == "weight":
        return lambda: (gy @ columns().swapaxes(2, 3)).sum(0)
    return scattered if cell.mode == "zeros" else None


def turn(run: Callable[[], Any]) -> float:
    """The best of the calls that a turn has time for, in seconds."""
    time.sleep(PAUSE)
    best, end = math.inf, time.perf_counter() + TURN
    while best == math.inf or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


def measure(cell: Cell, rounds: int) -> None:
    """Fill in the cell's seconds."""
    arrays = Arrays(cell)
    made = {"konv": konv_call(cell, arrays), "torch": torch_call(cell, arrays), "numpy": numpy_call(cell, arrays)}
    calls = {name: call for name, call in made.items() if call}
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            turns[name].append(turn(call))
    cell.seconds = {name: statistics.median(times) for name, times in turns.items()}


def cells(only: str = "") -> list[Cell]:
    """All cells whose names hold every word."""
    every = (Cell(*place) for place in itertools.product(*AXES.values()))
    return [cell for cell in every if all(word in cell.name.split() for word in only.split())]


def mean(values: Iterable[float | None]) -> float:
    """The geometric mean of those that are there."""
    logs = [math.log(v) for v in values if v is not None]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def _paired(found: list[Cell], axis: str, base: str) -> dict[str, list[float]]:
    """Of cells that differ along one axis alone, konv's time over that at `base`."""

    def key(cell: Cell) -> tuple[Any, ...]:
        return tuple(getattr(cell, name) for name in AXES if name != axis)

    bases = {key(cell): cell for cell in found if getattr(cell, axis) == base}
    ratios: dict[str, list[float]] = {}
    for cell in found:
        if getattr(cell, axis) != base and key(cell) in bases:
            ratio = cell.seconds["konv"] / bases[key(cell)].seconds["konv"]
            ratios.setdefault(getattr(cell, axis), []).append(ratio)
    return ratios


def tables(found: list[Cell]) -> str:
    """Markdown: means along each axis, what was promised, and the cells that fall short."""
    lines = ["| axis | value | cells | PyTorch / konv | least | NumPy / konv |", "|---|---|---|---|---|---|"]
    for axis, values in AXES.items():
        for value in values:
            some = [cell for cell in found if getattr(cell, axis) == value]
            if some:
                ratios = [ratio for cell in some if (ratio := cell.over("torch"))]
                numpy = mean(cell.over("numpy") for cell in some)
                lines.append(
                    f"| {axis} | {value} | {len(some)} | {mean(ratios):.2f} | {min(ratios):.2f} | {numpy:.1f} |"
                )
    ratios = [ratio for cell in found if (ratio := cell.over("torch"))]
    slower = sorted((cell for cell in found if cell.over("torch") < 1), key=lambda cell: cell.over("torch"))  # type: ignore
    lines += ["", f"All {len(found)} cells: {mean(ratios):.2f} times PyTorch's speed; {len(slower)} below it.", ""]
    for title, axis, base in (
        ("channels-last over channels-first", "layout", "first"),
        ("over float32", "dtype", "float32"),
        ("over forward", "direction", "forward"),
        ("over zeros", "mode", "zeros"),
    ):
        for value, times in _paired(found, axis, base).items():
            lines.append(f"- {value}, {title}: {mean(times):.2f} (most {max(times):.2f}, least {min(times):.2f})")
    lines += ["", *(f"- {cell.name}: {cell.over('torch'):.2f}" for cell in slower)]
    return "\n".join(lines)


def main() -> None:
    """Walk, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="words that cells' names must hold")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=konv.get_num_threads())
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--load", type=Path, nargs="+", metavar="FILE", help="print the tables of FILEs' medians")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.load:
        runs = [json.loads(path.read_text()) for path in arguments.load]
        found = [Cell(**row) for row in runs[0]]
        for i, cell in enumerate(found):
            each = [run[i]["seconds"] for run in runs]
            cell.seconds = {name: statistics.median(s[name] for s in each) for name in each[0]}
    else:
        konv.set_num_threads(arguments.threads)
        torch.set_num_threads(arguments.threads)
        found = cells(arguments.only)
        for i, cell in enumerate(found):
            measure(cell, arguments.rounds)
            if not arguments.markdown:
                times = "  ".join(f"{name} {1e6 * s:.0f}" for name, s in cell.seconds.items())
                print(f"{i + 1}/{len(found)} {cell.name:55} {cell.over('torch'):5.2f}  {times}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cell) for cell in found]))
    print(tables(found))


if __name__ == "__main__":
    main()
