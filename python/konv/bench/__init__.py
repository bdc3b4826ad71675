"""Timing konv beside other libraries, on layers of real networks and filters of images.

`konv bench` is the command; the names here are its parts, which the demonstration and the project's own
benchmarks use too.
"""

from konv.bench.engine import OURS
from konv.bench.layers import Layer, load_suite, parse_layers, suites
from konv.bench.problem import DIRECTIONS, Contender, Prepared, Problem
from konv.bench.registry import contenders, installed
from konv.bench.report import Report
from konv.bench.timing import Row, Timing, geometric_mean, measure

__all__ = [
    "DIRECTIONS",
    "OURS",
    "Contender",
    "Layer",
    "Prepared",
    "Problem",
    "Report",
    "Row",
    "Timing",
    "contenders",
    "geometric_mean",
    "installed",
    "load_suite",
    "measure",
    "parse_layers",
    "suites",
]
