"""What makes a graph smaller before it runs: work on constants goes into weights, and chains of nodes become one.

Convolutions take a bias, a residual and an activation, in this order, on their way out. What is left of element-wise
nodes becomes expressions, which read their inputs once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .ir import Array, Graph, Node, Value, constant

# Activations that convolutions take, by their names in expressions.
FUSED = ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish")
VIEWS = ("reshape", "transpose", "slice")  # look at memory in another way, where strides can say so
CONVOLUTIONS = ("conv", "conv_transpose")
MOST_INPUTS = 8  # of an expression


def simplify(graph: Graph) -> None:
    """Run all passes until nothing changes."""
    remove_unused(graph)
    while sum(step(graph) for step in PASSES):
        remove_unused(graph)
    fuse_expressions(graph)
    remove_unused(graph)
    place_updates(graph)


def place_updates(graph: Graph) -> None:
    """Put nodes that change a variable behind the last one that reads it or makes what they need, and no later.

    So few gradients live at a time.
    """
    updates = [node for node in graph.nodes if not node.outputs]
    if not updates:
        return
    nodes = [node for node in graph.nodes if node.outputs]
    place = {id(node): i for i, node in enumerate(nodes)}
    last: dict[Value, int] = {}
    for i in range(len(nodes) - 1, -1, -1):
        until = max([i, *(last.get(v, i) for v in nodes[i].outputs)]) if nodes[i].op in VIEWS else i
        for value in nodes[i].reads():
            last[value] = max(last.get(value, -1), until)
    makers = {value: place[id(node)] for node in nodes for value in node.outputs}
    behind: dict[int, list[Node]] = {}
    for node in updates:
        changed, *others = node.reads()
        at = max([last.get(changed, -1), *(makers.get(value, -1) for value in others)])
        behind.setdefault(at, []).append(node)
    graph.nodes = list(behind.get(-1, []))
    for i, node in enumerate(nodes):
        graph.nodes += [node, *behind.get(i, [])]


def remove_unused(graph: Graph) -> None:
    wanted = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if not node.outputs or wanted.intersection(node.outputs):
            wanted.update(node.reads())
            kept.append(node)
    graph.nodes = kept[::-1]


def _only_reader(graph: Graph, consumers: dict[Value, list[Node]], value: Value) -> Node | None:
    """The one node that reads a value which is no output."""
    readers = consumers.get(value, [])
    return readers[0] if len(readers) == 1 and value not in graph.outputs else None


def _each_node(graph: Graph, change: Callable[[Node, dict[Value, list[Node]]], bool]) -> bool:
    """Call `change` for each node; it may change the node and those that read its result, and drop one of these."""
    changed, consumers = False, graph.consumers()
    dropped: set[Node] = set()
    for node in list(graph.nodes):
        if node in dropped or not node.outputs:
            continue
        near = list(dict.fromkeys((node, *consumers.get(node.output, []))))
        read = [other.reads() for other in near]
        if not change(node, consumers):
            continue
        changed = True
        for other, values in zip(near, read, strict=True):
            for value in values:
                consumers[value].remove(other)
            if other is not node and other.outputs and other.output is node.output:
                dropped.add(other)
                continue
            for value in other.reads():
                consumers.setdefault(value, []).append(other)
    return changed


def _is(node: Node | None, op: str, kind: str | None = None) -> bool:
    return node is not None and node.op == op and (kind is None or node.attributes["kind"] == kind)


def _per_channel(value: Value | None, channels: int, rank: int) -> Array | None:
    """A constant that has one number a channel, or one in all, as a vector."""
    if value is None or value.constant is None or value.rank > rank:
        return None
    shape = (1,) * (rank - value.rank) + value.shape
    if any(n != 1 for axis, n in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(value.constant.reshape(-1), channels)


def fold_scales(graph: Graph) -> bool:
    """Products and sums with constants behind a convolution go into its weights and bias."""

    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op not in CONVOLUTIONS or node.inputs[1] is None or node.inputs[1].constant is None:
            return False
        if node.attributes.get("activation") or len(node.inputs) > 3:
            return False
        after = _only_reader(graph, consumers, node.output)
        if after is None or after.op != "binary" or after.attributes["kind"] not in ("multiply", "add", "subtract"):
            return False
        if after.output.shape != node.output.shape:
            return False
        first = after.inputs[0] is node.output
        other = after.inputs[1 if first else 0]
        vector = _per_channel(other, node.output.shape[1], node.output.rank)
        kind = after.attributes["kind"]
        if vector is None or (kind == "subtract" and not first):
            return False
        weight = node.inputs[1].constant
        bias = node.inputs[2].constant if len(node.inputs) > 2 and node.inputs[2] is not None else None
        if bias is None:
            bias = np.zeros(len(vector), weight.dtype)
        if kind == "multiply":
            if node.op == "conv":
                scale = vector.reshape(-1, *[1] * (weight.ndim - 1))
            else:  # (in, out / groups, ...): the outputs of all groups
                groups = node.attributes["groups"]
                each = vector.reshape(groups, 1, -1).repeat(weight.shape[0] // groups, 1)
                scale = each.reshape(weight.shape[0], -1, *[1] * (weight.ndim - 2))
            weight, bias = weight * scale, bias * vector
        else:
            bias = bias + vector if kind == "add" else bias - vector
        node.inputs = [
            node.inputs[0],
            constant(np.ascontiguousarray(weight, node.output.dtype), node.inputs[1].name),
            constant(np.ascontiguousarray(bias, node.output.dtype), node.name + ".bias"),
        ]
        _take_place(graph, node, after)
        return True

    return _each_node(graph, change)


def fold_padding(graph: Graph) -> bool:
    """Zeros around an image are the convolution's own padding."""

    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op != "pad" or node.attributes["value"] != 0 or node.attributes["mode"] != "constant":
            return False
        after = _only_reader(graph, consumers, node.output)
        pads = node.attributes["pads"]
        if after is None or after.op != "conv" or after.inputs[0] is not node.output or min(map(min, pads)) < 0:
            return False
        if any(pads[0]) or any(pads[1]):
            return False
        more = zip(after.attributes["pads"], pads[2:], strict=True)
        after.attributes["pads"] = tuple((a + b, c + d) for (a, c), (b, d) in more)
        after.inputs[0] = node.inputs[0]
        after.take_over(node)
        return True

    return _each_node(graph, change)


