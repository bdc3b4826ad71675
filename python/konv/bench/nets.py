"""The command `konv bench nets`: whole networks, and steps of training them."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

import konv
from konv._words import counted
from konv.bench.machine import machine, versions
from konv.bench.nets_report import NetworkReport, NetworkRow, print_networks
from konv.bench.network_runtimes import RUNTIMES, choose
from konv.bench.problem import Array
from konv.bench.timing import TURN, Timing, largest_difference
from konv.bench.training import STEPS, TRAININGS
from konv.bench.worker import PAUSE, ContenderError, Worker
from konv.cli.arguments import check_target, positive_int
from konv.cli.progress import track

DESCRIPTION = """Time whole networks with random weights: konv beside the runtimes that are installed, each in a
process of its own. Every round gives each its turn; the figures are medians over the rounds. Exit status: 0, 1 where
a result is wrong or a contender fails, 2 for arguments without sense."""

# Calls before the clock starts, whose results are compared: the first also makes what is made lazily.
CALLS = 2
# Steps of training whose losses are compared; the second and third say whether gradients and updates are right.
STEPS_COMPARED = 3
FIRST_LOSS_DIFFERENCE = 1e-4

T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `konv bench nets`."""
    parser.description = DESCRIPTION
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="such as resnet50 or mobilenet_v1 (default: all)")
    parser.add_argument("--training", action="store_true", help="time steps of training instead, beside PyTorch")
    parser.add_argument(
        "--batch",
        type=positive_int,
        nargs="+",
        metavar="N",
        help="images a call (default: 1 and 8; of training: the network's own)",
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        nargs="+",
        metavar="N",
        help="of each contender (default: 1, and as many as konv takes by itself)",
    )
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="turns of each contender (default: 5)"
    )
    parser.add_argument(
        "--precision",
        choices=("high", "medium"),
        help="medium: time konv with that precision too; high: do not "
        "(default: medium where the CPU multiplies bfloat16)",
    )
    parser.add_argument("--contenders", metavar="A,B,...", help="such as onnxruntime (default: everyone installed)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")


def run(arguments: argparse.Namespace) -> int:
    """Run `konv bench nets`; see DESCRIPTION for the result."""
    if arguments.json:
        check_target("--json", arguments.json)
    contenders = _contenders(arguments)
    rows = _jobs(arguments)
    threads = max(row.threads for row in rows)
    report = NetworkReport(
        machine(threads, "float32"),
        versions(contenders),
        {
            "contenders": contenders,
            "training": arguments.training,
            "rounds": arguments.rounds,
            "turn_seconds": TURN,
            "pause_seconds": PAUSE,
            "figure": "median and quartiles, over rounds, of the fastest call of a turn",
        },
    )
    measure = measure_training if arguments.training else measure_network
    try:
        for row in track(rows, str):
            measure(row, contenders, arguments.rounds)
            report.rows.append(row)
    except KeyboardInterrupt:
        if not report.rows:
            raise
        print(f"interrupted after {len(report.rows)} of {counted(len(rows), 'row')}", file=sys.stderr)
    print_networks(report)
    if arguments.json:
        report.save(arguments.json)
    return int(any(row.wrong or row.failed for row in report.rows))


def _contenders(arguments: argparse.Namespace) -> list[str]:
    known = list(STEPS if arguments.training else RUNTIMES)
    asked = arguments.contenders.split(",") if arguments.contenders else None
    if arguments.training:
        if arguments.precision:
            raise ValueError("--precision: steps of training have one precision; leave it out with --training")
        return choose(known, asked)
    if asked is None:
        names = choose(known, None)
        medium = konv.info()["bfloat16"] if arguments.precision is None else arguments.precision == "medium"
        return [name for name in names if medium or name != "konv_medium"]
    return choose(known, ["konv_medium", *asked] if arguments.precision == "medium" else asked)


def _jobs(arguments: argparse.Namespace) -> list[NetworkRow]:
    """The rows to fill."""
    if arguments.training:
        known: Sequence[str] = list(TRAININGS)
    elif find_spec("onnx") is None:
        raise ImportError("networks are made with onnx: pip install 'konv[onnx]'")
    else:
        from konv.bench.networks import NETWORKS

        known = list(NETWORKS)
    for name in arguments.names:
        if name not in known:
            raise ValueError(f"network: expected some of {', '.join(known)}, got {name!r}")
    threads = arguments.threads or sorted({1, konv.get_num_threads()})
    rows = [
        NetworkRow(name, batch, count)
        for name in arguments.names or known
        for batch in arguments.batch or ([TRAININGS[name].batch] if arguments.training else [1, 8])
        for count in threads
    ]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]


