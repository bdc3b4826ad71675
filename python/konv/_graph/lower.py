"""From a graph to a compiled program: order of memory, locations, and the steps themselves.

Values of three axes and more lie channels-last unless the caller says otherwise of inputs and outputs. Nodes that only
look at memory in another way (reshape, transpose, slice) make no step where strides can say so; what a concatenation
joins is written into its result at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from .ir import Array, Graph, Node, Value
from .memory import Location, Storage, plan_arena, strides_of
from .passes import VIEWS
from .target import CPU, Target
from .tiling import bytes_of

Emit = Callable[[Any], None]  # of the compiled program
UPDATES = ("sgd", "adam")  # of a variable by a gradient, which has to lie in C order
# Nodes whose result may lie wherever it is wanted.
ANYWHERE = (
    "conv", "conv_transpose", "narrow_conv", "max_pool", "avg_pool", "lp_pool", "expression", "resample", "pad",
    "concat", "conv_weight", "batch_norm", "max_pool_gradient", "avg_pool_gradient", "sum", "embed",
)  # fmt: skip


class Weights:
    """Packed weights of the nodes of one model on one target, kept between programs for other shapes."""

    def __init__(self, target: Target = CPU) -> None:
        self.target = target
        self._packed: dict[Any, tuple[Any, Any]] = {}

    def of(self, weight: Array, bias: Array | None, groups: int, transposed: bool, zero: int = 0) -> Any:
        """`zero` stands for zero in the input, of int8 weights."""
        key = (_where(weight), None if bias is None else _where(bias), groups, transposed, zero)
        if key not in self._packed:
            arrays = (_as_buffer(weight), None if bias is None else _as_buffer(bias))
            packed = self.target.node_weights(*arrays, groups, transposed, weight.dtype.name, zero)
            self._packed[key] = (packed, (weight, bias))  # the arrays live as long as their places are keys
        return self._packed[key][0]


def _where(array: Array) -> Any:
    """What views of the same elements have in common."""
    return array.ctypes.data, array.shape


def _as_buffer(array: Array) -> Array:
    """Elements whose dtype NumPy does not know go by their bits."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


