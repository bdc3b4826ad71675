"""From a model's graph to the compiler's: what each operation is made of, for inputs whose sizes are known.

A model's arrays are channels-last, the compiler's (n, channels, ...): axes change places here, memory does not. What
trains reads its variables where they lie; what only predicts has them as constants, which the compiler folds and packs.
"""

# ruff: noqa: ARG001 - the rows of a table share their signatures

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from .._graph import ir
from .graph import Graph, Node
from .shapes import INFER
from .variable import Shape, Variable

Windows = dict[str, Any]


@dataclass
class Emission:
    """One model's graph on its way into the compiler's.

    Parameters
    ----------
    graph : ir.Graph
        Gets the nodes.
    training : bool
        Whether statistics are of the batch, and elements are dropped.
    bound : bool
        Whether variables are read where they lie.
    dtype : dtype
        Of all that is computed.
    """

    graph: ir.Graph
    training: bool
    bound: bool
    dtype: np.dtype[Any]
    seeds: ir.Value | None = None  # one number for each dropout
    dropouts: list[Node] = field(default_factory=list)
    _variables: dict[Variable, ir.Value] = field(default_factory=dict)

    def variable(self, variable: Variable) -> ir.Value:
        """The one value that stands for a variable."""
        if variable not in self._variables:
            make = ir.variable(variable.storage, variable.name) if self.bound else ir.constant(variable.storage)
            self._variables[variable] = make
        return self._variables[variable]

    def number(self, number: float, rank: int) -> ir.Value:
        """Return a constant that broadcasts."""
        return ir.constant(np.full((1,) * rank, number, self.dtype))

    def add(self, op: str, inputs: Sequence[ir.Value | None], shape: Sequence[int], **attributes: Any) -> ir.Value:
        """Append a node with one output."""
        return self.graph.add(op, inputs, shape, **attributes)

    def unary(self, kind: str, x: ir.Value, **parameters: float) -> ir.Value:
        """Append a function of each element."""
        return self.add("unary", [x], x.shape, kind=kind, **parameters)

    def binary(self, kind: str, a: ir.Value, b: ir.Value) -> ir.Value:
        """Append an operation on pairs of elements; shapes broadcast."""
        return self.add("binary", [a, b], np.broadcast_shapes(a.shape, b.shape), kind=kind)

    def reshape(self, x: ir.Value, shape: Sequence[int]) -> ir.Value:
        """Return the elements in another shape."""
        return x if x.shape == tuple(shape) else self.add("reshape", [x], shape)

    def transpose(self, x: ir.Value, order: Sequence[int]) -> ir.Value:
        """Return the axes in another order; of a constant at once."""
        if x.constant is not None:
            return ir.constant(np.ascontiguousarray(x.constant.transpose(order)))
        return self.add("transpose", [x], [x.shape[i] for i in order], order=tuple(order))

    def channels_last(self, x: ir.Value) -> ir.Value:
        """Return (n, channels, ...) with the channels at the end."""
        return x if x.rank < 3 else self.transpose(x, (0, *range(2, x.rank), 1))

    def channels_first(self, x: ir.Value) -> ir.Value:
        """Return (n, ..., channels) with the channels behind the batch."""
        return x if x.rank < 3 else self.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))

    def rows(self, x: ir.Value) -> ir.Value:
        """(n, channels, ...) as (n * pixels, channels)."""
        last = self.channels_last(x)
        width = last.shape[-1] if last.rank > 1 else 1
        return self.reshape(last, (prod(last.shape[:-1]) if last.rank > 1 else last.size, width))

    def run(self, model: Graph, inputs: Sequence[ir.Value]) -> dict[int, ir.Value]:
        """Add a model's nodes behind its inputs, which are channels-last; returns the values by their numbers."""
        values = {number: self.channels_first(x) for number, x in zip(model.inputs, inputs, strict=True)}
        shapes: dict[int, Shape] = {number: x.shape for number, x in zip(model.inputs, inputs, strict=True)}
        for node in model.nodes:
            owned = [model.variables[i] for i in node.variables]
            given = [shapes[i] for i in node.inputs]
            shape = INFER[node.op](node.attributes, given, [v.shape for v in owned])
            shapes[node.output] = shape
            out = tuple(int(n) for n in shape if n is not None)
            first = out if len(out) < 3 else (out[0], out[-1], *out[1:-1])
            made = EMIT[node.op](self, node, [values[i] for i in node.inputs], owned, first)
            assert made.shape == first, (node.name, made.shape, first)
            made.name = node.name
            values[node.output] = made
        return values


Emit = Callable[[Emission, Node, "list[ir.Value]", "list[Variable]", "tuple[int, ...]"], ir.Value]
EMIT: dict[str, Emit] = {}


def _emits(*ops: str) -> Callable[[Emit], Emit]:
    def register(emit: Emit) -> Emit:
        EMIT.update(dict.fromkeys(ops, emit))
        return emit

    return register


# --- convolutions ------------------------------------------------------------------------------------


