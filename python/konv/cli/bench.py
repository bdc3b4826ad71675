"""`konv bench`."""

from ..bench.command import add_arguments, run

HELP = "time layers of real networks and image filters beside every library that is installed"

__all__ = ["HELP", "add_arguments", "run"]
