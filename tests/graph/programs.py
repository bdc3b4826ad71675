"""Small programs for tests: a graph is built by a function, compiled, and run on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

import konv
from konv._graph import ir
from konv._graph.compiled import Compiled
from konv._graph.gradients import Differentiation
from konv._graph.lower import Lowering, Weights

Build = Callable[..., "ir.Value | Sequence[ir.Value] | None"]


def run(build: Build, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return what ``build(graph, *values)`` says is the output, or the list of outputs, for arrays."""
    graph = ir.Graph()
    graph.inputs = [ir.Value(a.shape, a.dtype, f"input{i}") for i, a in enumerate(arrays)]
    outputs = build(graph, *graph.inputs)
    graph.outputs = [] if outputs is None else [outputs] if isinstance(outputs, ir.Value) else list(outputs)
    return Compiled(graph, Weights(), konv.get_num_threads()).run(arrays)


def gradients(build: Build, grad: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """Return the output of ``build(graph, *values)`` and the gradients of floating-point arrays, for an output's."""
    graph = ir.Graph()
    graph.inputs = [ir.Value(a.shape, a.dtype, f"input{i}") for i, a in enumerate(arrays)]
    output = build(graph, *graph.inputs)
    assert isinstance(output, ir.Value)
    arriving = ir.Value(grad.shape, grad.dtype, "grad")
    wanted = [value for value in graph.inputs if value.dtype.kind == "f"]
    found = Differentiation(graph, wanted).of({output: arriving})
    graph.inputs.append(arriving)
    graph.outputs = [output, *(value for value in found if value is not None)]
    return Compiled(graph, Weights(), konv.get_num_threads()).run([*arrays, grad])


def run_as_it_is(graph: ir.Graph, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the outputs of a graph that no pass changes before it runs."""
    program, _ = Lowering(graph, Weights(), konv.get_num_threads()).compile()
    given = [np.ascontiguousarray(a) for a in arrays]
    outputs = [np.empty(value.shape, value.dtype) for value in graph.outputs]
    program.run([*given, *outputs], False)
    return outputs