def _pads(
    padding: str, sizes: Sequence[int], out: Sequence[int], extents: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """(before, after) of each axis, by TensorFlow's rule: the odd one comes after."""
    pads = []
    for n, m, extent, stride in zip(sizes, out, extents, strides, strict=True):
        total = max((m - 1) * stride + extent - n, 0)
        before = {"valid": 0, "same": total // 2, "causal": extent - 1}[padding]
        pads.append((before, max(0, total - before)))
    return tuple(pads)


def _extents(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def _convolve(
    e: Emission, op: str, x: ir.Value, weight: ir.Value, bias: list[Variable], shape: tuple[int, ...], **windows: Any
) -> ir.Value:
    return e.add(op, [x, weight, *(e.variable(b) for b in bias)], shape, **windows)


@_emits("conv", "depthwise_conv", "conv_transpose")
def _conv(e: Emission, node: Node, inputs: list[ir.Value], owned: list[Variable], shape: tuple[int, ...]) -> ir.Value:
    (x,), (kernel, *bias), a = inputs, owned, node.attributes
    weight, spatial = e.variable(kernel), len(kernel.shape) - 2
    groups, op = a.get("groups", 1), "conv"
    if node.op == "depthwise_conv":
        groups = kernel.shape[-2]
        outputs = groups * kernel.shape[-1]
        flat = (*kernel.shape[:-2], 1, outputs)
        weight = ir.constant(weight.constant.reshape(flat)) if weight.constant is not None else e.reshape(weight, flat)
    extents = _extents(kernel.shape[:-2], a["dilation"])
    sizes, out = x.shape[2:], shape[2:]
    if node.op == "conv_transpose":
        op, sizes, out = "conv_transpose", out, sizes
    order = (spatial + 1, spatial, *range(spatial))
    windows = {
        "strides": a["stride"],
        "dilations": a["dilation"],
        "groups": groups,
        "pads": _pads(a["padding"], sizes, out, extents, a["stride"]),
    }
    return _convolve(e, op, x, e.transpose(weight, order), bias, shape, **windows)


@_emits("dense")
def _dense(e: Emission, node: Node, inputs: list[ir.Value], owned: list[Variable], shape: tuple[int, ...]) -> ir.Value:
    """As a convolution of one row of pixels."""
    (x,), (kernel, *bias) = inputs, owned
    rows = e.rows(x)
    count, features = rows.shape
    units = kernel.shape[1]
    image = e.transpose(e.reshape(rows, (1, 1, count, features)), (0, 3, 1, 2))
    weight = e.transpose(e.variable(kernel), (1, 0))
    if weight.constant is not None:
        weight = ir.constant(weight.constant[:, :, None, None])
    else:
        weight = e.reshape(weight, (units, features, 1, 1))
    one = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1}
    y = _convolve(e, "conv", image, weight, bias, (1, units, 1, count), **one)
    flat = e.reshape(e.transpose(y, (0, 2, 3, 1)), (count, units))
    if len(shape) < 3:
        return flat
    return e.channels_first(e.reshape(flat, (shape[0], *shape[2:], shape[1])))


# --- pooling and resampling --------------------------------------------------------------------------


@_emits("max_pool", "avg_pool")
def _pool(e: Emission, node: Node, inputs: list[ir.Value], owned: list[Variable], shape: tuple[int, ...]) -> ir.Value:
    (x,), a = inputs, node.attributes
    pads = _pads(a["padding"], x.shape[2:], shape[2:], a["kernel_size"], a["stride"])
    return e.add(node.op, [x], shape, kernel=a["kernel_size"], strides=a["stride"], pads=pads)


@_emits("global_avg_pool", "global_max_pool")
def _global_pool(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    (x,) = inputs
    spatial = x.rank - 2
    windows = {"kernel": x.shape[2:], "strides": (1,) * spatial, "pads": ((0, 0),) * spatial}
    y = e.add(node.op.removeprefix("global_"), [x], (*x.shape[:2], *[1] * spatial), **windows)
    return e.reshape(y, shape)


@_emits("up_sampling")
def _up_sampling(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    """Each axis on its own; "bilinear" has the centres of pixels in place, as Keras and half_pixel of ONNX."""
    (y,), a = inputs, node.attributes
    for axis, factor in enumerate(a["size"], 2):
        if factor == 1:
            continue
        n = y.shape[axis]
        out = np.arange(n * factor)
        if a["interpolation"] == "nearest":
            index, weight = (out // factor)[:, None], np.empty(0)
        else:
            at = np.clip((out + 0.5) / factor - 0.5, 0, n - 1)
            low = np.floor(at).astype(np.int64)
            index = np.stack([low, np.minimum(low + 1, n - 1)], axis=1)
            weight = np.stack([1 - (at - low), at - low], axis=1)
        new = (*y.shape[:axis], n * factor, *y.shape[axis + 1 :])
        y = e.add("resample", [y], new, axis=axis, index=index, weight=weight)
    return y


@_emits("zero_padding")
def _zero_padding(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    pads = ((0, 0), (0, 0), *node.attributes["padding"])
    return e.add("pad", inputs, shape, pads=pads, mode="constant", value=0.0)


# --- normalisation and activations --------------------------------------------------------------------


@_emits("batch_normalization")
def _batch_normalization(
    e: Emission, node: Node, inputs: list[ir.Value], owned: list[Variable], shape: tuple[int, ...]
) -> ir.Value:
    (x,), a = inputs, node.attributes
    names = [*(["gamma"] if a["scale"] else []), *(["beta"] if a["center"] else []), "mean", "variance"]
    variables = dict(zip(names, owned, strict=True))
    if e.training and variables["mean"].updated:
        values = [e.variable(variables[name]) if name in variables else None for name in ("gamma", "beta")]
        moving = [e.variable(variables[name]) for name in ("mean", "variance")]
        channels = (shape[1],)
        bounds = {"low": -np.inf, "high": np.inf, "epsilon": a["epsilon"], "momentum": a["momentum"]}
        return e.graph.add_many(
            "batch_norm", [x, *values, None, *moving], [shape, channels, channels], node.name, **bounds
        )[0]
    each = (1, shape[1], *[1] * (len(shape) - 2))
    if not e.bound:
        scale = 1 / np.sqrt(variables["variance"].storage.astype(np.float64) + a["epsilon"])
        if "gamma" in variables:
            scale = scale * variables["gamma"].storage
        shift = -variables["mean"].storage * scale
        if "beta" in variables:
            shift = shift + variables["beta"].storage
        y = e.binary("multiply", x, ir.constant(scale.astype(e.dtype).reshape(each)))
        return e.binary("add", y, ir.constant(shift.astype(e.dtype).reshape(each)))
    values_of = {name: e.reshape(e.variable(v), each) for name, v in variables.items()}
    variance = e.binary("add", values_of["variance"], e.number(a["epsilon"], len(each)))
    factor = e.unary("reciprocal", e.unary("square_root", variance))
    if "gamma" in values_of:
        factor = e.binary("multiply", factor, values_of["gamma"])
    y = e.binary("multiply", e.binary("subtract", x, values_of["mean"]), factor)
    return e.binary("add", y, values_of["beta"]) if "beta" in values_of else y


@_emits("activation")
def _activation(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    (x,), a = inputs, node.attributes
    kind = a["kind"]
    if kind == "relu":
        return _relu(e, x, a)
    if kind == "hard_sigmoid":
        return e.unary("clip", e.unary("affine", x, p=1 / 6, q=0.5), p=0.0, q=1.0)
    if kind == "gelu":
        return e.unary("gelu_tanh" if a["approximate"] else "gelu", x)
    parameters = {
        "leaky_relu": {"p": a.get("negative_slope", 0.0)},
        "elu": {"p": a.get("alpha", 1.0)},
        "selu": {"p": 1.6732632423543772, "q": 1.0507009873554805},
    }.get(kind, {})
    return e.unary("hardswish" if kind == "hard_silu" else kind, x, **parameters)


def _relu(e: Emission, x: ir.Value, a: Any) -> ir.Value:
    slope, most, threshold = a["negative_slope"], a["max_value"], a["threshold"]
    if threshold == 0 and slope == 0 and most in (6.0, np.inf):
        return e.unary("relu6" if most == 6 else "relu", x)
    if threshold == 0 and most == np.inf:
        return e.unary("leaky_relu", x, p=slope)
    return e.unary("clipped", x, p=slope, q=most, r=threshold)


@_emits("softmax")
def _softmax(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    return e.add("softmax", inputs, shape, axis=1 if len(shape) > 1 else 0)


@_emits("dropout")
def _dropout(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    if not e.training:
        return inputs[0]
    assert e.seeds is not None
    seed = e.add("slice", [e.seeds], (1,), slices=((len(e.dropouts), 1),))
    e.dropouts.append(node)
    return e.add("dropout", [inputs[0], seed], shape, rate=node.attributes["rate"])


@_emits("rescaling")
def _rescaling(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    return e.unary("affine", inputs[0], p=node.attributes["scale"], q=node.attributes["offset"])


@_emits("add", "multiply")
def _merge(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    y = inputs[0]
    for x in inputs[1:]:
        y = e.binary(node.op, y, x)
    return y


# --- shapes -------------------------------------------------------------------------------------------


@_emits("flatten", "reshape")
def _reshape(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    last = shape if len(shape) < 3 else (shape[0], *shape[2:], shape[1])
    return e.channels_first(e.reshape(e.channels_last(inputs[0]), last))


@_emits("concatenate")
def _concatenate(
    e: Emission,
    node: Node,
    inputs: list[ir.Value],
    owned: list[Variable],
    shape: tuple[int, ...],
) -> ir.Value:
    rank = len(shape)
    axis = node.attributes["axis"] % rank
    if rank > 2 and axis > 0:
        axis = 1 if axis == rank - 1 else axis + 1
    return e.add("concat", inputs, shape, axis=axis)