class Lowering:
    """One graph on its way; `run` of the result takes the graph's inputs and outputs as arrays."""

    def __init__(self, graph: Graph, weights: Weights, threads: int) -> None:
        self.graph, self.weights, self.threads = graph, weights, threads
        self.target = weights.target
        self.storages: list[Storage] = []
        self.constants: list[tuple[Storage, Array]] = []
        self.bound: list[tuple[Storage, Array]] = []
        self.locations: dict[Value, Location] = {}
        self.steps: list[tuple[Node, Emit, list[Storage]]] = []
        self._last_use = self._find_last_uses()
        read = (value for node in graph.nodes for value in node.reads() if value.constant is not None)
        self._constants = Counter(read)
        self._constant_bytes = sum(map(bytes_of, self._constants))
        self._values: dict[Storage, list[Value]] = {}  # what lies in it
        self.externals = [self._external(value) for value in (*graph.inputs, *graph.outputs)]
        self._place_backwards()
        for number, node in enumerate(graph.nodes):
            self.number = number
            with self._at_work_on(node):
                OPS[node.op](self, node)
        self._finish_outputs()

    # --- locations -------------------------------------------------------------------------------

    def _find_last_uses(self) -> dict[Value, int]:
        """The last node that reads a value, through whatever only looks at its memory."""
        last: dict[Value, int] = dict.fromkeys(self.graph.outputs, len(self.graph.nodes))
        for number in range(len(self.graph.nodes) - 1, -1, -1):
            node = self.graph.nodes[number]
            until = max([number, *(last.get(v, number) for v in node.outputs)]) if node.op in VIEWS else number
            for value in node.reads():
                last[value] = max(last.get(value, -1), until)
        return last

    def _new_storage(self, size: int, dtype: np.dtype[Any], kind: str = "arena") -> Storage:
        storage = Storage(size * dtype.itemsize, kind)
        self.storages.append(storage)
        return storage

    def _external(self, value: Value) -> Storage:
        storage = self._new_storage(value.size, value.dtype, "external")
        if value not in self.locations and value.constant is None:
            self.locations[value] = _whole(storage, value, range(value.rank))
            self._values[storage] = [value]
        return storage

    def fresh(self, value: Value, order: Sequence[int] | None = None) -> Location:
        """Memory of its own, channels-last unless `order` says otherwise."""
        if order is None:
            order = (0, *range(2, value.rank), 1) if value.rank > 2 else range(value.rank)
        storage = self._new_storage(value.size, value.dtype)
        return _whole(storage, value, order)

    def put(self, value: Value, location: Location) -> Location:
        self.locations[value] = location
        self._values.setdefault(location.storage, []).append(value)
        return location

    def _place_backwards(self) -> None:
        """Let what a concatenation joins, or an output is a transposed view of, be written where it ends."""
        makers = self.graph.makers()
        for node in reversed(self.graph.nodes):
            if node.op in UPDATES:
                grad = node.inputs[1]
                if grad is not None and self._can_lie_anywhere(grad, makers):
                    self.put(grad, self.fresh(grad, range(grad.rank)))
            elif node.op == "concat":
                whole = self.locations.get(node.output) or self.put(node.output, self.fresh(node.output))
                axis, start = node.attributes["axis"], 0
                for value in node.reads():
                    part = whole.with_axes(value.shape, whole.strides, start * whole.strides[axis])
                    if self._can_lie_anywhere(value, makers) and node.reads().count(value) == 1:
                        self.put(value, part)
                    start += value.shape[axis]
            elif node.op == "transpose" and node.output in self.locations:
                (value,) = node.reads()
                back = np.argsort(node.attributes["order"])
                if self._can_lie_anywhere(value, makers):
                    self.put(value, self.locations[node.output].transposed(tuple(int(i) for i in back)))
            elif node.op == "reshape" and node.output in self.locations:
                (value,) = node.reads()
                same = self.locations[node.output].reshaped(value.shape)
                if same is not None and self._can_lie_anywhere(value, makers):
                    self.put(value, same)

    def _can_lie_anywhere(self, value: Value, makers: dict[Value, Node]) -> bool:
        maker = makers.get(value)
        return maker is not None and value not in self.locations and (maker.op in ANYWHERE or maker.op in VIEWS)

    def result(self, node: Node, reuse: Sequence[Value] = (), kept: Sequence[Location] = ()) -> Location:
        """Where the node's output goes: where it is wanted, over one of `reuse` that nobody reads later, or anew.

        What lies in `kept` is read while the output is written, element by element where both are alike.
        """
        value = node.output
        if value in self.locations:
            return self.locations[value]
        location = self.fresh(value)
        for other in reuse:
            old = self.locations.get(other)
            if old is None or other.dtype != value.dtype or not old.is_like(location):
                continue
            if old.storage.kind != "arena" or old.storage.bytes != location.storage.bytes:
                continue
            if any(k.storage is old.storage and not (k.offset == old.offset and k.is_like(old)) for k in kept):
                continue
            if all(self._last_use.get(v, -1) <= self.number for v in self._values[old.storage]):
                self.storages.remove(location.storage)
                return self.put(value, replace(old, quantisation=value.quantisation))
        return self.put(value, location)

    def at(self, value: Value) -> Location:
        """Where an input lies; constants get memory of their own, variables have it."""
        if value not in self.locations:
            if value.bound is not None:
                storage = self._new_storage(value.size, value.dtype, "bound")
                self.bound.append((storage, value.bound))
            else:
                assert value.constant is not None, value.name
                storage = self._new_storage(value.size, value.dtype, "constant")
                self.constants.append((storage, _as_buffer(np.asarray(value.constant, order="C"))))
            self.put(value, _whole(storage, value, range(value.rank)))
        return self.locations[value]

    # --- steps -----------------------------------------------------------------------------------

    def step(self, node: Node, emit: Emit, *used: Location | None) -> None:
        self.steps.append((node, emit, [u.storage for u in used if u is not None]))

    def copy(self, node: Node, source: Location, target: Location) -> None:
        threads = self.threads
        self.step(node, lambda p: p.copy(source.place(), target.place(), threads), source, target)

    def contiguous(self, node: Node, value: Value) -> Location:
        """The value in C order, copied where it lies otherwise."""
        source = self.at(value)
        if source.is_contiguous():
            return source
        target = self.fresh(value, range(value.rank))
        self.copy(node, source, target)
        return target

    def _finish_outputs(self) -> None:
        """Outputs that are inputs or constants too, or one another, are copied."""
        count = len(self.graph.inputs)
        for value, storage in zip(self.graph.outputs, self.externals[count:], strict=True):
            if self.at(value).storage is not storage:
                target = _whole(storage, value, range(value.rank))
                self.copy(Node("copy", [value], [value], name="output"), self.at(value), target)

    @contextmanager
    def _at_work_on(self, node: Node) -> Iterator[None]:
        """Let steps of strands take one thread, and errors say which node they are of."""
        threads, self.threads = self.threads, 1 if node.strand >= 0 else self.threads
        try:
            yield
        except ValueError as error:
            raise ValueError(f"node {node.name!r} ({node.op}): {error}") from error
        finally:
            self.threads = threads

    def compile(self) -> tuple[Any, list[Node]]:
        """The program, and the node that each of its steps belongs to."""
        for number, (_, _, used) in enumerate(self.steps):
            for storage in used:
                storage.use(number)
        program = self._program_with_arenas()
        for storage in self.externals:
            storage.buffer = program.add_external(storage.bytes)
        for storage, array in self.constants:
            storage.buffer = program.add_constant(array)
        for storage, array in self.bound:
            storage.buffer = program.add_bound(array)
        strand = -1
        for node, emit, _ in self.steps:
            if node.strand != strand:
                strand = node.strand
                program.set_strand(strand)
            with self._at_work_on(node):
                emit(program)
        return program, [node for node, _, _ in self.steps]

    def bytes_between(self, weight: Value) -> int:
        """What a run reads from one time that it needs a constant to the next, as far as that is other constants."""
        return self._constant_bytes if self._constants[weight] == 1 else 0

    def _program_with_arenas(self) -> Any:
        """An empty program, where storage has its place.

        What the steps of one strand alone use lies in an arena that each thread has, so that strands of one thread find
        it in the cache; anything else that a strand uses is needed as long as any strand of its group runs.
        """
        group, before = 0, -1
        users: dict[Storage, set[tuple[int, int]]] = {}  # group and strand; group 0 has none
        spans: dict[int, range] = {}
        for number, (node, _, used) in enumerate(self.steps):
            if node.strand != before and node.strand <= 0:
                group = max(spans, default=0) + 1 if node.strand == 0 else 0
            before = node.strand
            if group:
                spans[group] = range(spans.get(group, range(number, number)).start, number)
            for storage in used:
                users.setdefault(storage, set()).add((group, node.strand))
        arenas: dict[str, list[Storage]] = {"arena": [], "strand": []}
        for storage, found in users.items():
            if storage.kind != "arena":
                continue
            if len(found) == 1 and (0, -1) not in found:
                storage.kind, storage.buffer = "strand", 1
            else:
                for group, _ in found:
                    if group:
                        storage.use(spans[group].start)
                        storage.use(spans[group].stop)
            arenas[storage.kind].append(storage)
        return self.target.program(plan_arena(arenas["arena"]), plan_arena(arenas["strand"]), self.threads)


def _whole(storage: Storage, value: Value, order: Sequence[int]) -> Location:
    """A value alone in its storage, with its axes in this order."""
    return Location(storage, 0, value.shape, strides_of(value.shape, order), value.dtype, value.quantisation)


OPS: dict[str, Callable[[Lowering, Node], None]] = {}  # filled by lower_forward.py and lower_training.py