def measure_network(row: NetworkRow, contenders: Sequence[str], rounds: int, size: int | None = None) -> None:
    """Fill a row: build the network, check what the contenders make of it, and time them.

    Parameters
    ----------
    row : NetworkRow
        Says what to time.
    contenders : sequence of str
        Of `RUNTIMES`, konv first.
    rounds : int
        How often each has its turn.
    size : int, optional
        Of the image; by default that of the paper.
    """
    import onnx

    from konv.bench.networks import network

    model = network(row.network, row.batch, size)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    allowed = allowed_differences([tuple(w.dims) for w in model.graph.initializer])
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    with ExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory()), "model.onnx")
        onnx.save(model, path)
        del model
        workers = {
            name: stack.enter_context(Worker(RUNTIMES[name], str(path), x, threads=row.threads)) for name in contenders
        }
        compare = partial(disagreements, allowed=lambda name: allowed[name == "konv_medium"])
        _compete(row, workers, CALLS, compare, rounds)


def measure_training(row: NetworkRow, contenders: Sequence[str], rounds: int) -> None:
    """Fill a row: make the models with the same weights, compare their first losses, and time their steps.

    Parameters
    ----------
    row : NetworkRow
        Says what to time.
    contenders : sequence of str
        Of `STEPS`, konv first: the others take its weights.
    rounds : int
        How often each has its turn.
    """
    allowed = TRAININGS[row.network].loss_difference
    with ExitStack() as stack:
        weights = stack.enter_context(TemporaryDirectory())
        workers: dict[str, Worker] = {}
        for name in contenders:
            worker = Worker(STEPS[name], row.network, row.batch, weights, threads=row.threads)
            workers[name] = stack.enter_context(worker)
            _attempt(row, name, worker.wait)
            if "konv" in row.failed:
                return
        _compete(row, workers, STEPS_COMPARED, partial(_different_losses, later=allowed), rounds)
        for name in row.timings:
            peak = _attempt(row, name, workers[name].peak_bytes)
            if peak is not None:
                row.peak_bytes[name] = peak


def _attempt(row: NetworkRow, name: str, ask: Callable[..., T], *arguments: Any) -> T | None:
    """Ask a contender; what it says where it fails goes into the row."""
    try:
        return ask(*arguments)
    except ContenderError as error:
        row.failed[name] = str(error)
        return None


def _compete(
    row: NetworkRow,
    workers: Mapping[str, Worker],
    calls: int,
    compare: Callable[[Mapping[str, Array]], dict[str, float]],
    rounds: int,
) -> None:
    """Compare the results of a few calls, then time those who are right."""
    first: dict[str, float] = {}
    results: dict[str, Array] = {}
    for name, worker in workers.items():
        for _ in range(calls):
            if name not in row.failed and (answer := _attempt(row, name, worker.call)) is not None:
                first[name] = answer[0]
                results[name] = np.append(results.get(name, []), answer[1])
    results = {name: value for name, value in results.items() if name not in row.failed}
    row.wrong = compare(results)
    turns: dict[str, list[float]] = {name: [] for name in results if name not in row.wrong}
    for _ in range(rounds):
        for name, times in turns.items():
            time.sleep(PAUSE)
            if name not in row.failed:
                best = _attempt(row, name, workers[name].turn, first[name])
                times += [] if best is None else [best]
    row.timings = {name: Timing.of(times) for name, times in turns.items() if name not in row.failed}


def _different_losses(losses: Mapping[str, Array], later: float) -> dict[str, float]:
    """Return whose losses are wrong: the first comes from forward alone, before rounding had steps to grow in."""
    first = disagreements({name: value[:1] for name, value in losses.items()}, lambda _: FIRST_LOSS_DIFFERENCE)
    return disagreements(losses, lambda _: later) | first


def allowed_differences(weights: Sequence[tuple[int, ...]]) -> tuple[float, float]:
    """Return how far outputs of right contenders may be apart, relative to the largest: in float32 and in bfloat16.

    In float32 a layer's sums of n products are off by about eps sqrt(n) times a typical value, with factors rounded to
    bfloat16 by half its eps whatever n is; errors of one layer after another add up in squares.
    """
    lengths = [math.prod(shape[1:]) for shape in weights if len(shape) > 1]
    plain = 16 * float(np.finfo(np.float32).eps) * math.sqrt(sum(lengths))
    return plain, 4 * 2.0**-8 * math.sqrt(len(lengths))


def disagreements(results: Mapping[str, Array], allowed: Callable[[str], float]) -> dict[str, float]:
    """Return who differs by more than is allowed, and by how much, from the one with whom the most agree.

    Who may differ by more has no say in who that is: it would agree with right and wrong alike.
    """

    def agree(a: str, b: str) -> bool:
        return largest_difference(results[a], results[b]) <= min(allowed(a), allowed(b))

    if not results:
        return {}
    trusted = max(results, key=lambda name: sum(agree(name, other) for other in results))
    apart = {name: largest_difference(results[trusted], value) for name, value in results.items()}
    return {name: difference for name, difference in apart.items() if difference > allowed(name)}