def lift_unary(graph: Graph) -> bool:
    """Element-wise nodes come before what only looks at memory in another way, next to what computes."""
    changed, consumers, makers = False, graph.consumers(), graph.makers()
    for node in list(graph.nodes):
        if node.op != "unary" or node.output.shape != node.reads()[0].shape:
            continue
        views: list[Node] = []
        maker = makers.get(node.reads()[0])
        while maker is not None and maker.op in ("reshape", "transpose"):
            if _only_reader(graph, consumers, maker.output) is None:
                break
            views.append(maker)
            maker = makers.get(maker.reads()[0])
        if not views:
            continue
        first, last = views[-1], views[0]
        (x,) = first.reads()
        between, result = Value(x.shape, x.dtype, node.name), node.output
        consumers[x] = [node if reader is first else reader for reader in consumers[x]]
        consumers[between], consumers[last.output] = [first], []
        node.inputs, node.outputs, first.inputs, last.outputs = [x], [between], [between], [result]
        makers[between], makers[result] = node, last
        graph.nodes.remove(node)
        graph.nodes.insert(graph.nodes.index(first), node)
        changed = True
    return changed


def recognise(graph: Graph) -> bool:
    """Recognise that x * sigmoid(x) is silu, x * clip(x / 6 + 1/2, 0, 1) is hardswish, clip(x, 0, 6) is relu6."""
    makers = graph.makers()

    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op == "unary" and node.attributes["kind"] == "clip":
            low, high = node.attributes["p"], node.attributes["q"]
            if low == 0 and high in (6.0, np.inf):
                node.attributes = {"kind": "relu6" if high == 6.0 else "relu"}
                return True
        if node.op != "unary":
            return False
        after = _only_reader(graph, consumers, node.output)
        if after is None or not _is(after, "binary", "multiply"):
            return False
        if node.attributes["kind"] == "sigmoid":
            x, gates, name = node.inputs[0], [node], "silu"
        else:
            line = _line_of_hardswish(graph, consumers, makers.get(node.reads()[0]), node)
            if line is None:
                return False
            x, gates, name = line.inputs[0], [line, node], "hardswish"
        if {id(v) for v in after.inputs} != {id(x), id(node.output)}:
            return False
        after.op, after.inputs, after.attributes = "unary", [x], {"kind": name}
        after.take_over(*gates)
        return True

    return _each_node(graph, change)


def _line_of_hardswish(graph: Graph, consumers: dict[Value, list[Node]], line: Node | None, node: Node) -> Node | None:
    """The node that makes x / 6 + 1/2 where `node` clips it to [0, 1]."""
    a = node.attributes
    if line is None or not _is(line, "unary", "affine") or _only_reader(graph, consumers, line.output) is not node:
        return None
    clips = a["kind"] == "clip" and (a["p"], a["q"]) == (0, 1)
    sixth = abs(line.attributes["p"] - 1 / 6) < 1e-6 and line.attributes["q"] == 0.5
    return line if clips and sixth else None


def fuse_activations(graph: Graph) -> bool:
    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op not in CONVOLUTIONS or node.attributes.get("activation"):
            return False
        after = _only_reader(graph, consumers, node.output)
        if after is None or after.op != "unary" or after.attributes["kind"] not in FUSED:
            return False
        node.attributes["activation"] = (after.attributes["kind"], after.attributes.get("p", 0.0))
        _take_place(graph, node, after)
        return True

    return _each_node(graph, change)


