"""Inferred shapes are those that PyTorch computes, for sizes known and unknown."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn
from konv.nn.graph import Graph
from konv.nn.shapes import INFER
from tests.nn import torch_graph
from tests.nn.layers import LAYERS, graph_of


@pytest.mark.parametrize("case", LAYERS)
def test_shapes_are_the_computed_ones(case):
    shapes, make = LAYERS[case]
    graph = graph_of(make(), shapes)
    arrays = [np.ones((2, *shape)) for shape in shapes]
    computed = [tuple(y.shape) for y in torch_graph.run(graph, arrays)]
    assert graph.output_shapes([a.shape for a in arrays]) == computed
    assert [graph.values[i].shape for i in graph.outputs] == [(None, *shape[1:]) for shape in computed]


@pytest.mark.parametrize("case", LAYERS)
def test_unknown_sizes_are_unknown_or_right(case):
    shapes, make = LAYERS[case]
    known = graph_of(make(), shapes)
    open_graph = graph_of(make(), [(*(None for _ in shape[:-1]), shape[-1]) for shape in shapes])
    for a, b in zip(open_graph.outputs, known.outputs, strict=True):
        found, expected = open_graph.values[a].shape, known.values[b].shape
        assert len(found) == len(expected)
        assert all(size in (None, right) for size, right in zip(found, expected, strict=True))
    assert open_graph.output_shapes([(2, *shape) for shape in shapes]) == known.output_shapes(
        [(2, *shape) for shape in shapes]
    )


def test_every_operation_is_tried():
    ops = {node.op for shapes, make in LAYERS.values() for node in graph_of(make(), shapes).nodes}
    assert ops == set(INFER)


def test_sizes_that_any_input_knows_are_known():
    graph = Graph()
    x, y = graph.add_input((None, None, 3), np.float32), graph.add_input((None, 5, None), np.float32)
    assert graph.values[graph.add_node("add", [x, y])].shape == (None, 5, 3)
    assert graph.values[graph.add_node("concatenate", [x, y], {"axis": 2})].shape == (None, 5, None)


@pytest.mark.parametrize(
    ("shapes", "layer", "message"),
    [
        ([(4, 4, 2), (4, 5, 2)], nn.Add(), r"add.*: the inputs must have one shape, got \[.*5, 2\)\]"),
        ([(4, 4, 2), (4, 2)], nn.Multiply(), "the inputs must have one shape"),
        ([(4, 4, 2), (4, 5, 2)], nn.Concatenate(), "beside axis 3, the inputs must have one shape"),
        ([(4, 4, 2), (4, 5, 2)], nn.Concatenate(4), "axis of layer .* must be from 1 to 3 or below 0, got 4"),
        ([(4, 2), (4, 2)], nn.Dense(2), "layer .* takes one input, got 2"),
    ],
)
def test_inputs_that_do_not_fit(shapes, layer, message):
    with pytest.raises(ValueError, match=message):
        layer([nn.Input(shape) for shape in shapes])


def test_a_variable_is_held_once():
    layer = nn.Dense(3)
    x = nn.Input((3,))
    graph = nn.Model(x, layer(layer(x)))._built_graph()
    assert graph.variables == layer.weights
    assert [node.variables for node in graph.nodes] == [(0, 1), (0, 1)]
