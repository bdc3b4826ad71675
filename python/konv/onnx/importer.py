"""From an ONNX graph and the shapes of its inputs to graphs that run.

Nodes whose inputs are all known are computed at once, by ONNX's own reference operators: what exporters put around
convolutions (Shape, Gather, Concat of sizes) is gone before anything runs. Nodes of the families that konv computes
become nodes of its own graph; the rest run in NumPy, again by the reference operators, between two graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .._graph.ir import Array, Graph, Value
from .checks import (
    SMALL,
    Allowance,
    Inferred,
    Known,
    UnsupportedError,
    ValueNeededError,
    allowance_of,
    infer,
    naming,
)
from .reference import ReferenceNode
from .report import Report

# Inputs that say how large a result is, or which kind of one: they have to be known before it runs.
SIZES: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,), "BitShift": (), "CenterCropPad": (1,), "Col2Im": (1, 2), "ConstantOfShape": (0,),
    "CumProd": (1,), "CumSum": (1,), "DFT": (1, 2), "Dropout": (2,), "Expand": (1,), "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4), "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2), "Reshape": (1,),
    "Resize": (1, 2, 3), "Slice": (1, 2, 3, 4), "Split": (1,), "Squeeze": (1,), "STFT": (1, 3), "Tile": (1,),
    "TopK": (1,), "Trilu": (1,), "Unsqueeze": (1,), "Upsample": (1,),
    "BlackmanWindow": (0,), "HammingWindow": (0,), "HannWindow": (0,),
    **dict.fromkeys(
        ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
         "ReduceProd", "ReduceSum", "ReduceSumSquare"), (1,)
    ),
}  # fmt: skip


# Results whose sizes depend on what all inputs hold.
DYNAMIC = ("Compress", "NonMaxSuppression", "NonZero", "StringSplit", "TfIdfVectorizer", "Unique")


@dataclass
class NumpyCall:
    """A node that NumPy computes when the network runs."""

    node: onnx.NodeProto
    inputs: list[Known | None]
    outputs: list[Value]
    compute: ReferenceNode

    def __call__(self, arrays: Sequence[Array | None]) -> list[Array]:
        """Compute it."""
        with naming(self.node):
            made = self.compute(arrays)
            results = []
            for name, value, array in zip(self.node.output, self.outputs, made, strict=True):
                if name and array.shape != value.shape:
                    raise ValueError(f"expected a result of shape {value.shape}, got {array.shape}")
                results.append(array.astype(value.dtype, copy=False))
            return results

    def report(self, report: Report, seconds: float = 0.0) -> None:
        """Append it to a report."""
        made = sum(value.size * value.dtype.itemsize for value in self.outputs)
        report.add_call(self.node.name or self.node.op_type, self.node.op_type, made, seconds)


@dataclass
class Network:
    """Graphs and calls in the order in which they run.

    Where the sizes of a node's results depend on what arrays hold, a network ends there: `rest` is the number of that
    node, and `known` what the nodes from there on may read.
    """

    allowance: Allowance
    inputs: list[Value] = field(default_factory=list)
    parts: list[Graph | NumpyCall] = field(default_factory=list)
    outputs: list[Known] = field(default_factory=list)
    rest: int | None = None
    known: dict[str, Known] = field(default_factory=dict)

    def graph(self) -> Graph:
        """The graph that nodes are being added to."""
        if not self.parts or not isinstance(self.parts[-1], Graph):
            self.parts.append(Graph())
        last = self.parts[-1]
        assert isinstance(last, Graph)
        return last


@dataclass
class Context:
    """What the translation of a node sees: the graph to add to, the node, and what its inputs are."""

    graph: Graph
    node: onnx.NodeProto
    opset: int
    inputs: list[Known | None]
    attributes: dict[str, Any]
    allowance: Allowance
    read: Container[str]  # the names of results that other nodes, or the caller, read

    @property
    def name(self) -> str:
        """The node's, or that of its result."""
        return str(self.node.name or self.node.output[0])

    def __getitem__(self, i: int) -> Known | None:
        return self.inputs[i] if i < len(self.inputs) else None

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            raise ValueError(f"axis: expected one from {-rank} to {rank - 1}, got {axis}")
        return int(axis) % rank

    def constant(self, i: int) -> Array | None:
        """Input i if it is known."""
        found = self[i]
        return found if isinstance(found, np.ndarray) else None

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def value(self, known: Known) -> Value:
        """An array as a constant of the graph."""
        return known if isinstance(known, Value) else Value(known.shape, known.dtype, self.name, known)

    def add(self, op: str, inputs: Sequence[Known | None], shape: Sequence[int], **attributes: Any) -> Value:
        """Append a node to the graph; returns its result."""
        values = [None if known is None else self.value(known) for known in inputs]
        first = next(value for value in values if value is not None)
        self.allowance.check(shape, first.dtype)
        if op == "reshape" and prod(shape) != first.size:
            raise ValueError(f"expected as many elements as in shape {first.shape}, got shape {tuple(shape)}")
        if 0 in shape or any(0 in value.shape for value in values if value is not None):
            raise UnsupportedError  # nothing to compute
        result = self.graph.add(op, values, shape, self.name, **attributes)
        self.graph.nodes[-1].origins = [(self.name, self.node.op_type)]
        return result


