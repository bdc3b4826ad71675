"""The graph: what a model is once its layers have described themselves.

A graph is plain data. Values are the edges (a shape and a dtype), nodes are operations on them, and
variables are the arrays a node owns. All refer to each other by position, nodes stand in the order
in which they run, and attributes are numbers, strings and tuples; so a graph can be written to a
file, built by another front end, or run by another executor, without any of them knowing layers.
What an operation makes of shapes is said in the table of `konv.nn.shapes`; activations are operations of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .shapes import INFER
from .variable import Attributes, Shape, Variable


@dataclass(frozen=True)
class Value:
    """An edge: an array that one node (or the caller) makes and others read.

    A None in `shape` is a size known only when the graph runs; the first one is the batch.
    """

    shape: Shape
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Node:
    """One operation: `op` is its row in the table of operations, the numbers index the graph."""

    op: str
    inputs: tuple[int, ...]
    output: int
    variables: tuple[int, ...]
    attributes: Attributes
    name: str


@dataclass
class Graph:
    """Values, nodes in running order, and variables; `inputs` and `outputs` are values.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.nn.graph import Graph
    >>> graph = Graph()
    >>> x = graph.add_input((None, 8, 8, 1), np.float32)
    >>> window = {"kernel_size": (2, 2), "stride": (2, 2), "padding": "valid"}
    >>> y = graph.add_node("max_pool", [x], window)
    >>> graph.values[y].shape
    (None, 4, 4, 1)
    """

    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add_input(self, shape: Shape, dtype: DTypeLike) -> int:
        """Add a value that the caller supplies; returns its number."""
        self.inputs.append(self._add_value(shape, dtype))
        return self.inputs[-1]

    def add_node(
        self,
        op: str,
        inputs: Sequence[int],
        attributes: Attributes | None = None,
        variables: Sequence[Variable] = (),
        name: str = "",
    ) -> int:
        """Add an operation behind those already there; returns the number of its output.

        A variable that another operation owns too is held once.

        Raises
        ------
        ValueError
            If the operation does not accept the shapes of `inputs` and `variables`.
        """
        attributes = dict(attributes or {})
        shapes = [self.values[i].shape for i in inputs]
        try:
            shape = INFER[op](attributes, shapes, [v.shape for v in variables])
        except ValueError as error:
            raise ValueError(f"{name or op}: {error}") from None
        output = self._add_value(shape, self.values[inputs[0]].dtype)
        owned = tuple(self._number_of(variable) for variable in variables)
        self.nodes.append(Node(op, tuple(inputs), output, owned, attributes, name or op))
        return output

    def consumers(self, value: int) -> list[Node]:
        """Return the nodes that read a value."""
        return [node for node in self.nodes if value in node.inputs]

    def output_shapes(self, input_shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shapes of the outputs for inputs of these shapes."""
        shapes = [value.shape for value in self.values]
        for number, shape in zip(self.inputs, input_shapes, strict=True):
            shapes[number] = tuple(shape)
        for node in self.nodes:
            owned = [self.variables[i].shape for i in node.variables]
            shapes[node.output] = INFER[node.op](node.attributes, [shapes[i] for i in node.inputs], owned)
        return [shapes[number] for number in self.outputs]

    def _number_of(self, variable: Variable) -> int:
        if variable not in self.variables:  # compared by identity
            self.variables.append(variable)
        return self.variables.index(variable)

    def _add_value(self, shape: Shape, dtype: DTypeLike) -> int:
        self.values.append(Value(tuple(shape), np.dtype(dtype)))
        return len(self.values) - 1
