"""python -m tests.fuzz --seconds 60 --seed 1"""

from __future__ import annotations

import argparse
import mmap
import os
import sys
import time
import traceback
from collections import Counter

import torch

from tests.fuzz.operations import PRESENT, named
from tests.fuzz.run import attempt

WRONG = 3  # exit status of a child that found something and lived


def again(arguments: argparse.Namespace, name: str, number: int) -> str:
    return f"to see it again: python -m tests.fuzz --seed {arguments.seed} --only {name} --trial {number}\n"


def trials(arguments: argparse.Namespace, latest: mmap.mmap) -> int:
    """Run until time is up; the line that repeats the trial that runs is always in `latest`."""
    torch.set_num_threads(1)
    operations = [named(name) for name in arguments.only] if arguments.only else list(PRESENT)
    outcomes: Counter[str] = Counter()
    deadline = time.monotonic() + arguments.seconds
    number = arguments.trial or 0
    while time.monotonic() < deadline and outcomes["wrong"] < arguments.failures:
        for operation in operations:
            line = again(arguments, operation.name, number)
            latest[: len(line) + 1] = line.encode() + b"\0"
            try:
                outcomes[attempt(operation, arguments.seed, number)] += 1
            except Exception:
                outcomes["wrong"] += 1
                traceback.print_exc()
                print(line, file=sys.stderr)
        if arguments.trial is not None:
            break
        number += 1
    print(f"{len(operations)} operations: {', '.join(f'{n} {what}' for what, n in sorted(outcomes.items()))}")
    return WRONG if outcomes["wrong"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="when to stop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="operations, e.g. conv2d grad.max_pool2d")
    parser.add_argument("--trial", type=int, help="this trial of each operation alone")
    parser.add_argument("--failures", type=int, default=10, help="how many to print before giving up")
    arguments = parser.parse_args()
    latest = mmap.mmap(-1, 4096)  # shared with the child, which may be killed by what it finds
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = trials(arguments, latest)
        except BaseException:  # the child must end here, not in its parent's code
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, WRONG):
        print(f"ended with status {status}\n{latest[:].partition(bytes(1))[0].decode()}", file=sys.stderr)
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
