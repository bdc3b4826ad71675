"""Timing konv beside NumPy and PyTorch, on layers of real networks.

`konv bench` is the command; `load_suite`, `measure` and `geometric_mean` are its parts, which the
demonstration and the project's own benchmarks use too.
"""

from konv.bench.contenders import DIRECTIONS, Contender, Problem, contenders
from konv.bench.layers import Layer, load_suite, parse_layers, suites
from konv.bench.timing import Row, geometric_mean, measure

__all__ = [
    "DIRECTIONS",
    "Contender",
    "Layer",
    "Problem",
    "Row",
    "contenders",
    "geometric_mean",
    "load_suite",
    "measure",
    "parse_layers",
    "suites",
]
