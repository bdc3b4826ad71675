"""Bands of rows through several nodes: what does not fit the cache whole does so a band at a time.

A band's results lie where those of the band before lay, and the next node reads them from the cache. Rows around a band
that a kernel reads are computed again. With several threads each has bands of its own, as with samples (tiling.py).

That pays where moving data takes longer than the arithmetic on it: depthwise convolutions, poolings, and what makes
many channels of few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .. import _core
from .ir import Graph, Node, Value
from .tiling import bytes_of, needed, repeated

LONGEST = 12  # nodes
FEWEST_ROWS = 4  # of a band
# A core multiplies and adds so often while the third-level cache delivers a byte; while a loop that also moves its
# data hides that; and a further step costs what moving so many bytes does.
FLOPS_PER_BYTE = 4
HIDDEN_FLOPS_PER_BYTE = 8
STEP_BYTES = 80_000


def band_rows(graph: Graph, threads: int) -> None:
    """Rewrite the graph where bands of rows are faster than whole images."""
    if any(not node.outputs for node in graph.nodes):
        return  # what trains keeps its values for the way back
    done, consumers = 0, graph.consumers()
    while done < len(graph.nodes):
        best: list[Node] = []
        bands: list[range] = []
        most = 0.0
        for region in _regions(graph, done, consumers, threads):
            parts = _bands(region, threads)
            gain = _bytes_saved(region, parts, threads)
            if gain > most:
                best, bands, most = region, parts, gain
        if best:
            own = best[0].strand
            strands = [i if own < 0 and threads > 1 else own for i in range(len(bands))]
            made = repeated(graph, best, 2, bands, _reads, strands)
            graph.nodes[done : done + len(best)] = made
            done += len(made)
        else:
            done += 1


def _regions(graph: Graph, first: int, consumers: dict[Value, list[Node]], threads: int) -> Iterator[list[Node]]:
    """Nodes from the first on of whose results others read the last one's alone."""
    region: list[Node] = []
    open_values: set[Value] = set()  # that others than the nodes so far read
    for node in graph.nodes[first : first + LONGEST]:
        if not _is_bandable(node) or node.strand != graph.nodes[first].strand:
            return
        if not region and _bytes_touched(node) <= _cache(node, threads):
            return
        region.append(node)
        inside = {id(n) for n in region}
        open_values.add(node.output)
        open_values = {
            v for v in open_values if v in graph.outputs or any(id(n) not in inside for n in consumers.get(v, []))
        }
        if len(region) > 1 and open_values == {node.output}:
            yield list(region)


def _is_bandable(node: Node) -> bool:
    """Whether rows of the result of one image depend on some rows of the inputs."""
    y = node.output
    if len(node.outputs) != 1 or y.rank < 3 or y.shape[0] != 1:
        return False
    if node.op == "expression":
        return all(_has_rows(value, y) or _is_same_for_rows(value, y.rank) for value in node.reads())
    if node.op not in ("conv", "max_pool") or node.reads()[0].constant is not None:
        return False
    if any(value is not None and value.constant is None for value in node.inputs[1:3]):
        return False
    if any(value is not None and not _has_rows(value, y) for value in node.inputs[3:]):
        return False
    return all(0 <= pad < _extent(node) for pad in node.attributes["pads"][0])


def _extent(node: Node) -> int:
    """Rows from the first to the last that a kernel reads."""
    a = node.attributes
    size = a["kernel"][0] if node.op == "max_pool" else node.reads()[1].shape[2]
    return int((size - 1) * a.get("dilations", (1,))[0] + 1)


def _has_rows(value: Value, y: Value) -> bool:
    return value.constant is None and value.rank == y.rank and value.shape[2] == y.shape[2]


def _is_same_for_rows(value: Value, rank: int) -> bool:
    return value.rank < rank - 2 or value.shape[value.rank - rank + 2] == 1


def _reads(node: Node, made: range) -> tuple[list[range | None], dict[str, Any]]:
    a = dict(node.attributes)
    if node.op == "expression":
        return [made if value is not None and _has_rows(value, node.output) else None for value in node.inputs], a
    x, *others = node.inputs
    assert x is not None
    start = made.start * a["strides"][0] - a["pads"][0][0]
    stop = (made.stop - 1) * a["strides"][0] - a["pads"][0][0] + _extent(node)
    a["pads"] = ((max(0, -start), max(0, stop - x.shape[2])), *a["pads"][1:])
    residual = [made] * len(others[2:])
    return [range(max(0, start), min(x.shape[2], stop)), *[None] * len(others[:2]), *residual], a


def _bands(region: Sequence[Node], threads: int) -> list[range]:
    """Rows of the last node, so that the largest node of a band takes half the cache; all alike if they can be."""
    rows, cache = region[-1].output.shape[2], _cache(region[0], threads)
    threads = 1 if region[0].strand >= 0 else threads
    wanted = -(-2 * max(map(_bytes_touched, region)) // max(1, cache)) * threads
    counts = (n for n in range(wanted, wanted + wanted // 2 + 1) if rows % n == 0 and n % threads == 0)
    count = min(next(counts, wanted), rows // FEWEST_ROWS // threads * threads)
    return [range(rows * i // count, rows * (i + 1) // count) for i in range(count)] if count > 1 else []


def _bytes_saved(region: Sequence[Node], bands: Sequence[range], threads: int) -> float:
    """What need not leave the cache, as far as arithmetic does not hide it, less rows computed twice and more steps."""
    if not bands:
        return 0.0
    cache = _cache(region[0], threads)
    rows = {node.output: 0 for node in region}
    for band in bands:
        wanted = needed(region, [region[-1].output], band, _reads)
        for value in rows:
            rows[value] += len(wanted[value])
    saved = 0.0
    for node in region:
        y, flops = node.output, _flops(node)
        if _bytes_touched(node) > cache:
            moved = sum(bytes_of(value) for value in node.reads() if value in rows)
            moved += 2 * bytes_of(y) if node is not region[-1] else 0  # read before it is written
            saved += max(0.0, moved - flops / HIDDEN_FLOPS_PER_BYTE) / 2
        again = rows[y] / y.shape[2] - 1
        saved -= again * (flops / FLOPS_PER_BYTE + _bytes_touched(node) / 2)
    return saved - STEP_BYTES * len(region) * (len(bands) - 1)


def _flops(node: Node) -> float:
    if node.op != "conv":
        return float(node.output.size)
    weight = node.reads()[1]
    return 2.0 * node.output.size * weight.size / weight.shape[0]


def _bytes_touched(node: Node) -> int:
    return sum(bytes_of(value) for value in (*node.reads(), node.output) if value.constant is None)


def _cache(node: Node, threads: int) -> int:
    return _core.l2_cache_bytes() * (1 if node.strand >= 0 else threads)
