"""The command `konv bench`."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

import konv
from konv.bench.contenders import DIRECTIONS, blas_limit, contenders
from konv.bench.layers import load_suite, suites
from konv.bench.report import as_json, print_rows
from konv.bench.timing import measure

DESCRIPTION = """Time single convolutions: konv beside NumPy (im2col and BLAS) and, where installed,
PyTorch. Every round gives each contender its turn; the figures are medians over the rounds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `konv bench`."""
    parser.add_argument("--suite", default="layers", help="a suite's name, or a file of layers (default: layers)")
    parser.add_argument(
        "--pass",
        dest="direction",
        choices=DIRECTIONS,
        default="forward",
        help="forward, or the gradient with respect to the input or the weight",
    )
    parser.add_argument("--only", default="", help="comma-separated parts of layer names")
    parser.add_argument("--threads", type=int, help="default: as konv would take")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file too")
    parser.add_argument("--list", action="store_true", help="list the suites and stop")


def run(arguments: argparse.Namespace) -> int:
    """Run `konv bench`; 1 where a contender's result is wrong, 2 for arguments without sense."""
    if arguments.list:
        for name, about in suites().items():
            print(f"{name:12} {about}")
        return 0
    threads = konv.get_num_threads() if arguments.threads is None else arguments.threads
    limit = blas_limit(threads)
    try:
        layers = load_suite(arguments.suite)
        field_of = contenders(threads)
    except (ValueError, OSError) as error:
        print(f"konv bench: {error}", file=sys.stderr)
        return 2
    parts = arguments.only.split(",")
    layers = [layer for layer in layers if any(part in layer.name for part in parts)]
    if not layers or arguments.rounds < 1:
        print("konv bench: no layer is left to time, or no round", file=sys.stderr)
        return 2
    if limit is None:
        print("NumPy's BLAS keeps its own number of threads: pip install threadpoolctl")
    rows = []
    with limit or nullcontext():
        for layer in layers:
            if sys.stderr.isatty():
                print(f"\r\033[K{layer.name}", end="", file=sys.stderr, flush=True)
            rows.append(measure(layer, arguments.direction, field_of, arguments.rounds))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    info = konv.info()
    print_rows(rows, f"{arguments.direction}, {threads} thread(s), {info['isa']}, {info['cpu']}")
    if arguments.json:
        text = as_json(rows, direction=arguments.direction, threads=threads, cpu=info["cpu"])
        Path(arguments.json).write_text(text + "\n")
    return int(any(row.wrong for row in rows))


def main(argv: list[str] | None = None) -> int:
    """Run `python -m konv.bench`."""
    parser = argparse.ArgumentParser(prog="konv bench", description=DESCRIPTION)
    add_arguments(parser)
    return run(parser.parse_args(argv))
