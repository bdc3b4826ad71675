"""One sample after another: what a node makes of a sample is still in the cache when the next node reads it.

The nodes at the beginning of a network are repeated for parts of the batch. What they read is sliced and what others
read of them concatenated; neither moves any memory. With several threads each has parts of its own, so that none waits
for another between the nodes; parts that would leave some idle are everyone's, one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any

from .. import _core
from .ir import Graph, Node, Value
from .passes import CONVOLUTIONS, VIEWS

POOLS = ("max_pool", "avg_pool", "lp_pool")

# For a part of a node's result: the part of each input that it needs, None for one that it needs whole, and the
# attributes of the node that makes this part of those.
Reads = Callable[[Node, range], tuple[Sequence[range | None], dict[str, Any]]]


def tile_batch(graph: Graph, threads: int) -> None:
    """Rewrite the graph where a few samples at a time are faster than all of them."""
    batch = graph.inputs[0].shape[0] if graph.inputs and graph.inputs[0].rank else 0
    if batch < 2 or any(value.shape[:1] != (batch,) for value in graph.inputs):
        return
    if any(not node.outputs for node in graph.nodes):
        return  # what trains keeps its values for the way back
    nodes: list[Node] = []
    for node in graph.nodes:
        if not _is_separable(node, batch):
            break
        nodes.append(node)
    cache = _core.l2_cache_bytes() * threads
    saved = list(accumulate(_bytes_saved(node, batch, cache) for node in nodes))
    del nodes[saved.index(max(saved)) + 1 if saved else 0 :]
    if len(nodes) < 2:
        return
    largest = max(bytes_of(node.output) for node in nodes) // batch
    each = max(1, cache // max(1, 2 * largest))
    if each >= batch:
        return
    strands = 0
    if 1 < threads <= batch:
        each = max(1, min(batch, each) // threads)
        strands = batch // each // threads * threads
    parts = [range(start, min(batch, start + each)) for start in range(0, batch, each)]
    numbers = [i if i < strands else -1 for i in range(len(parts))]
    graph.nodes[: len(nodes)] = repeated(graph, nodes, 0, parts, _samples, numbers)


def _samples(node: Node, made: range) -> tuple[list[range | None], dict[str, Any]]:
    used = [None if value is None or value.constant is not None else made for value in node.inputs]
    return used, dict(node.attributes)


def _is_separable(node: Node, batch: int) -> bool:
    """Whether a sample's result depends on that sample of the inputs alone."""
    y, a = node.output, node.attributes
    if len(node.outputs) != 1 or y.shape[:1] != (batch,):
        return False
    if node.op in ("unary", "binary", "expression"):
        return all(_is_spread(value, y.rank, batch) for value in node.reads())
    x, *others = node.inputs
    if x is None or x.constant is not None or x.shape[:1] != (batch,):
        return False
    if node.op in (*CONVOLUTIONS, "narrow_conv"):
        return all(value is None or value.constant is not None for value in others[:2])
    if node.op in ("concat", "resample", "softmax"):
        return bool(a["axis"] != 0)
    if node.op == "transpose":
        return bool(a["order"][0] == 0)
    if node.op == "pad":
        return tuple(a["pads"][0]) == (0, 0)
    return node.op in (*POOLS, "reshape", "slice")


def _is_spread(value: Value, rank: int, batch: int) -> bool:
    """Whether an operand has one part a sample, or is a constant that all samples share."""
    has_batch = value.rank == rank
    if value.constant is not None:
        return not has_batch or value.shape[0] == 1
    return has_batch and value.shape[0] == batch


def _bytes_saved(node: Node, batch: int, cache: int) -> int:
    """What a node reads and writes beyond the cache with all samples at once, less the weights that each reads again.

    Weights of 3x3 kernels count four times: that is how large Winograd's are.
    """
    if node.op in VIEWS:
        return 0
    touched = sum(bytes_of(value) for value in (*node.reads(), node.output) if value.constant is None)
    weights = 0
    if node.op in (*CONVOLUTIONS, "narrow_conv") and node.inputs[1] is not None:
        shape = node.inputs[1].shape
        weights = bytes_of(node.inputs[1]) * (4 if shape[-1] > 1 else 1)
    return (touched if touched > cache else 0) - (batch - 1) * weights


def bytes_of(value: Value) -> int:
    return value.size * value.dtype.itemsize


def needed(region: Sequence[Node], outputs: Iterable[Value], part: range, reads: Reads) -> dict[Value, range]:
    """What of each value the part of the region's outputs depends on."""
    wanted = dict.fromkeys(outputs, part)
    for node in reversed(region):
        for value, used in zip(node.inputs, reads(node, wanted[node.output])[0], strict=True):
            if value is not None and used is not None:
                known = wanted.get(value, used)
                wanted[value] = range(min(used.start, known.start), max(used.stop, known.stop))
    return wanted


def repeated(
    graph: Graph, region: Sequence[Node], axis: int, parts: Sequence[range], reads: Reads, strands: Sequence[int]
) -> list[Node]:
    """The region's nodes for each part of what others read of them, and those that join it."""
    inside = {id(node) for node in region}
    consumers, nodes = graph.consumers(), Graph()
    joined: dict[Value, list[Value]] = {
        node.output: []
        for node in region
        if node.output in graph.outputs or any(id(reader) not in inside for reader in consumers.get(node.output, []))
    }
    for part, strand in zip(parts, strands, strict=True):
        wanted = needed(region, joined, part, reads)
        held: dict[Value, Value] = {}
        for node in region:
            used_ranges, attributes = reads(node, wanted[node.output])
            inputs: list[Value | None] = []
            for value, used in zip(node.inputs, used_ranges, strict=True):
                if value is None or used is None:
                    inputs.append(value)
                elif value not in held:
                    inputs.append(_cut(nodes, value, axis, used, 0))
                else:
                    inputs.append(_cut(nodes, held[value], axis, used, wanted[value].start))
            y = node.output
            shape = [len(wanted[y]) if i == axis else n for i, n in enumerate(y.shape)]
            held[y] = Value(tuple(shape), y.dtype, y.name, quantisation=y.quantisation)
            nodes.nodes.append(Node(node.op, inputs, [held[y]], attributes, node.name, list(node.origins), strand))
        for value, pieces in joined.items():
            pieces.append(held[value])
    for value, pieces in joined.items():
        nodes.nodes.append(Node("concat", list(pieces), [value], {"axis": axis}, value.name))
    return nodes.nodes


def _cut(nodes: Graph, value: Value, axis: int, used: range, first: int) -> Value:
    """The used part of a value that begins with `first`; the value itself where that is all of it."""
    if len(used) == value.shape[axis]:
        return value
    slices = tuple((used.start - first if i == axis else 0, 1) for i in range(value.rank))
    shape = [len(used) if i == axis else n for i, n in enumerate(value.shape)]
    part = nodes.add("slice", [value], shape, value.name, slices=slices)
    part.quantisation = value.quantisation
    return part
