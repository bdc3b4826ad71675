"""The executor: runs a graph forward and backward, one node after another.

Every node keeps the storage of its results between runs, so that a training step after the first
allocates next to nothing. Results therefore belong to the executor and live until its next run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Graph, Node
from .ops import OPS
from .variable import Array


class Call:
    """One node's execution: what its forward leaves for its backward, and storage to write into.

    Attributes
    ----------
    inputs, output : list of ndarray, ndarray
        The arrays of the latest forward.
    training : bool
        Whether a backward will follow the forward.
    wanted : list of bool
        Which inputs' gradients the backward is to return.
    saved : Any
        What else a backward needs: the places of maxima, the seed of a dropout mask.
    runs : int
        The number of training forwards so far.
    undoes_relu, relu_undone : bool
        A maximum is positive exactly where the relu before it passed it on, so a max pooling may
        take that relu's derivative on its own, smaller, gradient: the one does, the other need not.
    """

    def __init__(self, node: Node, graph: Graph) -> None:
        self.node = node
        self.attributes = node.attributes
        self.variables = [graph.variables[i] for i in node.variables]
        self.inputs: list[Array] = []
        self.output: Array = np.empty(0)
        self.training = False
        self.wanted: list[bool] = []
        self.saved: Any = None
        self.runs = 0
        self.undoes_relu = False
        self.relu_undone = False
        self._storage: dict[str, Array] = {}
        self._input_shapes: list[tuple[int, ...]] = []
        self._output_shape: tuple[int, ...] = ()

    def output_buffer(self) -> Array:
        """Return an array for the output that the current inputs lead to."""
        shapes = [x.shape for x in self.inputs]
        if shapes != self._input_shapes:
            owned = [v.shape for v in self.variables]
            shape = OPS[self.node.op].infer(self.attributes, shapes, owned)
            self._output_shape = tuple(size for size in shape if size is not None)
            self._input_shapes = shapes
        return self.buffer("output", self._output_shape, self.inputs[0].dtype)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return an array with undefined contents; the same storage for each `name`."""
        storage = self._storage.get(name)
        if storage is None or storage.shape[1:] != shape[1:] or len(storage) < shape[0]:
            storage = self._storage[name] = np.empty(shape, dtype)
        return storage[: shape[0]]


class Executor:
    """Runs one graph; one thread at a time.

    Parameters
    ----------
    graph : Graph
        With one input and one output. Its variables are read, and their gradients written.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.nn.execution import Executor
    >>> from konv.nn.graph import Graph
    >>> graph = Graph()
    >>> graph.outputs = [graph.add_node("tanh", [graph.add_input((None, 2), np.float64)])]
    >>> executor = Executor(graph)
    >>> executor.forward(np.zeros((1, 2)))
    array([[0., 0.]])
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._calls = [Call(node, graph) for node in graph.nodes]
        self._values: list[Array] = [np.empty(0)] * len(graph.values)
        self._differentiable = self._find_differentiable()
        self._move_relu_behind_pooling()

    def forward(self, x: Array, training: bool = False) -> Array:
        """Run every node; returns the output, which the next run overwrites."""
        values = self._values
        values[self.graph.inputs[0]] = x
        for call in self._calls:
            node = call.node
            call.inputs = [values[i] for i in node.inputs]
            call.training = training
            call.output = values[node.output] = OPS[node.op].forward(call)
            call.runs += training
        return values[self.graph.outputs[0]]

    def value(self, number: int) -> Array:
        """Return what a value was in the latest forward."""
        return self._values[number]

    def backward(self, number: int, grad: Array, *, input_grad: bool = False) -> Array | None:
        """Fill the gradients of the trainable variables, after a forward with training=True.

        Parameters
        ----------
        number : int
            The value from which to go back; nodes behind it are passed over.
        grad : ndarray
            The gradient of the loss with respect to that value; it is overwritten.
        input_grad : bool
            Whether to return the gradient with respect to the graph's input too.
        """
        source = self.graph.inputs[0]
        wanted = self._differentiable | {source} if input_grad else self._differentiable
        grads = {number: grad}
        for call in reversed(self._calls):
            node = call.node
            arriving = grads.pop(node.output, None)
            if arriving is None or not (input_grad or node.output in wanted):
                continue
            call.wanted = [input_grad or i in wanted for i in node.inputs]
            leaving = OPS[node.op].backward(call, arriving)
            for i, g in zip(node.inputs, leaving, strict=True):
                if g is not None:
                    grads[i] = np.add(grads[i], g, out=g) if i in grads else g
        return grads.get(source)

    def _find_differentiable(self) -> set[int]:
        """Return the values that depend on a trainable variable."""
        found: set[int] = set()
        for call in self._calls:
            owns = any(variable.trainable for variable in call.variables)
            if owns or found.intersection(call.node.inputs):
                found.add(call.node.output)
        return found

    def _move_relu_behind_pooling(self) -> None:
        maker = {call.node.output: call for call in self._calls}
        for call in self._calls:
            before = maker.get(call.node.inputs[0])
            if (
                call.node.op == "max_pool2d"
                and before is not None
                and before.attributes.get("activation") == "relu"
                and len(self.graph.consumers(before.node.output)) == 1
                and before.node.output not in self.graph.outputs
            ):
                call.undoes_relu = before.relu_undone = True
