"""What lowering tells the steps, and what a program is given."""

from __future__ import annotations

import numpy as np
import pytest

from konv._graph import ir
from konv._graph.lower import Lowering, Weights

FLOAT = np.dtype(np.float32)


def pointwise(graph: ir.Graph, x: ir.Value, weight: ir.Value) -> ir.Value:
    shape = (*x.shape[:1], weight.shape[0], *x.shape[2:])
    nothing = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1}
    return graph.add("conv", [x, weight], shape, **nothing)


def two_weights() -> tuple[ir.Graph, ir.Value, ir.Value]:
    """A graph that reads the first of two weights twice."""
    graph = ir.Graph()
    arrays = [np.full((k, 3, 1, 1), 0.5, np.float32) for k in (3, 5)]
    shared, last = (ir.Value(a.shape, FLOAT, constant=a) for a in arrays)
    x = ir.Value((1, 3, 4, 6), FLOAT, "x")
    graph.inputs = [x]
    graph.outputs = [pointwise(graph, pointwise(graph, pointwise(graph, x, shared), shared), last)]
    return graph, shared, last


def test_bytes_between_two_uses() -> None:
    graph, shared, last = two_weights()
    lowering = Lowering(graph, Weights(), 1)
    assert lowering.bytes_between(last) == 4 * (3 * 3 + 5 * 3)  # until the next run
    assert lowering.bytes_between(shared) == 0


def test_arrays_of_a_run() -> None:
    graph, _, _ = two_weights()
    program, _ = Lowering(graph, Weights(), 1).compile()
    x, y = np.ones((1, 3, 4, 6), np.float32), np.empty((1, 5, 4, 6), np.float32)
    program.run([x, y], False)
    np.testing.assert_array_equal(y, np.full_like(y, 1.5**3))
    for wrong in ([x], [x, y[:, :4]], [x, np.asfortranarray(y)], [x[:, :, :2], y]):
        with pytest.raises(ValueError, match="missing, too small or not in C order"):
            program.run(wrong, False)
