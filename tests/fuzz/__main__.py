"""python -m tests.fuzz --seconds 60 --seed 1"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter

import torch

from tests.fuzz.operations import PRESENT, named
from tests.fuzz.run import attempt


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="when to stop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="operations, e.g. conv2d grad.max_pool2d")
    parser.add_argument("--trial", type=int, help="this trial of each operation alone")
    parser.add_argument("--failures", type=int, default=10, help="how many to print before giving up")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    operations = [named(name) for name in arguments.only] if arguments.only else list(PRESENT)
    outcomes: Counter[str] = Counter()
    deadline = time.monotonic() + arguments.seconds
    number = arguments.trial or 0
    while time.monotonic() < deadline and outcomes["wrong"] < arguments.failures:
        for operation in operations:
            try:
                outcomes[attempt(operation, arguments.seed, number)] += 1
            except Exception:  # noqa: PERF203 - whatever was raised is the finding
                outcomes["wrong"] += 1
                traceback.print_exc()
                again = f"--seed {arguments.seed} --only {operation.name} --trial {number}"
                print(f"to see it again: python -m tests.fuzz {again}\n", file=sys.stderr)
        if arguments.trial is not None:
            break
        number += 1
    print(f"{len(operations)} operations: {', '.join(f'{n} {what}' for what, n in sorted(outcomes.items()))}")
    return int(outcomes["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
