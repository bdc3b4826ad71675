"""Lowering of what predictions need: convolutions, pooling, expressions, views, and what moves elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .ir import Array, Node, Value
from .lower import OPS, Lowering
from .memory import Location, strides_of


def volume(location: Location) -> Location:
    """(n, c, ...) as (n, c, d, h, w)."""
    missing = 5 - len(location.shape)
    if missing == 0:
        return location
    shape, strides = location.shape, location.strides
    return location.with_axes((*shape[:2], *[1] * missing, *shape[2:]), (*strides[:2], *[0] * missing, *strides[2:]))


def _three(values: Sequence[int], fill: int) -> list[int]:
    return [fill] * (3 - len(values)) + [int(v) for v in values]


def _conv(lowering: Lowering, node: Node) -> None:
    a = node.attributes
    x, weight, bias, residual = (*node.inputs, None, None)[:4]
    assert x is not None
    assert weight is not None
    transposed = node.op == "conv_transpose"
    source = volume(lowering.at(x))
    added = None if residual is None else lowering.at(residual)
    apart = added is not None and added.storage is not source.storage
    target = lowering.result(node, [residual] if residual is not None and apart else [])
    if added is not None and not added.is_like(target):
        lowering.copy(node, added, target)
        added = target
    out, more = volume(target), None if added is None else volume(added)
    options = conv_options(lowering, a, weight)
    if weight.constant is not None and (bias is None or bias.constant is not None):
        array = weight.constant.reshape(*weight.shape[:2], *[1] * (5 - weight.rank), *weight.shape[2:])
        vector = None if bias is None else bias.constant
        packed = lowering.weights.of(_kept(weight, array), vector, a["groups"], transposed)

        def emit(p: Any) -> None:
            place = None if more is None else more.place()
            p.conv(source.place(), packed, out.place(), place, transposed, options)

        lowering.step(node, emit, source, target, added)
        return
    kernel, vector_at = volume(lowering.at(weight)), None if bias is None else lowering.contiguous(node, bias)
    direction = "input_gradient" if transposed else "forward"

    def emit_variable(p: Any) -> None:
        places = [None if at is None else at.place() for at in (source, kernel, vector_at, out, more)]
        p.variable_conv(direction, *places, options)

    lowering.step(node, emit_variable, source, kernel, vector_at, target, added)


def _narrow_conv(lowering: Lowering, node: Node) -> None:
    """Of bfloat16, with float32 weights; or of bytes, with int8 weights, an int32 bias and scales of sums."""
    a = node.attributes
    x, weight, bias, residual = (*node.inputs, None, None)[:4]
    assert x is not None
    assert weight is not None
    assert weight.constant is not None
    source = lowering.at(x)
    added = None if residual is None else lowering.at(residual)
    apart = added is not None and added.storage is not source.storage
    target = lowering.result(node, [residual] if residual is not None and apart else [])
    array = _kept(weight, weight.constant.reshape(*weight.shape[:2], *[1] * (5 - weight.rank), *weight.shape[2:]))
    zero = x.quantisation.zero if x.quantisation else 0
    packed = lowering.weights.of(array, None if bias is None else bias.constant, a["groups"], False, zero)
    x5, y5, more = volume(source), volume(target), None if added is None else volume(added)
    options, scale = conv_options(lowering, a, weight), [float(s) for s in a.get("scale", ())]
    size = _core.Program.narrow_conv_scratch(x.dtype.name, x5.shape, array.shape, y5.shape, options)
    byte = np.dtype(np.uint8)
    scratch = Location(lowering._new_storage(size, byte), 0, (size,), (1,), byte)

    def emit(p: Any) -> None:
        place = None if more is None else more.place()
        p.narrow_conv(x5.place(), packed, y5.place(), place, scale, scratch.place(), options)

    lowering.step(node, emit, source, target, added, scratch)


def conv_options(lowering: Lowering, a: dict[str, Any], weight: Value | None = None) -> Any:
    kind, parameter = a.get("activation") or ("none", 0.0)
    between = 0 if weight is None or weight.constant is None else lowering.bytes_between(weight)
    return lowering.target.conv_options(
        _three(a["strides"], 1), _three(a["dilations"], 1), _three([before for before, _ in a["pads"]], 0),
        a["groups"], kind, parameter, lowering.threads, bytes_between=between,
    )  # fmt: skip


def _kept(weight: Value, array: Array) -> Array:
    """The reshaped array, the same one each time."""
    if weight.constant is not array:
        weight.constant = np.ascontiguousarray(array)
        weight.shape = array.shape
    return weight.constant


def _pool(lowering: Lowering, node: Node) -> None:
    source = volume(lowering.at(node.inputs[0]))  # type: ignore[arg-type]
    indices = None
    if len(node.outputs) > 1:
        indices = lowering.put(node.outputs[1], lowering.fresh(node.outputs[1]))
    target = lowering.result(node)
    out, index = volume(target), None if indices is None else volume(indices)
    kind, options = node.op.removesuffix("_pool"), pool_options(lowering, node.attributes)

    def emit(p: Any) -> None:
        p.pool(kind, source.place(), out.place(), None if index is None else index.place(), options)

    lowering.step(node, emit, source, target, indices)


def pool_options(lowering: Lowering, a: dict[str, Any]) -> Any:
    dilations = a.get("dilations", [1] * len(a["kernel"]))
    before, after = (_three([pair[side] for pair in a["pads"]], 0) for side in (0, 1))
    return lowering.target.pool_options(
        _three(a["kernel"], 1), _three(a["strides"], 1), _three(dilations, 1), before, after,
        a.get("count_padding", False), float(a.get("power", 0)), lowering.threads,
    )  # fmt: skip


def _expression(lowering: Lowering, node: Node) -> None:
    inputs = node.reads()
    places = [lowering.at(value) for value in inputs]
    if not node.attributes["code"] and node.output not in lowering.locations and places[0].is_contiguous():
        # A conversion alone is no occasion to turn what the caller gave.
        lowering.put(node.output, lowering.fresh(node.output, range(node.output.rank)))
    target = lowering.result(node, inputs, places)
    shape = node.output.shape
    code, count = [], len(inputs)
    # Register of each instruction's result: the first that nobody reads any more.
    reads: dict[int, int] = {}
    for number, (_, _, registers) in enumerate(node.attributes["code"]):
        for r in registers:
            reads[r] = number
    assigned = {i: i for i in range(count)}
    for number, (op, attributes, registers) in enumerate(node.attributes["code"]):
        taken = {place for r, place in assigned.items() if reads.get(r, -1) >= number}
        free = next(i for i in range(count, 16) if i not in taken)
        a, b = assigned[registers[0]], assigned[registers[-1]]
        kind, name, *parameters = _instruction(op, attributes)
        code.append((kind, name, a, b, free, *parameters))
        assigned[count + number] = free
    text = " ".join(attributes["kind"] for _, attributes, _ in node.attributes["code"])
    repeated = [_repeated(place, shape) for place in places]

    def emit(p: Any) -> None:
        p.elementwise([r.place() for r in repeated], target.place(), code, lowering.threads, text)

    lowering.step(node, emit, target, *places)


FUNCTIONS = (
    "log", "pow", "erf", "elu", "selu", "celu", "softplus", "softsign", "mish",
    "elu_slope", "selu_slope", "softplus_slope", "softsign_slope", "mish_slope",
)  # fmt: skip
ARITHMETIC = (
    "negate", "absolute", "square_root", "reciprocal", "exponential", "floor", "ceil", "round", "sign", "affine",
    "clip", "add", "subtract", "multiply", "divide", "minimum", "maximum", "leaky",
)  # fmt: skip


def _instruction(op: str, attributes: dict[str, Any]) -> tuple[str, str, float, float, float]:
    """(kind, name, p, q, r) of an element-wise node; one marked as a gradient is its activation's derivative."""
    name = attributes["kind"]
    p, q, r = (float(attributes.get(key, 0.0)) for key in "pqr")
    if name == "clipped":
        return "clipped_gradient" if attributes.get("gradient") else name, name, p, q, r
    if attributes.get("gradient"):
        return "gradient", name, p, q, r
    if name in FUNCTIONS:
        return "function", name, p, q, r
    return (op if name in ARITHMETIC else "activation"), name, p, q, r