def fuse_residuals(graph: Graph) -> bool:
    """A sum with another array of the result's shape."""

    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op not in CONVOLUTIONS or node.attributes.get("activation") or len(node.inputs) > 3:
            return False
        after = _only_reader(graph, consumers, node.output)
        if not _is(after, "binary", "add") or after is None:
            return False
        other = after.inputs[1 if after.inputs[0] is node.output else 0]
        if other is None or other is node.output or other.shape != node.output.shape or other.constant is not None:
            return False
        if after.output.shape != node.output.shape:
            return False
        node.inputs = [*node.inputs, *[None] * (3 - len(node.inputs)), other]
        _take_place(graph, node, after)
        return True

    return _each_node(graph, change)


def fuse_batch_norm(graph: Graph) -> bool:
    """Normalised results take a residual and a relu on the way: done before gradients, which read them, are added."""

    def change(node: Node, consumers: dict[Value, list[Node]]) -> bool:
        if node.op != "batch_norm" or np.isfinite(node.attributes["low"]):
            return False
        after = _only_reader(graph, consumers, node.output)
        if after is None:
            return False
        if _is(after, "unary", "relu") or _is(after, "unary", "relu6"):
            high = 6.0 if after.attributes["kind"] == "relu6" else np.inf
            node.attributes = node.attributes | {"low": 0.0, "high": high}
        elif _is(after, "binary", "add") and node.inputs[3] is None:
            other = after.inputs[1 if after.inputs[0] is node.output else 0]
            if other is None or other is node.output or other.shape != node.output.shape:
                return False
            node.inputs[3] = other
        else:
            return False
        node.outputs[0] = after.output
        after.take_over(node)
        node.origins = after.origins
        graph.nodes.remove(node)
        graph.nodes[graph.nodes.index(after)] = node
        return True

    return _each_node(graph, change)


def _take_place(graph: Graph, node: Node, after: Node) -> None:
    """`node` makes what `after` made, and runs where that ran."""
    node.outputs = after.outputs
    after.take_over(node)
    node.origins = after.origins
    graph.nodes.remove(node)
    graph.nodes[graph.nodes.index(after)] = node


def fuse_expressions(graph: Graph) -> None:
    """Element-wise nodes whose results have one reader run together with it."""
    for node in graph.nodes:
        if node.op in ("unary", "binary"):
            code = [(node.op, dict(node.attributes), list(range(len(node.inputs))))]
            node.op, node.attributes = "expression", {"code": code}
    consumers, makers = graph.consumers(), graph.makers()
    merged: set[Node] = set()
    for node in graph.nodes:
        while node.op == "expression":
            before = _mergeable(graph, node, consumers, makers)
            if before is None:
                break
            merged.add(before)
            for value in before.reads():
                consumers[value] = [node if reader is before else reader for reader in consumers[value]]
    graph.nodes = [node for node in graph.nodes if node not in merged]


def _mergeable(graph: Graph, node: Node, consumers: dict[Value, list[Node]], makers: dict[Value, Node]) -> Node | None:
    """An expression that `node` alone read and that is part of it now."""
    for value in node.reads():
        before = makers.get(value)
        if before is None or before.op != "expression" or value in graph.outputs:
            continue
        if any(reader is not node for reader in consumers[value]) or value.shape != node.output.shape:
            continue
        if _merge(before, node):
            return before
    return None


def _merge(before: Node, node: Node) -> bool:
    """Put the code of `before` in front of that of `node`. Registers: the inputs, then one for each instruction."""
    inputs: list[Value] = []
    for value in (*before.reads(), *(v for v in node.reads() if v is not before.output)):
        if not any(value is known for known in inputs):
            inputs.append(value)
    length = len(before.attributes["code"]) + len(node.attributes["code"])
    if len(inputs) > MOST_INPUTS or len(inputs) + length > 16:
        return False

    def place(value: Value | None) -> int:
        return next(i for i, known in enumerate(inputs) if known is value)

    code = []
    first = [place(v) for v in before.inputs]
    count = len(before.inputs)
    for op, attributes, registers in before.attributes["code"]:
        code.append((op, attributes, [first[r] if r < count else r - count + len(inputs) for r in registers]))
    made = len(inputs) + len(code) - 1
    second = [made if v is before.output else place(v) for v in node.inputs]
    count, start = len(node.inputs), len(inputs) + len(code)
    for op, attributes, registers in node.attributes["code"]:
        code.append((op, attributes, [second[r] if r < count else r - count + start for r in registers]))
    node.inputs, node.attributes = list(inputs), {"code": code}
    node.take_over(before)
    return True


def prepare_training(graph: Graph) -> None:
    """What has to be joined before gradients are added."""
    while sum(step(graph) for step in (fold_padding, lift_unary, recognise, fuse_batch_norm)):
        remove_unused(graph)


PASSES = (fold_scales, fold_padding, lift_unary, fuse_activations, fuse_residuals, recognise)
