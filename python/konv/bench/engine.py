"""konv itself as a contender: plain calls, forced algorithms, plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import konv
from konv.bench.layers import Layer
from konv.bench.problem import Array, Prepared, Problem, chain
from konv.explain import Explanation

# konv's own contenders; the others are its peers.
OURS = ("konv", "plan", "konv_medium")


def channels_last(x: Array) -> Array:
    """Copy NCHW into NHWC."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def channels_first(x: Array) -> Array:
    """See NHWC as NCHW."""
    return x.transpose(0, 3, 1, 2)


def options(layer: Layer, layout: str) -> dict[str, Any]:
    """Return the keyword arguments of konv's calls."""
    found = {"stride": layer.stride, "padding": layer.pad, "dilation": layer.dilation, "groups": layer.groups}
    return found if layout == "NCHW" else {**found, "layout": layout}


class Konv:
    """The functional call on arrays in the layout asked for, with the algorithm konv chooses or a forced one."""

    def __init__(self, threads: int, algorithm: str = "auto") -> None:
        konv.set_num_threads(threads)
        self.name = "konv" if algorithm == "auto" else algorithm
        self.algorithm = algorithm

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        if self.algorithm != "auto" and self.algorithm not in algorithms(problem):
            return None
        (w, *_), last = problem.weights, problem.layout == "NHWC"
        x, gy = (channels_last(a) if last else a for a in (problem.x, problem.gy))
        fetch = channels_first if last else np.asarray
        call: dict[str, Any] = {**options(problem.layer, problem.layout), "algorithm": self.algorithm}
        if problem.direction == "input":
            return Prepared(lambda: konv.grad.conv2d_input(x.shape, w, gy, **call), fetch)
        if problem.direction == "weight":
            return Prepared(lambda: konv.grad.conv2d_weight(x, w.shape, gy, **call))
        calls = [self._forward(w, {**call, **options(layer, problem.layout)}) for layer, w in problem.passes]
        return Prepared(chain(calls, x), fetch)

    @staticmethod
    def _forward(w: Array, call: dict[str, Any]) -> Callable[[Array], Array]:
        return lambda x: konv.conv2d(x, w, None, **call)


class Plan:
    """`konv.plan_conv2d`: weights packed ahead, result into an array that is there."""

    name = "plan"

    def __init__(self, threads: int) -> None:
        konv.set_num_threads(threads)

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        if problem.direction != "forward":
            return None
        last = problem.layout == "NHWC"
        x = channels_last(problem.x) if last else problem.x
        calls = []
        for layer, w in problem.passes:
            shapes = layer.input_shape, layer.output_shape
            given, made = ((n, h, w, c) if last else (n, c, h, w) for n, c, h, w in shapes)
            call = {**options(layer, problem.layout), "input_shape": given}
            calls.append(self._forward(w, np.empty(made, x.dtype), call))
        return Prepared(chain(calls, x), channels_first if last else np.asarray)

    @staticmethod
    def _forward(w: Array, out: Array, call: dict[str, Any]) -> Callable[[Array], Array]:
        plan = konv.plan_conv2d(w, **call)

        def run(x: Array) -> Array:
            plan(x, out=out)
            return out

        return run


def explain(problem: Problem) -> Explanation:
    """Return what konv says about a problem of one pass."""
    op = {"forward": "conv2d", "input": "conv2d_input", "weight": "conv2d_weight"}[problem.direction]
    n, c, h, w = problem.layer.input_shape
    return konv.explain(
        op,
        input_shape=(n, h, w, c) if problem.layout == "NHWC" else (n, c, h, w),
        weight_shape=problem.layer.weight_shape,
        dtype=str(problem.x.dtype),
        **options(problem.layer, problem.layout),
    )


def algorithms(problem: Problem) -> list[str]:
    """Return the algorithms that compute a problem of one pass, but for the reference."""
    found = (c.algorithm for c in explain(problem).candidates if c.cost is not None)
    return [name for name in found if name != "reference"]
