"""Values in fewer bits: which of a simplified graph's are worth it, and conversions where steps do not take them.

Convolutions ask for narrow inputs. What lies between them follows: nodes that only move elements are narrow where their
result is, and expressions read and write any form, so that most conversions need no step of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .ir import Array, Graph, Node, Quantisation, Value
from .passes import VIEWS

FLOAT = np.dtype(np.float32)


@dataclass(frozen=True)
class Form:
    """How a value is stored."""

    dtype: np.dtype[Any]
    quantisation: Quantisation | None = None


@dataclass(frozen=True)
class Rules:
    """What the steps of one narrow form take.

    Parameters
    ----------
    computes : callable
        Whether a node's step, such as a convolution, reads narrow inputs.
    moves : set of str
        Operations whose input and result have one form, whichever it is.
    writes_float : bool
        Whether such steps write float32 where nobody asks for less.
    """

    computes: Callable[[Node], bool]
    moves: frozenset[str]
    writes_float: bool

    def moves_elements(self, node: Node) -> bool:
        """Whether a node's result has its inputs' form."""
        if node.op == "pad":
            return bool(node.attributes["value"] == 0)
        alone = len(node.outputs) == 1 and all(value.constant is None for value in node.reads())
        return node.op in self.moves and alone

    def wanted(self, graph: Graph) -> set[Value]:
        """The values to store in the narrow form."""
        found: set[Value] = set()
        for node in reversed(graph.nodes):
            result = node.outputs[0] in found
            if self.computes(node):
                asked = [node.inputs[0]]
                if not self.writes_float:
                    found.add(node.output)
                    asked += node.inputs[3:]
                elif result:
                    asked += node.inputs[3:]
            elif result and self.moves_elements(node):
                asked = list(node.inputs)
            elif result and node.op == "expression":
                # What is repeated has few elements: there is nothing to gain.
                asked = [v for v in node.reads() if v.size == node.output.size]
            else:
                continue
            found.update(v for v in asked if v is not None and v.dtype == FLOAT and v.constant is None)
        return found

    def store(self, graph: Graph, forms: Mapping[Value, Form]) -> None:
        """Give values their forms, with conversions where a node makes or takes another one."""
        converted: dict[Value, Value] = {}
        nodes: list[Node] = []

        def convert(value: Value, form: Form) -> Value:
            if value not in converted:
                made = Value(value.shape, form.dtype, value.name, quantisation=form.quantisation)
                converted[value] = made
                nodes.append(Node("expression", [value], [made], {"code": []}, f"{value.name} as {form.dtype.name}"))
            return converted[value]

        for node in graph.nodes:
            moves_narrow = self.moves_elements(node) and node.output in forms
            for i, value in enumerate(node.inputs):
                if value is None or value not in forms or node.op == "expression":
                    continue
                if i == 3 and self.computes(node) and self.writes_float:
                    continue  # a residual of either form
                takes, is_narrow = moves_narrow or self.computes(node), value.dtype != FLOAT
                if takes != is_narrow:
                    node.inputs[i] = convert(value, forms[value] if takes else Form(FLOAT))
            nodes.append(node)
            if moves_narrow or self.computes(node) or node.op == "expression":
                for value in node.outputs:
                    if value in forms:
                        value.dtype, value.quantisation = forms[value].dtype, forms[value].quantisation
        graph.outputs = [convert(v, Form(FLOAT)) if v.dtype != FLOAT and v in forms else v for v in graph.outputs]
        graph.nodes = nodes


def linked(rules: Rules, graph: Graph, wanted: set[Value]) -> list[tuple[list[Value], set[Value]]]:
    """The wanted values in groups that have one scale: what only moves elements does not change what bytes stand for.

    Before each group's values stand those of them that something else makes.
    """
    group: dict[Value, set[Value]] = {value: {value} for value in wanted}
    sources = [value for value in graph.inputs if value in wanted]
    for node in graph.nodes:
        if not rules.moves_elements(node):
            sources += [value for value in node.outputs if value in wanted]
        elif node.output in wanted:
            for value in node.reads():
                if value in wanted:
                    merged = group[value] | group[node.output]
                    group.update(dict.fromkeys(merged, merged))
    groups: dict[int, tuple[list[Value], set[Value]]] = {}
    for value in sources:
        groups.setdefault(id(group[value]), ([], group[value]))[0].append(value)
    return list(groups.values())


def fingerprint(*arrays: Array) -> bytes:
    """What tells arrays apart: folding makes those of one layer anew for each size of the input."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return found.digest()


def numbering(graph: Graph) -> tuple[dict[Value, int], tuple[str, ...]]:
    """Numbers of values that are the same for graphs of one model at other sizes, and what has to agree for that."""
    names: dict[Value, int] = {value: i for i, value in enumerate(graph.inputs)}
    kinds: list[str] = []
    for node in graph.nodes:
        if node.op in VIEWS:
            continue
        kinds.append(node.op)
        for value in node.outputs:
            names[value] = len(names)
    return names, tuple(kinds)
