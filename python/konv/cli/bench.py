"""`konv bench`."""

from ..bench.command import add_arguments, run

HELP = "time layers of real networks and image filters beside every library that is installed"
FAILED = 2  # 1 says that a result is wrong

__all__ = ["FAILED", "HELP", "add_arguments", "run"]
