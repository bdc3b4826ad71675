"""The command line: one module a command, each with `HELP`, `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

COMMANDS = ("info", "demo", "train", "bench", "bench nets", "run", "explain")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        0, or 1 for a command that failed; of benchmarks 1 where a result is wrong, 2 where they failed. Arguments
        without sense end the process with 2.

    Examples
    --------
    >>> from konv.cli import main
    >>> main(["explain", "--input", "1,2", "--weight", "1"])
    Traceback (most recent call last):
    SystemExit: 2
    """
    parser = argparse.ArgumentParser(
        prog="konv", description="The convolution engine konv.", epilog="konv COMMAND --help says what a command takes."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    subparsers = parser.add_subparsers(dest="command", metavar="command")
    modules: dict[str, Any] = {}
    for name in COMMANDS:
        module = modules[name] = import_module(f"{__name__}.{name.replace(' ', '_')}")
        command = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["bench", "nets"]:  # has options of its own, and `bench` takes any number of suites
        words[:2] = ["bench nets"]
    arguments, unknown = parser.parse_known_args(words)
    command = subparsers.choices.get(arguments.command, parser)
    if unknown:
        command.error(f"unrecognized arguments: {' '.join(unknown)}")
    if arguments.version:
        from .. import __version__

        print(f"konv {__version__}")
        return 0
    if arguments.command is None:
        parser.print_help()
        return 0
    module = modules[arguments.command]
    try:
        code: int = module.run(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"{command.prog}: {_message(error, command.format_usage())}", file=sys.stderr)
        return getattr(module, "FAILED", 1)
    return code


def _message(error: Exception, usage: str) -> str:
    """Say what went wrong, with the option's name where a function names its argument and the two are called alike."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    option = f"--{str(error).partition(':')[0]}"
    return f"--{error}" if option in re.findall(r"--[\w-]+", usage) else str(error)
