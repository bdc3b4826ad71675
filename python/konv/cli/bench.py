"""`konv bench`."""

from ..bench.command import add_arguments, run

HELP = "time single convolutions beside NumPy and, where installed, PyTorch"

__all__ = ["HELP", "add_arguments", "run"]
