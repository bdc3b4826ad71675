"""A walk over dims x pooling x window x dtype x layout x direction, on a million elements: more than L2 caches hold.

Each cell is timed beside PyTorch on the same memory, and beside a copy that reads and writes as many bytes in all as
the pooling has to, as benchmarks/grid.py does. `python benchmarks/pooling_grid.py --json FILE` writes all cells,
`--load FILE` prints the tables of such a file, `--only TEXT` walks the cells whose names hold all words of TEXT.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid import DTYPES, LAYOUTS, mean, tensor, turn
from torch.nn import functional

import konv

AXES: dict[str, tuple[Any, ...]] = {
    "dims": (1, 2, 3),
    "kind": ("max", "indices", "avg", "adaptive_avg", "global_avg", "global_max"),
    "window": ("2s2", "3s2", "3s1", "6", "1"),
    "dtype": ("float32", "float64", "float16", "bfloat16"),
    "layout": ("first", "last"),
    "direction": ("forward", "gradient"),
}
WINDOWS = {"2s2": (2, 2, 0), "3s2": (3, 2, 0), "3s1": (3, 1, 1)}  # size, stride, padding
PARTS = {"adaptive_avg": "6", "global_avg": "1", "global_max": "1"}  # what adaptive poolings cut each axis into
SIZES = {1: (4, 64, (4096,)), 2: (1, 256, (60, 60)), 3: (1, 64, (16, 30, 32))}  # batch, channels, spatial
COPY_LIMIT = 1.3


@dataclass
class Cell:
    """One problem, and the seconds that a call takes of each contender."""

    dims: int
    kind: str
    window: str
    dtype: str
    layout: str
    direction: str
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The cell's place on each axis."""
        return f"{self.dims}d {self.kind} {self.window} {self.dtype} {self.layout} {self.direction}"

    @property
    def exists(self) -> bool:
        """Whether the window is one of this pooling, and PyTorch has it; gradients of maxima always take indices."""
        if self.kind == "indices" and self.direction == "gradient":
            return False
        if (self.dims, self.kind) == (3, "avg") and self.dtype in ("float16", "bfloat16"):
            return False
        return self.window == PARTS[self.kind] if self.kind in PARTS else self.window in WINDOWS

    def over(self, contender: str) -> float:
        """How many times as long as konv's a contender's call takes."""
        return self.seconds[contender] / self.seconds["konv"]


def contenders(cell: Cell) -> dict[str, Callable[[], Any]]:
    """A call of each, on the same memory: to PyTorch channels-last arrays are views that are channels-first."""
    n, c, size = SIZES[cell.dims]
    maxima = cell.kind in ("max", "indices", "global_max")
    prefix, parts = ("adaptive_" if cell.kind in PARTS else ""), PARTS.get(cell.kind)
    name = f"{prefix}{'max' if maxima else 'avg'}_pool{cell.dims}d"
    window: Any = (int(parts),) if parts else WINDOWS[cell.window]
    options = {"layout": LAYOUTS[cell.dims]} if cell.layout == "last" else {}
    wanted: dict[str, Any] = {"return_indices": True} if maxima else {}
    given = wanted if cell.kind == "indices" else {}

    x = np.random.default_rng(0).standard_normal((n, c, *size)).astype(DTYPES[cell.dtype])
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if options else x
    pool, gradient = getattr(konv, name), getattr(konv.grad, name)
    torch_pool = getattr(functional, name)
    found = pool(x, *window, **wanted, **options)
    y, index = found if maxima else (found, None)
    view = tensor(x).movedim(-1, 1) if options else tensor(x)
    moved = x.nbytes + y.nbytes
    if index is not None and (cell.kind == "indices" or cell.direction == "gradient"):
        moved += index.nbytes
    source, target = np.zeros(moved // 2, np.uint8), np.zeros(moved // 2, np.uint8)
    calls: dict[str, Callable[[], Any]] = {"copy": lambda: np.copyto(target, source)}
    if cell.direction == "forward":
        calls["konv"] = lambda: pool(x, *window, **given, **options)
        calls["torch"] = lambda: torch_pool(view, *window, **given)
        return calls
    if maxima:
        calls["konv"] = lambda: gradient(y, index, x.shape, **options)
    else:
        calls["konv"] = lambda: gradient(y, x.shape, *(() if parts else window), **options)
    leaf = view.requires_grad_()
    pooled = torch_pool(leaf, *window)
    above = tensor(y).movedim(-1, 1) if options else tensor(y)
    calls["torch"] = lambda: torch.autograd.grad(pooled, leaf, above, retain_graph=True)
    return calls


def measure(cell: Cell, rounds: int) -> None:
    """Fill in the cell's seconds."""
    calls = contenders(cell)
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            turns[name].append(turn(call))
    cell.seconds = {name: statistics.median(times) for name, times in turns.items()}


def tables(found: list[Cell]) -> str:
    """Markdown: means along each axis, and the cells that fall short of PyTorch or of a copy."""
    lines = ["| axis | value | cells | PyTorch / konv | least | konv / copy | most |", "|---|---|---|---|---|---|---|"]
    groups = [("all", "", found)]
    groups += [(axis, v, [c for c in found if getattr(c, axis) == v]) for axis, values in AXES.items() for v in values]
    for axis, value, some in groups:
        if some:
            ratios, copies = [c.over("torch") for c in some], [1 / c.over("copy") for c in some]
            numbers = (mean(ratios), min(ratios), mean(copies), max(copies))
            lines.append(f"| {axis} | {value} | {len(some)} | " + " | ".join(f"{v:.2f}" for v in numbers) + " |")
    slower = sorted((c for c in found if c.over("torch") < 1), key=lambda c: c.over("torch"))
    heavy = sorted((c for c in found if 1 / c.over("copy") > COPY_LIMIT), key=lambda c: c.over("copy"))
    lines += ["", f"Of {len(found)} cells {len(slower)} are slower than PyTorch:", ""]
    lines += [f"- {c.name}: {c.over('torch'):.2f}" for c in slower]
    lines += ["", f"{len(heavy)} take more than {COPY_LIMIT} times as long as a copy:", ""]
    return "\n".join(lines + [f"- {c.name}: {1 / c.over('copy'):.2f}" for c in heavy])


def main() -> None:
    """Walk, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="words that cells' names must hold")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--load", type=Path, metavar="FILE", help="print the tables of a file's cells")
    arguments = parser.parse_args()
    if arguments.load:
        found = [Cell(**row) for row in json.loads(arguments.load.read_text())]
    else:
        konv.set_num_threads(arguments.threads)
        torch.set_num_threads(arguments.threads)
        every = (Cell(*place) for place in itertools.product(*AXES.values()))
        words = arguments.only.split()
        found = [cell for cell in every if cell.exists and all(word in cell.name.split() for word in words)]
        for i, cell in enumerate(found):
            measure(cell, arguments.rounds)
            times = "  ".join(f"{name} {1e6 * s:.0f}" for name, s in cell.seconds.items())
            print(f"{i + 1}/{len(found)} {cell.name:50} {cell.over('torch'):5.2f}  {times}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cell) for cell in found]))
    print(tables(found))


if __name__ == "__main__":
    main()
