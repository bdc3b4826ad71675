"""Random calls of every operation, right and wrong ones, judged by PyTorch in float64.

    python -m tests.fuzz --seconds 60 --seed 1

`operations.py` is the table: one line an operation. An operation that this build does not have is left out, and so is
an element type that `features.py` finds refused.
"""
