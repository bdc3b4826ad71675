"""`konv bench nets`."""

from ..bench.nets import add_arguments, run

HELP = "time whole networks, and steps of training, beside the runtimes that are installed"

__all__ = ["HELP", "add_arguments", "run"]