def _repeated(location: Location, shape: tuple[int, ...]) -> Location:
    """As NumPy broadcasts it."""
    missing = len(shape) - len(location.shape)
    old = ((1,) * missing + location.shape, (0,) * missing + location.strides)
    strides = [0 if n == 1 else s for n, s in zip(*old, strict=True)]
    return location.with_axes(shape, strides)


def _view(lowering: Lowering, node: Node) -> None:
    (value,) = node.reads()
    source = lowering.at(value)
    a = node.attributes
    if node.op == "transpose":
        seen: Location | None = source.transposed(a["order"])
    elif node.op == "slice":
        offset = sum(start * s for (start, _), s in zip(a["slices"], source.strides, strict=True))
        strides = [s * step for (_, step), s in zip(a["slices"], source.strides, strict=True)]
        seen = source.with_axes(node.output.shape, strides, offset)
    else:
        seen = source.reshaped(node.output.shape)
    target = lowering.locations.get(node.output)
    if seen is not None and target is None:
        lowering.put(node.output, seen)
    elif seen is not None and target is not None:
        if not (seen.storage is target.storage and seen.offset == target.offset and seen.is_like(target)):
            lowering.copy(node, seen, target)
    else:
        in_order = lowering.fresh(value, range(value.rank))
        if target is not None:
            same = target.reshaped(value.shape)
            if same is not None:
                lowering.copy(node, source, same)
                return
        lowering.copy(node, source, in_order)
        turned = in_order.reshaped(node.output.shape)
        assert turned is not None
        if target is None:
            lowering.put(node.output, turned)
        else:
            lowering.copy(node, turned, target)


