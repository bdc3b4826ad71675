"""The command `konv bench`."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import konv
from konv._words import counted
from konv.bench.engine import Konv, algorithms, explain
from konv.bench.layers import Layer, load_suite, suites
from konv.bench.machine import machine, versions
from konv.bench.problem import DIRECTIONS, DTYPES, LAYOUTS, Contender, Problem
from konv.bench.registry import EVERYONE, blas_limit, contenders, installed
from konv.bench.report import Report
from konv.bench.tables import print_choice, print_comparison, print_report
from konv.bench.timing import PAUSE, TURN, Row, measure
from konv.cli.arguments import check_figure, check_target, positive_int
from konv.cli.progress import track

DESCRIPTION = """Time single convolutions: konv beside the libraries that are installed. Every round gives
each contender its turn; the figures are medians over the rounds. Exit status: 0, 1 where a result is wrong,
2 for arguments without sense."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `konv bench`."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="one that --list names, all, or a file of layers (default: layers)"
    )
    parser.add_argument("--list", action="store_true", help="list the suites and the contenders, and stop")
    parser.add_argument(
        "--contenders", metavar="A,B,...", help="who runs, of those that --list names (default: everyone installed)"
    )
    parser.add_argument(
        "--only", default="", metavar="A,B,...", help="time only layers with one of these texts in their names"
    )
    parser.add_argument(
        "--direction",
        choices=[*DIRECTIONS, "all"],
        help="forward, the gradient with respect to the input or the weight, or all of these "
        "(default: forward; both gradients for the suite gradients)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="of each contender (default: as many as konv takes by itself)"
    )
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="turns of each contender (default: 5)"
    )
    parser.add_argument("--batch", type=positive_int, metavar="N", help="images a call (default: what the suite says)")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="NCHW", help="of konv's arrays; peers keep their own (default: NCHW)"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of all arrays (default: float32)")
    parser.add_argument(
        "--choice", action="store_true", help="force each of konv's algorithms, and say where konv's choice was slower"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the figures; the name's end says the format (needs matplotlib: pip install 'konv[bench]')",
    )
    parser.add_argument("--compare", type=Path, metavar="FILE", help="say what changed since --json wrote FILE")
    parser.add_argument(
        "--load", type=Path, metavar="FILE", help="show the figures that --json wrote to FILE, and measure nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `konv bench`; see DESCRIPTION for the result."""
    if arguments.list:
        _print_list()
        return 0
    _check_files(arguments)
    old = _load("--compare", arguments.compare) if arguments.compare else None
    report = _load("--load", arguments.load) if arguments.load else _measure(arguments)
    if report.method["choice"]:
        print_choice(report)
    else:
        print_report(report)
    if arguments.json:
        report.save(arguments.json)
    if arguments.plot:
        from konv.bench.plot import plot

        plot(report, arguments.plot)
    if old:
        print()
        print_comparison(report, old)
    return int(any(row.wrong for row in report.rows))


def _load(option: str, path: Path) -> Report:
    try:
        return Report.load(path)
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}; expected a file that konv bench --json wrote"
        raise ValueError(f"{option}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _print_list() -> None:
    for name, about in suites().items():
        print(f"{name:20} {about}")
    print()
    for name, entry in EVERYONE.items():
        print(f"{name:20} {'installed' if entry.installed else f'pip install {entry.packages}'}")


def _check_files(arguments: argparse.Namespace) -> None:
    """Find out before the measuring what would be in the way after it."""
    if arguments.load and arguments.suites:
        raise ValueError("--load: the figures are from the file; leave the suites out")
    if arguments.plot:
        if find_spec("matplotlib") is None:
            raise ImportError("--plot draws with matplotlib: pip install 'konv[bench]'")
        if arguments.choice:
            raise ValueError("--plot: there is no picture of --choice")
        check_figure("--plot", arguments.plot)
    if arguments.json:
        check_target("--json", arguments.json)


def _jobs(arguments: argparse.Namespace) -> list[tuple[Layer, str]]:
    """The layers asked for, each with the directions asked for."""
    parts = arguments.only.split(",")
    jobs: list[tuple[Layer, str]] = []
    for suite in arguments.suites or ["layers"]:
        layers = [layer for layer in load_suite(suite) if any(part in layer.name for part in parts)]
        for name in dict.fromkeys(layer.suite for layer in layers):
            chosen = arguments.direction or ("gradients" if name == "gradients" else "forward")
            directions = {"all": DIRECTIONS, "gradients": DIRECTIONS[1:]}.get(chosen, (chosen,))
            own = [layer for layer in layers if layer.suite == name]
            jobs += [(layer, direction) for direction in directions for layer in own]
    if arguments.batch:
        jobs = [(replace(layer, N=arguments.batch), direction) for layer, direction in jobs]
    # Two passes have no gradient of their own, and no one algorithm.
    jobs = [job for job in jobs if not job[0].separable or (job[1] == "forward" and not arguments.choice)]
    if not jobs:
        raise ValueError("no layer to time is left by SUITE, --only, --direction and --choice")
    return list(dict.fromkeys(jobs))


def _algorithm_field(problem: Problem, threads: int) -> list[Contender]:
    return [Konv(threads), *(Konv(threads, name) for name in algorithms(problem))]


def _measure(arguments: argparse.Namespace) -> Report:
    threads = arguments.threads or konv.get_num_threads()
    jobs = _jobs(arguments)
    names = arguments.contenders.split(",") if arguments.contenders else installed()
    everyone = contenders(threads, ["konv"] if arguments.choice else names)
    limit = blas_limit(threads)
    if limit is None:
        print("NumPy's BLAS keeps its own number of threads; to set it: pip install 'konv[bench]'", file=sys.stderr)

    def timed(job: tuple[Layer, str]) -> Row:
        problem = Problem.random(*job, layout=arguments.layout, dtype=arguments.dtype)
        field_of = _algorithm_field(problem, threads) if arguments.choice else everyone
        row = measure(problem, field_of, arguments.rounds)
        row.chosen = "" if problem.layer.separable else explain(problem).chosen
        return row

    with limit or nullcontext():
        found = machine(threads, arguments.dtype)
        rows: list[Row] = []
        try:
            rows.extend(timed(job) for job in track(jobs, lambda job: f"{job[0].suite} {job[0].name}"))
        except KeyboardInterrupt:
            if not rows:
                raise
            print(f"interrupted after {len(rows)} of {counted(len(jobs), 'layer')}", file=sys.stderr)
    asked = [contender.name for contender in everyone]
    if arguments.choice:
        asked += dict.fromkeys(name for row in rows for name in row.timings if name not in asked)
    method = {
        "contenders": asked,
        **{name: getattr(arguments, name) for name in ("dtype", "layout", "rounds", "batch", "choice")},
        "threads": threads,
        "turn_seconds": TURN,
        "pause_seconds": PAUSE,
        "figure": "median and quartiles, over rounds, of the fastest call of a turn",
    }
    return Report(found, versions(asked), method, rows)


def main(argv: list[str] | None = None) -> int:
    """Run `python -m konv.bench`."""
    from konv.cli import main as run_command

    return run_command(["bench", *(sys.argv[1:] if argv is None else argv)])
