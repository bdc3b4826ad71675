"""Arguments, and the walk through all cases."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from konv.cuda import _module

from . import cases, machines, report
from .measure import measure


def _words(choices: Sequence[str]) -> Any:
    def parse(text: str) -> list[str]:
        found = text.split(",")
        if unknown := sorted(set(found) - set(choices)):
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(choices)}, got {unknown[0]}")
        return found

    return parse


def parser() -> argparse.ArgumentParser:
    """The options; docs/benchmarking.md explains them."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    made.add_argument(
        "--suite", default=list(cases.SUITES), type=lambda text: text.split(","),
        help="comma-separated: suites of `konv bench`, `pooling`, files of layers; by default "
        + ",".join(cases.SUITES),
    )  # fmt: skip
    made.add_argument(
        "--batch", type=lambda text: [int(word) for word in text.split(",")], help="by default 32,128; simulated 1"
    )
    made.add_argument("--dtype", type=_words(cases.DTYPES), default=list(cases.DTYPES))
    made.add_argument("--operation", type=_words(cases.OPERATIONS), default=list(cases.OPERATIONS))
    made.add_argument("--only", default="", help="cases whose line holds all these words or parts of words")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--no-flush", action="store_true", help="leave operands in the second-level cache between calls")
    made.add_argument("--simulator", action="store_true", help="shrunken layers on the module for tests; no true times")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    made.add_argument("--load", type=Path, metavar="FILE", help="show what --json wrote, and measure nothing")
    return made


def use_simulator() -> None:
    """Make konv.cuda use the simulated module that KONV_CUDA_SIMULATOR names, where none is in use."""
    path = os.environ.get("KONV_CUDA_SIMULATOR")
    if _module.find() is not None or not path:
        return
    spec = importlib.util.spec_from_file_location("konv._cuda", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _module._found = module


def _method(machine: machines.Machine, rounds: int) -> dict[str, Any]:
    cache = "flushed before each call" if machine.flush else "not flushed between calls"
    return {
        "method": f"microseconds a call by {machine.clock}: medians over {rounds} rounds of the medians of turns",
        "data": f"normal random numbers; second-level cache {cache}",
        "memory": "konv and torch channels last, torch_first channels first; ratio: fastest peer / konv",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where a result is wrong or konv fails, 2 where there is nothing to measure with."""
    options = parser().parse_args(arguments)
    if options.load:
        old = report.Report.read(options.load)
        print(report.head(old), *(report.line(row, old.ceilings) for row in old.rows), sep="\n")
        print(f"\n{report.summary(old)}")
        return int(old.bad)
    if options.simulator:
        use_simulator()
    try:
        machine = machines.find(simulator=options.simulator, flush=not options.no_flush)
        batches = options.batch or ([1] if options.simulator else cases.BATCHES)
        every = cases.cases(options.suite, batches, options.dtype, options.operation, small=options.simulator)
        words = options.only.split()
        chosen = [case for case in every if all(word in case.name for word in words)]
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if not chosen:
        print("no case is left", file=sys.stderr)
        return 2
    method = _method(machine, options.rounds)
    found = report.Report(machine.describe(), method, machine.ceilings(), judged=not options.simulator)
    print(report.head(found), flush=True)
    try:
        for case in chosen:
            found.rows.append(measure(case, machine, options.rounds))
            print(report.line(found.rows[-1], found.ceilings), flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    print(f"\n{report.summary(found)}")
    if options.json:
        found.write(options.json)
    return int(found.bad)