def _concat(lowering: Lowering, node: Node) -> None:
    whole, axis, start = lowering.locations[node.output], node.attributes["axis"], 0
    for value in node.reads():
        part = whole.with_axes(value.shape, whole.strides, start * whole.strides[axis])
        source = lowering.at(value)
        if not (source.storage is part.storage and source.offset == part.offset and source.is_like(part)):
            lowering.copy(node, source, part)
        start += value.shape[axis]


def _pad(lowering: Lowering, node: Node) -> None:
    a = node.attributes
    source, target = lowering.at(node.inputs[0]), lowering.result(node)  # type: ignore[arg-type]
    crop = [
        slice(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(source.shape, a["pads"], strict=True)
    ]
    shape = [len(range(*c.indices(n))) for c, n in zip(crop, source.shape, strict=True)]
    kept = source.with_axes(shape, source.strides, sum(c.start * s for c, s in zip(crop, source.strides, strict=True)))
    inside = sum(max(0, before) * s for (before, _), s in zip(a["pads"], target.strides, strict=True))
    lowering.step(node, lambda p: p.fill(target.place(), a["value"]), target)
    lowering.copy(node, kept, target.with_axes(shape, target.strides, inside))


def _softmax(lowering: Lowering, node: Node) -> None:
    axis, value = node.attributes["axis"], node.inputs[0]
    assert value is not None
    order = [*(i for i in range(value.rank) if i != axis), axis]
    source, target = lowering.at(value), lowering.result(node)
    turned, out = source.transposed(order), target.transposed(order)
    if not turned.is_contiguous():
        storage = lowering._new_storage(value.size, value.dtype)
        copy = Location(storage, 0, turned.shape, strides_of(turned.shape, range(value.rank)), value.dtype)
        lowering.copy(node, turned, copy)
        turned = copy
    direct = out.is_contiguous()
    made = out if direct else turned
    lowering.step(node, lambda p: p.softmax(turned.place(), made.place(), lowering.threads), turned, made)
    if not direct:
        lowering.copy(node, made, out)


def _resample(lowering: Lowering, node: Node) -> None:
    a = node.attributes
    source, target = lowering.at(node.inputs[0]), lowering.result(node)  # type: ignore[arg-type]
    index, weight = [int(i) for i in np.ravel(a["index"])], [float(w) for w in np.ravel(a["weight"])]
    taps = np.shape(a["index"])[1]
    lowering.step(
        node,
        lambda p: p.resample(source.place(), target.place(), a["axis"], taps, index, weight, lowering.threads),
        source, target,
    )  # fmt: skip


OPS.update(
    {
        "conv": _conv,
        "conv_transpose": _conv,
        "narrow_conv": _narrow_conv,
        "max_pool": _pool,
        "avg_pool": _pool,
        "lp_pool": _pool,
        "expression": _expression,
        "reshape": _view,
        "transpose": _view,
        "slice": _view,
        "concat": _concat,
        "pad": _pad,
        "softmax": _softmax,
        "resample": _resample,
    }
)