Translation = Callable[[Context], list[Known]]
TRANSLATIONS: dict[str, Translation] = {}


def translates(*ops: str) -> Callable[[Translation], Translation]:
    """Enter a function for these operators; it raises UnsupportedError where a node is not for it."""

    def register(function: Translation) -> Translation:
        for op in ops:
            TRANSLATIONS[op] = function
        return function

    return register


def attribute_values(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values, tensors as arrays."""
    found = {}
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode()
        elif isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        found[attribute.name] = value
    return found


class Importer:
    """Makes networks of a checked model, each for one set of input shapes."""

    def __init__(self, model: onnx.ModelProto, constants: Mapping[str, Array], max_memory: int | None) -> None:
        self.constants = constants
        self.nodes = list(model.graph.node)
        self.outputs = [output.name for output in model.graph.output]
        self.read = {*self.outputs, *(name for node in self.nodes for name in node.input if name)}
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
        self._constant_bytes, self._max_memory = sum(a.nbytes for a in constants.values()), max_memory

    def network(self, inputs: Mapping[str, Known], start: int = 0) -> Network:
        """The network of the nodes from `start` on, for inputs that are values, or arrays where they are known.

        Raises
        ------
        ValueNeededError
            Some of these inputs, which are small, say how large other arrays are.
        ValueError
            A node cannot be computed, or would take too much memory.
        """
        network = Network(self._allowance(inputs.values()), known={**self.constants, **inputs})
        network.inputs = [value for value in inputs.values() if isinstance(value, Value)]
        origins: dict[Value, set[str]] = {v: {name} for name, v in inputs.items() if isinstance(v, Value)}
        small = {name for name, v in inputs.items() if isinstance(v, Value) and v.size <= SMALL}
        known = network.known
        for number, node in enumerate(self.nodes[start:], start):
            with naming(node):
                given = [known[name] if name else None for name in node.input]
                inferred = infer(node, self.opset, given, network.allowance)
                needed = self._sizes_needed(node, given)
                moving = any(isinstance(value, Value) for value in given)
                if needed or (moving and node.op_type in DYNAMIC):
                    from_inputs = set().union(*(origins[v] for v in needed)) if needed else set()
                    if needed and from_inputs <= small:
                        raise ValueNeededError(from_inputs)
                    network.rest = number
                    break
                results = self._results(network, node, given, inferred)
                source = set().union(*(origins.get(v, set()) for v in given if isinstance(v, Value)))
                origins.update((r, source) for r in results if isinstance(r, Value))
                known.update(zip(node.output, results, strict=True))
        network.parts = [part for part in network.parts if isinstance(part, NumpyCall) or part.nodes]
        names = self.outputs if network.rest is None else self._read_from(network.rest, known)
        network.outputs = [known[name] for name in names]
        network.known = {name: known[name] for name in names}
        _connect(network)
        return network

    def compute(self, number: int, known: Mapping[str, Array]) -> dict[str, Array]:
        """The results of one node for arrays by name."""
        node = self.nodes[number]
        with naming(node):
            given: list[Known | None] = [known[name] if name else None for name in node.input]
            results = self._folded(node, given, infer(node, self.opset, given, self._allowance(known.values())))
        return dict(zip(node.output, results, strict=True))

    def _allowance(self, inputs: Iterable[Known]) -> Allowance:
        if self._max_memory is not None:
            return Allowance(self._max_memory)
        return allowance_of(self._constant_bytes, sum(known.size * known.dtype.itemsize for known in inputs))

    def _results(
        self, network: Network, node: onnx.NodeProto, given: list[Known | None], inferred: list[Inferred]
    ) -> Sequence[Known]:
        """A node's results: arrays where they are known, else values of the graph or of a call."""
        if not any(isinstance(value, Value) for value in given):
            arrays = self._folded(node, given, inferred)
            for array in arrays:
                network.allowance.keep(array)
            return arrays
        try:
            return self._translate(network, node, given)
        except UnsupportedError:
            call = self._call(node, given, inferred)
            network.parts.append(call)
            return call.outputs

    def _read_from(self, number: int, known: Mapping[str, Known]) -> list[str]:
        """The names that exist and that nodes from this one on, or the caller, read; constants of the model aside."""
        read = [name for node in self.nodes[number:] for name in node.input] + self.outputs
        return [name for name in dict.fromkeys(read) if name in known and name not in self.constants]

    def _sizes_needed(self, node: onnx.NodeProto, given: Sequence[Known | None]) -> list[Value]:
        found = []
        for i in SIZES.get(node.op_type, ()):
            value = given[i] if i < len(given) else None
            if isinstance(value, Value):
                found.append(value)
        return found

    def _translate(self, network: Network, node: onnx.NodeProto, given: list[Known | None]) -> list[Known]:
        if node.op_type not in TRANSLATIONS:
            raise UnsupportedError
        graph = network.graph()
        context = Context(graph, node, self.opset, given, attribute_values(node), network.allowance, self.read)
        before = len(graph.nodes)
        try:
            return TRANSLATIONS[node.op_type](context)
        except UnsupportedError:
            del graph.nodes[before:]
            raise

    def _reference(self, node: onnx.NodeProto, given: Sequence[Known | None]) -> ReferenceNode:
        return ReferenceNode(node, self.opset, [None if known is None else known.dtype for known in given])

    def _folded(self, node: onnx.NodeProto, given: Sequence[Known | None], inferred: Sequence[Inferred]) -> list[Array]:
        """The results for arrays."""
        results = self._reference(node, given)(given)  # type: ignore[arg-type]
        return [r.astype(i.dtype or r.dtype, copy=False) for r, i in zip(results, inferred, strict=True)]

    def _call(self, node: onnx.NodeProto, given: list[Known | None], inferred: Sequence[Inferred]) -> NumpyCall:
        """A call; where ONNX does not infer the results a trial does, with ones, or zeros, which may be indices."""
        compute = self._reference(node, given)
        made: Sequence[Inferred | Array] = inferred
        if any(name and (i.shape is None or i.dtype is None) for name, i in zip(node.output, inferred, strict=True)):
            made = compute([
                (np.zeros if v.dtype.kind in "iu" else np.ones)(v.shape, v.dtype) if isinstance(v, Value) else v
                for v in given
            ])  # fmt: skip
        outputs = [
            Value(r.shape or (), r.dtype or np.dtype(np.uint8), name) for r, name in zip(made, node.output, strict=True)
        ]
        return NumpyCall(node, given, outputs, compute)


def _connect(network: Network) -> None:
    """Say what each graph reads from outside, and what of its values others read."""
    read_later = [v for v in network.outputs if isinstance(v, Value)]
    for part in reversed(network.parts):
        if isinstance(part, NumpyCall):
            read_later += [v for v in part.inputs if isinstance(v, Value)]
            continue
        made = {v for node in part.nodes for v in node.outputs}
        part.outputs = list(dict.fromkeys(v for v in read_later if v in made))
        read = [v for node in part.nodes for v in node.reads() if v.constant is None]
        part.inputs = list(dict.fromkeys(v for v in read if v not in made))
        read_later += part.inputs
