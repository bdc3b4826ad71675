"""Timing one case: results are compared with float64 first, then each contender has its turn, round by round."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from konv.bench.timing import Timing

from .cases import Case
from .contenders import KONV, PEERS, Arrays, Call, calls, truth
from .machines import Machine, number_format

# The largest error of a result, relative to the largest value of the result in float64. The first three round each
# operand or the result to 11, 8 and 11 bits; sums are in float32 everywhere.
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.2e-2, "tf32": 2e-3, "float32": 1e-4}
TURN = 0.02  # seconds


@dataclass
class Row:
    """The figures of one case.

    Attributes
    ----------
    timings
        Seconds a call, by contender.
    errors
        Of everyone's result, relative to the largest value.
    failed
        Contenders that raised an error: what they said.
    """

    case: Case
    timings: dict[str, Timing] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Whose result is further from the truth than the tolerance; they are not timed."""
        return [name for name, error in self.errors.items() if not error <= TOLERANCE[self.case.dtype]]

    @property
    def ratio(self) -> float | None:
        """How many times as fast as the fastest peer konv is."""
        peers = [self.timings[name].median for name in PEERS if name in self.timings]
        return min(peers) / self.timings[KONV].median if peers and KONV in self.timings else None

    @property
    def flops(self) -> float:
        """FLOPs of the direct convolution a second, by konv."""
        return self.case.flops / self.timings[KONV].median

    @property
    def bytes(self) -> float:
        """Bytes a second that must at least move, by konv."""
        return self.case.bytes / self.timings[KONV].median

    def share(self, ceilings: dict[str, float]) -> float:
        """Of the ceiling that is nearer: of a matrix product, or of a copy."""
        return max(self.flops / ceilings[self.case.dtype], self.bytes / ceilings["bytes"])


def error_of(result: Any, exact: Any) -> float:
    """The largest difference, relative to the largest value; infinite for NaN or another shape."""
    if result.shape != exact.shape:
        return math.inf
    largest = float(exact.abs().max()) or 1.0
    error = float((result.double() - exact).abs().max()) / largest
    return math.inf if math.isnan(error) else error


def _prepared(row: Row, machine: Machine) -> dict[str, Call]:
    """Everyone whose result is right."""
    arrays = Arrays.random(row.case, machine)
    exact = truth(row.case, arrays)
    ready = {}
    for name, prepare in calls(row.case, arrays, machine).items():
        try:
            run = prepare()
            result = run()
            row.errors[name] = error_of(machine.tensor(result) if name == KONV else result, exact)
        except Exception as error:  # what one cannot compute others may
            row.failed[name] = f"{type(error).__name__}: {error}"
            continue
        if name not in row.wrong:
            ready[name] = run
    return ready


def measure(case: Case, machine: Machine, rounds: int) -> Row:
    """Check everyone's result, then time those that are right."""
    row = Row(case)
    with torch.no_grad(), number_format(case.dtype):
        ready = _prepared(row, machine)
        turns: dict[str, list[float]] = {name: [] for name in ready}
        number = {}
        for name, run in ready.items():
            machine.seconds(run, 1)  # cuDNN chooses its algorithm at the first call
            number[name] = max(1, min(machine.most_calls, int(TURN / max(machine.seconds(run, 1)[0], 1e-9))))
        for _ in range(rounds):
            for name, run in ready.items():
                turns[name].append(median(machine.seconds(run, number[name])))
    row.timings = {name: Timing.of(found) for name, found in turns.items()}
    return row
