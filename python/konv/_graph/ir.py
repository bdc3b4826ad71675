"""The representation: values, nodes in running order, and constants as NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Quantisation:
    """What the bytes of an array stand for: (byte - zero) * scale."""

    scale: float
    zero: int


@dataclass(eq=False)
class Value:
    """An array that one node, or the caller, makes and others read; or a constant, or a variable.

    A variable is an array of the caller's (`bound`, in C order) that is read, and perhaps changed, where it lies.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str = ""
    constant: Array | None = None
    bound: Array | None = None
    quantisation: Quantisation | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(eq=False)
class Node:
    """One operation. What it does is its row in `konv._graph.lower.OPS`; attributes are numbers, strings and tuples.

    A node without outputs changes variables. Nodes of one strand run one after another on one thread, beside those of
    other strands around them, which they do not need.
    """

    op: str
    inputs: list[Value | None]
    outputs: list[Value]
    attributes: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    origins: list[tuple[str, str]] = field(default_factory=list)  # names and operators of what it does the work of
    strand: int = -1  # none

    def take_over(self, *others: Node) -> None:
        """Note whose work it does from now on, in the order in which they were to run."""
        self.origins = list(dict.fromkeys(o for node in (*others, self) for o in node.origins))

    @property
    def output(self) -> Value:
        return self.outputs[0]

    def reads(self) -> list[Value]:
        """The inputs that are there."""
        return [value for value in self.inputs if value is not None]


@dataclass(eq=False)
class Graph:
    """Nodes stand in an order in which they can run."""

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def add(
        self,
        op: str,
        inputs: Sequence[Value | None],
        shape: Iterable[int],
        name: str = "",
        dtype: np.dtype[Any] | None = None,
        **attributes: Any,
    ) -> Value:
        """Append a node with one output; returns that."""
        return self.add_many(op, inputs, [shape], name, dtype, **attributes)[0]

    def add_many(
        self,
        op: str,
        inputs: Sequence[Value | None],
        shapes: Sequence[Iterable[int]],
        name: str = "",
        dtype: np.dtype[Any] | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """Append a node with an output of each shape; returns those."""
        first = next(value for value in inputs if value is not None)
        outputs = [Value(tuple(int(n) for n in s), first.dtype if dtype is None else dtype, name) for s in shapes]
        self.nodes.append(Node(op, list(inputs), outputs, attributes, name or op))
        return outputs

    def consumers(self) -> dict[Value, list[Node]]:
        """The nodes that read each value, once for each time that they do."""
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.reads():
                found.setdefault(value, []).append(node)
        return found

    def makers(self) -> dict[Value, Node]:
        return {value: node for node in self.nodes for value in node.outputs}

    def replace(self, old: Value, new: Value) -> None:
        """Let all that reads one value read another."""
        for node in self.nodes:
            node.inputs = [new if value is old else value for value in node.inputs]
        self.outputs = [new if value is old else value for value in self.outputs]


def variable(array: Array, name: str = "") -> Value:
    return Value(array.shape, array.dtype, name, bound=array)


def constant(array: Array, name: str = "") -> Value:
    return Value(array.shape, array.dtype, name, array)
