"""Tables and files of figures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from konv.bench import Layer
from konv.bench.timing import Timing, geometric_mean

from .cases import Case
from .contenders import KONV, PEERS
from .measure import TOLERANCE, Row

NAMES = (KONV, *PEERS)


@dataclass
class Report:
    """All figures of a run, and what they were measured with."""

    machine: dict[str, Any]
    method: dict[str, Any]
    ceilings: dict[str, float]
    judged: bool  # whether times are those of a GPU, which have aims
    rows: list[Row] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Report:
        """What `write` has written."""
        found = json.loads(path.read_text())
        rows = [_row(entry) for entry in found.pop("rows")]
        return cls(**found, rows=rows)

    @property
    def bad(self) -> bool:
        """Whether a result was wrong, or konv failed."""
        return any(row.wrong or KONV in row.failed for row in self.rows)


def _row(entry: dict[str, Any]) -> Row:
    case = entry["case"]
    layer = Layer(**{**case["layer"], "pad": tuple(case["layer"]["pad"])})
    timings = {name: Timing(**timing) for name, timing in entry["timings"].items()}
    return Row(Case(layer, case["operation"], case["dtype"]), timings, entry["errors"], entry["failed"])


def head(report: Report) -> str:
    """What stands above the table."""
    lines = [f"{name}: {value}" for name, value in {**report.machine, **report.method}.items()]
    shown = (f"{name} {rate / 1e12:.3g}" for name, rate in report.ceilings.items() if name != "bytes")
    lines.append(f"measured ceilings: {', '.join(shown)} TFLOP/s; {report.ceilings['bytes'] / 1e9:.4g} GB/s")
    lines.append("tolerance, of the largest value: " + ", ".join(f"{name} {t:g}" for name, t in TOLERANCE.items()))
    columns = [f"{'layer, batch, operation, number format, kind':<66}", *(f"{name:>12}" for name in NAMES)]
    return "\n".join([*lines, "", "".join(columns) + f"{'ratio':>8}{'TFLOP/s':>10}{'GB/s':>10}{'share':>7}"])


def line(row: Row, ceilings: dict[str, float]) -> str:
    """One case: microseconds of each, how many times as fast konv is as the fastest peer, and konv's rates."""

    def cell(name: str) -> str:
        if name in row.timings:
            return f"{1e6 * row.timings[name].median:.1f}"
        return "WRONG" if name in row.wrong else "failed" if name in row.failed else "-"

    text = f"{row.case.name:<66}" + "".join(f"{cell(name):>12}" for name in NAMES)
    if KONV in row.timings:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        text += f"{ratio:>8}{row.flops / 1e12:>10.3g}{row.bytes / 1e9:>10.4g}{row.share(ceilings):>7.0%}"
    for name in row.wrong:
        text += f"\n  WRONG: {name}: off by {row.errors[name]:.2g} of the largest value"
    return text + "".join(f"\n  failed: {name}: {reason}" for name, reason in row.failed.items())


def summary(report: Report) -> str:
    """Geometric means of each kind of layer, operation and number format."""
    timed = [row for row in report.rows if KONV in row.timings]
    lines = [f"{'geometric means':<40}{'cases':>6}{'ratio':>8}{'least':>8}{'share':>7}" + "   aim" * report.judged]
    for group in sorted({row.case.group for row in timed}):
        some = [row for row in timed if row.case.group == group]
        ratios = [row.ratio for row in some if row.ratio is not None]
        shares = geometric_mean([row.share(report.ceilings) for row in some])
        mean = geometric_mean(ratios) if ratios else None
        shown = f"{mean:>8.2f}{min(ratios):>8.2f}" if mean is not None else f"{'-':>8}{'-':>8}"
        aim = some[0].case.aim if report.judged else None
        verdict = "" if aim is None or mean is None else f"{aim:.1f}, {'met' if mean >= aim else 'missed'}"
        lines.append(f"{' '.join(group):<40}{len(some):>6}{shown}{shares:>7.0%}   {verdict}".rstrip())
    return "\n".join(lines)
