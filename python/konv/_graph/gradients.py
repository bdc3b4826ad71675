"""Reverse-mode differentiation: nodes that compute gradients are added to the graph itself.

A rule gets a node and the gradients of its outputs, and returns those of its inputs; it is asked only for what is
wanted. Where a result tells as much as what it was made of (relu, sigmoid), gradients read the result, so that the
activation can be done within the node before it.
"""

# ruff: noqa: ARG001, ARG005 - the rows of a table share their signatures

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .ir import Graph, Node, Value, constant

Gradients = Sequence["Value | None"]


class Differentiation:
    """Gradients of one graph on their way; `of` is the only method for others.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    wanted : sequence of Value
        Whose gradients are asked for.
    """

    def __init__(self, graph: Graph, wanted: Sequence[Value]) -> None:
        self.graph = graph
        self.forward = list(graph.nodes)
        self.readers = graph.consumers()
        self.makers = graph.makers()
        self.undone: set[Value] = set()  # results of a relu whose derivative a later node has taken
        self._grads: dict[Value, Value] = {}
        self._wanted = list(wanted)
        self._reached = set(wanted)
        for node in self.forward:
            if self._reached.intersection(node.reads()):
                self._reached.update(node.outputs)

    def of(self, seeds: dict[Value, Value]) -> list[Value | None]:
        """Return the gradient of each wanted value, None where nothing depends on it, from those of some results."""
        for value, grad in seeds.items():
            self._arrive(value, grad)
        for node in reversed(self.forward):
            arriving = [self._grads.get(value) for value in node.outputs]
            if all(grad is None for grad in arriving) or not self._reached.intersection(node.reads()):
                continue
            if node.op not in RULES:
                raise NotImplementedError(f"no gradient of {node.op}")
            leaving = RULES[node.op](self, node, arriving)
            for read, given in zip(node.inputs, leaving, strict=False):
                if read is not None and given is not None:
                    self._arrive(read, given)
        return [self._grads.get(value) for value in self._wanted]

    def wants(self, value: Value | None) -> bool:
        return value is not None and value in self._reached

    def add(self, op: str, inputs: Sequence[Value | None], shape: Sequence[int], **attributes: Any) -> Value:
        return self.graph.add(op, inputs, shape, **attributes)

    def unary(self, kind: str, x: Value, **parameters: float) -> Value:
        return self.add("unary", [x], x.shape, kind=kind, **parameters)

    def binary(self, kind: str, a: Value, b: Value, **attributes: Any) -> Value:
        return self.add("binary", [a, b], np.broadcast_shapes(a.shape, b.shape), kind=kind, **attributes)

    def number(self, like: Value, number: float) -> Value:
        return constant(np.full((1,) * like.rank, number, like.dtype))

    def only_reader(self, value: Value) -> Node | None:
        readers = self.readers.get(value, [])
        return readers[0] if len(readers) == 1 and value not in self.graph.outputs else None

    def _arrive(self, value: Value, grad: Value) -> None:
        if value not in self._reached:
            return
        assert grad.shape == value.shape, (value.name, grad.shape, value.shape)
        known = self._grads.get(value)
        self._grads[value] = grad if known is None else self.binary("add", known, grad)

    def summed(self, grad: Value, shape: Sequence[int]) -> Value:
        """The gradient of an array that was broadcast to the shape of `grad`."""
        if grad.shape == tuple(shape):
            return grad
        kept = (1,) * (grad.rank - len(shape)) + tuple(shape)
        total = self.add("sum", [grad], kept)
        return total if len(shape) == grad.rank else self.add("reshape", [total], shape)


Rule = Callable[[Differentiation, Node, Gradients], Gradients]
RULES: dict[str, Rule] = {}


