"""`konv bench nets`."""

from ..bench.nets import add_arguments, run

HELP = "time whole networks, and steps of training, beside the runtimes that are installed"
FAILED = 2  # 1 says that a result is wrong, or that a contender fails

__all__ = ["FAILED", "HELP", "add_arguments", "run"]
