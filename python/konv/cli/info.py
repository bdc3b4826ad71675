"""`konv info`."""

from __future__ import annotations

import argparse

import konv

HELP = "print version, CPU, instruction sets, threads and whether CUDA is there"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - every command takes them
    """Print what `konv.info` knows."""
    info = konv.info()
    levels = (f"{level} (active)" if level == info["isa"] else level for level in info["isa_levels"])
    lines = {
        "konv": info["version"],
        "CPU": info["cpu"],
        "ISA levels": ", ".join(levels),
        "threads": info["threads"],
        "CUDA": info["cuda"],
        "compiler": info["compiler"],
    }
    for name, value in lines.items():
        print(f"{name:<10}  {value}")
    return 0