def _rule(*ops: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


# --- convolutions and pooling ------------------------------------------------------------------------


@_rule("conv", "conv_transpose")
def _conv(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    x, weight, bias = (*node.inputs, None)[:3]
    (grad,) = grads
    assert x is not None
    assert weight is not None
    assert grad is not None
    a, transposed = node.attributes, node.op == "conv_transpose"
    leaving: list[Value | None] = [None, None, None]
    if d.wants(x):
        leaving[0] = d.add("conv" if transposed else "conv_transpose", [grad, weight], x.shape, **a)
    if d.wants(weight):
        leaving[1] = d.add("conv_weight", [grad, x] if transposed else [x, grad], weight.shape, **a)
    if d.wants(bias):
        leaving[2] = d.add("channel_sum", [grad], bias.shape)  # type: ignore[union-attr]
    return leaving


def _undo_relu_before(d: Differentiation, node: Node, grad: Value) -> Value:
    """A maximum is positive where the relu before it let it pass: its derivative is taken here, of fewer elements."""
    (x,) = node.reads()
    maker = d.makers.get(x)
    if maker is None or d.only_reader(x) is not node:
        return grad
    if maker.op == "unary" and maker.attributes["kind"] in ("relu", "relu6"):
        kind = maker.attributes["kind"]
    elif maker.op == "batch_norm" and maker.attributes["low"] == 0:
        kind = "relu6" if maker.attributes["high"] == 6 else "relu"
    else:
        return grad
    d.undone.add(x)
    return d.binary(kind, node.output, grad, gradient=True)


@_rule("max_pool")
def _max_pool(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    (x,) = node.reads()
    assert grads[0] is not None
    grad = _undo_relu_before(d, node, grads[0])
    if len(node.outputs) == 1:
        node.outputs.append(Value(node.output.shape, np.dtype(np.int64), f"{node.name}.indices"))
    return [d.add("max_pool_gradient", [grad, node.outputs[1]], x.shape, **node.attributes)]


@_rule("avg_pool")
def _avg_pool(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    (x,) = node.reads()
    return [d.add("avg_pool_gradient", [grads[0]], x.shape, **node.attributes)]


@_rule("resample")
def _resample(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    """The transposed table: which results each element went into, and with which weights."""
    (x,), a = node.reads(), node.attributes
    size = x.shape[a["axis"]]
    index = np.asarray(a["index"])
    weight = np.asarray(a["weight"]) if np.size(a["weight"]) else np.ones(index.shape)
    found: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    for out in range(len(index)):
        for tap in range(index.shape[1]):
            found[index[out, tap]].append((out, weight[out, tap]))
    taps = max(1, *(len(row) for row in found))
    rows = [row + [(0, 0.0)] * (taps - len(row)) for row in found]
    table = np.array(rows)
    attributes = {"axis": a["axis"], "index": table[..., 0].astype(np.int64), "weight": table[..., 1]}
    return [d.add("resample", [grads[0]], x.shape, **attributes)]


# --- batch normalisation, softmax, losses ----------------------------------------------------------------


@_rule("batch_norm")
def _batch_norm(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    x, gamma, beta, residual, *_ = node.inputs
    y, mean, deviation = node.outputs
    assert x is not None
    bounded = np.isfinite(node.attributes["low"]) and y not in d.undone
    shapes: list[Sequence[int]] = [x.shape, mean.shape, mean.shape]
    if residual is not None:
        shapes.append(residual.shape)
    inputs = [grads[0], x, y if bounded else None, gamma, mean, deviation]
    made = d.graph.add_many("batch_norm_gradient", inputs, shapes, **node.attributes)
    return [made[0], made[1] if d.wants(gamma) else None, made[2] if d.wants(beta) else None, *made[3:]]


@_rule("softmax")
def _softmax(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    axis, y, grad = node.attributes["axis"], node.output, grads[0]
    assert grad is not None
    order = [*(i for i in range(y.rank) if i != axis), axis]
    shape = tuple(y.shape[i] for i in order)
    rows = (y.size // max(1, y.shape[axis]), y.shape[axis])
    both = [d.add("reshape", [d.add("transpose", [v], shape, order=order)], rows) for v in (y, grad)]
    made = d.add("reshape", [d.add("softmax_gradient", both, rows)], shape)
    return [d.add("transpose", [made], y.shape, order=[int(i) for i in np.argsort(order)])]


@_rule("cross_entropy")
def _cross_entropy(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    assert grads[0] is not None
    each = d.add("reshape", [grads[0]], (*grads[0].shape, 1))
    return [d.binary("multiply", node.outputs[1], each)]


@_rule("dropout")
def _dropout(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    return [d.add("dropout", [grads[0], node.inputs[1]], node.output.shape, **node.attributes)]


# --- memory -------------------------------------------------------------------------------------------


@_rule("reshape")
def _reshape(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    return [d.add("reshape", [grads[0]], node.reads()[0].shape)]


@_rule("transpose")
def _transpose(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    back = [int(i) for i in np.argsort(node.attributes["order"])]
    return [d.add("transpose", [grads[0]], node.reads()[0].shape, order=back)]


@_rule("slice")
def _slice(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    return [d.add("embed", [grads[0]], node.reads()[0].shape, slices=node.attributes["slices"])]


@_rule("concat")
def _concat(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    leaving, axis, start = [], node.attributes["axis"], 0
    for value in node.reads():
        slices = tuple((start if i == axis else 0, 1) for i in range(value.rank))
        leaving.append(d.add("slice", [grads[0]], value.shape, slices=slices))
        start += value.shape[axis]
    return leaving


@_rule("pad")
def _pad(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    slices = tuple((before, 1) for before, _ in node.attributes["pads"])
    return [d.add("slice", [grads[0]], node.reads()[0].shape, slices=slices)]


@_rule("sum")
def _sum(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    (x,) = node.reads()
    return [d.add("unary", [grads[0]], x.shape, kind="affine", p=1.0, q=0.0)]


# --- element by element -------------------------------------------------------------------------------


@_rule("unary")
def _unary(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    (x,), y, grad, a = node.reads(), node.output, grads[0], node.attributes
    assert grad is not None
    kind = a["kind"]
    if y in d.undone:
        return [d.summed(grad, x.shape)]
    if kind in _UNARY:
        return [d.summed(_UNARY[kind](d, x, y, grad, a), x.shape)]
    raise NotImplementedError(f"no gradient of {kind}")


def _by_result(d: Differentiation, x: Value, y: Value, grad: Value, a: dict[str, Any]) -> Value:
    return d.binary(a["kind"], y, grad, gradient=True, p=a.get("p", 0.0))


def _by_argument(d: Differentiation, x: Value, y: Value, grad: Value, a: dict[str, Any]) -> Value:
    parameters = {key: a.get(key, 0.0) for key in "pqr"}
    return d.binary(a["kind"], x, grad, gradient=True, **parameters)


def _times_slope(d: Differentiation, x: Value, y: Value, grad: Value, a: dict[str, Any]) -> Value:
    slope = d.unary(a["kind"] + "_slope", x, p=a.get("p", 0.0), q=a.get("q", 0.0))
    return d.binary("multiply", grad, slope)


def _clip(d: Differentiation, x: Value, y: Value, grad: Value, a: dict[str, Any]) -> Value:
    """One where x lies within the bounds, on them too, as in PyTorch."""
    inside = d.unary("affine", d.unary("absolute", d.unary("sign", d.binary("subtract", x, y))), p=-1.0, q=1.0)
    return d.binary("multiply", grad, inside)


_Slope = Callable[[Differentiation, Value, Value, Value, "dict[str, Any]"], Value]
_UNARY: dict[str, _Slope] = {
    "negate": lambda d, x, y, g, a: d.unary("negate", g),
    "affine": lambda d, x, y, g, a: d.unary("affine", g, p=a["p"], q=0.0),
    "absolute": lambda d, x, y, g, a: d.binary("multiply", g, d.unary("sign", x)),
    "square_root": lambda d, x, y, g, a: d.binary("divide", d.unary("affine", g, p=0.5, q=0.0), y),
    "reciprocal": lambda d, x, y, g, a: d.unary("negate", d.binary("multiply", g, d.binary("multiply", y, y))),
    "exponential": lambda d, x, y, g, a: d.binary("multiply", g, y),
    "log": lambda d, x, y, g, a: d.binary("divide", g, x),
    "sigmoid": lambda d, x, y, g, a: d.binary(
        "multiply", g, d.binary("subtract", y, d.binary("multiply", y, y))
    ),
    "tanh": lambda d, x, y, g, a: d.binary(
        "subtract", g, d.binary("multiply", g, d.binary("multiply", y, y))
    ),
    "relu": _by_result,
    "relu6": _by_result,
    "leaky_relu": _by_argument,
    "silu": _by_argument,
    "gelu": _by_argument,
    "gelu_tanh": _by_argument,
    "hardswish": _by_argument,
    "clipped": _by_argument,
    "elu": _times_slope,
    "selu": _times_slope,
    "softplus": _times_slope,
    "softsign": _times_slope,
    "mish": _times_slope,
    "clip": _clip,
}  # fmt: skip


@_rule("binary")
def _binary(d: Differentiation, node: Node, grads: Gradients) -> Gradients:
    a, b = node.inputs
    grad, kind, y = grads[0], node.attributes["kind"], node.output
    assert a is not None
    assert b is not None
    assert grad is not None
    if a is b:
        return [d.summed(_of_both(d, kind, a, grad), a.shape)]
    leaving: list[Value | None] = [None, None]
    for side, (value, other) in enumerate(((a, b), (b, a))):
        if d.wants(value):
            leaving[side] = d.summed(_of_side(d, kind, side, value, other, y, grad), value.shape)
    return leaving


def _of_both(d: Differentiation, kind: str, a: Value, grad: Value) -> Value:
    """The gradient of an operation on an array and itself."""
    if kind == "multiply":
        return d.binary("multiply", d.unary("affine", grad, p=2.0, q=0.0), a)
    factors = {"add": 2.0, "subtract": 0.0, "divide": 0.0, "minimum": 1.0, "maximum": 1.0}
    return d.unary("affine", grad, p=factors[kind], q=0.0)


def _of_side(d: Differentiation, kind: str, side: int, value: Value, other: Value, y: Value, grad: Value) -> Value:
    if kind == "add" or (kind == "subtract" and side == 0):
        return grad
    if kind == "subtract":
        return d.unary("negate", grad)
    if kind == "multiply":
        return d.binary("multiply", grad, other)
    if kind == "divide":
        each = d.binary("divide", grad, other if side == 0 else value)
        return each if side == 0 else d.unary("negate", d.binary("multiply", each, y))
    if kind in ("minimum", "maximum"):
        # Halves where both are the same, as in PyTorch.
        difference = d.binary("subtract", value, other)
        sign = d.unary("sign", difference)
        return d.binary("multiply", grad, d.unary("affine", sign, p=0.5 if kind == "maximum" else -0.5, q=0.5))
    raise NotImplementedError(f"no gradient of {kind}")
