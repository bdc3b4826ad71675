"""One sample after another: what a node makes of a sample is still in the cache when the next node reads it.

The nodes at the beginning of a network are repeated for parts of the batch. What they read is sliced and what others
read of them concatenated; neither moves any memory. With several threads each has parts of its own, so that none waits
for another between the nodes; parts that would leave some idle are everyone's, one after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from .. import _core
from .ir import Graph, Node, Value
from .passes import CONVOLUTIONS, VIEWS

POOLS = ("max_pool", "avg_pool", "lp_pool")


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
    largest = max(_bytes(node.output) for node in nodes) // batch
    each = max(1, cache // max(1, 2 * largest))
    if each >= batch:
        return
    strands = 0
    if 1 < threads <= batch:
        each = max(1, min(batch, each) // threads)
        strands = batch // each // threads * threads
    parts = [(start, min(batch, start + each)) for start in range(0, batch, each)]
    graph.nodes[: len(nodes)] = _repeated(graph, nodes, parts, strands)


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
    touched = sum(_bytes(value) for value in (*node.reads(), node.output) if value.constant is None)
    weights = 0
    if node.op in (*CONVOLUTIONS, "narrow_conv") and node.inputs[1] is not None:
        shape = node.inputs[1].shape
        weights = _bytes(node.inputs[1]) * (4 if shape[-1] > 1 else 1)
    return (touched if touched > cache else 0) - (batch - 1) * weights


def _bytes(value: Value) -> int:
    return value.size * value.dtype.itemsize


def _repeated(graph: Graph, region: Sequence[Node], parts: Sequence[tuple[int, int]], strands: int) -> list[Node]:
    """The region's nodes for each part, the first `strands` of them strands, and those that join what others read."""
    inside = {id(node) for node in region}
    made = {node.output for node in region}
    consumers, nodes = graph.consumers(), Graph()
    joined: dict[Value, list[Value]] = {
        value: []
        for value in made
        if value in graph.outputs or any(id(reader) not in inside for reader in consumers.get(value, []))
    }
    for number, (start, end) in enumerate(parts):
        held: dict[Value, Value] = {}

        def part(
            value: Value | None, first: int = start, last: int = end, held: dict[Value, Value] = held
        ) -> Value | None:
            if value is None or value.constant is not None:
                return value
            if value not in held:
                slices = tuple((first if axis == 0 else 0, 1) for axis in range(value.rank))
                shape = (last - first, *value.shape[1:])
                held[value] = nodes.add("slice", [value], shape, value.name, slices=slices)
                held[value].quantisation = value.quantisation
            return held[value]

        for node in region:
            inputs = [part(value) for value in node.inputs]
            y = node.output
            output = Value((end - start, *y.shape[1:]), y.dtype, y.name, quantisation=y.quantisation)
            held[node.output] = output
            strand = number if number < strands else -1
            nodes.nodes.append(
                Node(node.op, inputs, [output], dict(node.attributes), node.name, list(node.origins), strand)
            )
        for value, pieces in joined.items():
            pieces.append(held[value])
    for value, pieces in joined.items():
        nodes.nodes.append(Node("concat", list(pieces), [value], {"axis": 0}, value.name))
    return nodes.nodes
