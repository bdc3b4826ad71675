"""Lowering of what only training needs: gradients, batch statistics, losses, and updates of variables."""

from __future__ import annotations

from math import prod
from typing import Any

from .. import _core
from .ir import Node, Value
from .lower import OPS, Lowering
from .lower_forward import conv_options, pool_options, volume
from .memory import Location


def _place(location: Location | None) -> Any:
    return None if location is None else location.place()


def _rows(location: Location) -> Location | None:
    """(n, c, ...) as rows of channels, where memory allows it."""
    if len(location.shape) != 2:
        channels = location.shape[1]
        last = location.transposed((0, *range(2, len(location.shape)), 1))
        seen = last.reshaped((prod(location.shape) // max(channels, 1), channels))
        if seen is None:
            return None
        location = seen
    return location if location.shape[1] == 1 or location.strides[1] == 1 else None


def _rows_of(lowering: Lowering, node: Node, value: Value) -> Location:
    """An input as rows of channels, copied where it lies otherwise."""
    source = lowering.at(value)
    seen = _rows(source)
    if seen is None:
        copy = lowering.fresh(value)
        lowering.copy(node, source, copy)
        seen = _rows(copy)
        assert seen is not None
    return seen


def _write_rows(lowering: Lowering, target: Location, value: Value) -> tuple[Location, Location | None]:
    """Where rows are to be written; and, where that is not the target itself, the image that is copied there after."""
    seen = _rows(target)
    if seen is not None:
        return seen, None
    image = lowering.fresh(value)
    seen = _rows(image)
    assert seen is not None
    return seen, image


def _new(lowering: Lowering, value: Value) -> Location:
    """Memory of a further result."""
    return lowering.locations.get(value) or lowering.put(value, lowering.fresh(value))


def _norm_scratch(lowering: Lowering, rows: Location) -> Location:
    size = _core.Program.batch_norm_scratch(*rows.shape)
    return Location(lowering._new_storage(size, rows.dtype), 0, (size,), (1,), rows.dtype)


def _norm_options(lowering: Lowering, a: dict[str, Any]) -> Any:
    return _core.Program.BatchNorm(a["epsilon"], a["low"], a["high"], a["momentum"], lowering.threads)


def _batch_norm(lowering: Lowering, node: Node) -> None:
    x, gamma, beta, residual, moving_mean, moving_variance = node.inputs
    y, mean, deviation = node.outputs
    assert x is not None
    source = _rows_of(lowering, node, x)
    added = None if residual is None else _rows_of(lowering, node, residual)
    reuse = [x] if residual is None else [residual, x]
    kept = [] if residual is None else [lowering.at(residual)]
    target = lowering.result(node, reuse, kept)
    out, image = _write_rows(lowering, target, y)
    results = [_new(lowering, mean), _new(lowering, deviation)]
    vectors = [None if v is None else lowering.at(v) for v in (gamma, beta, moving_mean, moving_variance)]
    places = [out, *vectors[:2], added, *results, *vectors[2:]]
    scratch, options = _norm_scratch(lowering, source), _norm_options(lowering, node.attributes)

    def emit(p: Any) -> None:
        p.batch_norm(source.place(), *map(_place, places), scratch.place(), options)

    lowering.step(node, emit, source, scratch, *places)
    if image is not None:
        lowering.copy(node, image, target)


def _batch_norm_gradient(lowering: Lowering, node: Node) -> None:
    grad, x, y, gamma, mean, deviation = node.inputs
    assert grad is not None
    assert x is not None
    arriving, source = _rows_of(lowering, node, grad), _rows_of(lowering, node, x)
    result = None if y is None else _rows_of(lowering, node, y)
    masked = _new(lowering, node.outputs[3]) if len(node.outputs) > 3 else None
    masked_rows = None if masked is None else _rows(masked)
    assert masked is None or masked_rows is not None
    target = lowering.result(node, [grad, x])
    out, image = _write_rows(lowering, target, node.output)
    vectors = [None if v is None else lowering.at(v) for v in (gamma, mean, deviation)]
    sums = [_new(lowering, v) for v in node.outputs[1:3]]
    used = [arriving, source, result, out, masked_rows, *vectors, *sums]
    scratch, options = _norm_scratch(lowering, source), _norm_options(lowering, node.attributes)

    def emit(p: Any) -> None:
        p.batch_norm_gradient(*map(_place, used), scratch.place(), options)

    lowering.step(node, emit, scratch, *used)
    if image is not None:
        lowering.copy(node, image, target)


def _conv_weight(lowering: Lowering, node: Node) -> None:
    x, grad = (volume(lowering.at(value)) for value in node.reads())
    target = lowering.result(node)
    out, options = volume(target), conv_options(lowering, node.attributes)

    def emit(p: Any) -> None:
        p.variable_conv("weight_gradient", x.place(), grad.place(), None, out.place(), None, options)

    lowering.step(node, emit, x, grad, target)


def _channel_sum(lowering: Lowering, node: Node) -> None:
    source, target = lowering.at(node.inputs[0]), lowering.result(node)  # type: ignore[arg-type]
    if len(source.shape) == 2:
        (n, c), (sn, sc) = source.shape, source.strides
        image = source.with_axes((1, c, 1, 1, n), (0, sc, 0, 0, sn))
    else:
        image = volume(source)
    lowering.step(
        node, lambda p: p.bias_gradient(image.place(), target.place(), lowering.threads), source, target
    )  # fmt: skip


def _pool_gradient(lowering: Lowering, node: Node) -> None:
    grad = volume(lowering.at(node.inputs[0]))  # type: ignore[arg-type]
    indices = volume(lowering.at(node.reads()[1])) if len(node.reads()) > 1 else None
    target = lowering.result(node)
    out, options = volume(target), pool_options(lowering, node.attributes)
    lowering.step(
        node, lambda p: p.pool_gradient(grad.place(), _place(indices), out.place(), options), grad, indices, target
    )  # fmt: skip


def _sum(lowering: Lowering, node: Node) -> None:
    source, target = lowering.at(node.inputs[0]), lowering.result(node)  # type: ignore[arg-type]
    lowering.step(node, lambda p: p.sum(source.place(), target.place(), lowering.threads), source, target)


def _embed(lowering: Lowering, node: Node) -> None:
    """Zeros but for a part: the gradient of a slice."""
    source, target = lowering.at(node.inputs[0]), lowering.result(node)  # type: ignore[arg-type]
    offset, strides = 0, []
    for (start, step), stride in zip(node.attributes["slices"], target.strides, strict=True):
        offset += start * stride
        strides.append(step * stride)
    lowering.step(node, lambda p: p.fill(target.place(), 0.0), target)
    lowering.copy(node, source, target.with_axes(source.shape, strides, offset))


def _cross_entropy(lowering: Lowering, node: Node) -> None:
    scores, labels = (lowering.contiguous(node, value) for value in node.reads())
    loss, grad = (lowering.put(v, lowering.fresh(v, range(v.rank))) for v in node.outputs)
    lowering.step(
        node, lambda p: p.cross_entropy(scores.place(), labels.place(), loss.place(), grad.place(), lowering.threads),
        scores, labels, loss, grad,
    )  # fmt: skip


def _softmax_gradient(lowering: Lowering, node: Node) -> None:
    """Of rows: (rows, columns)."""
    y, grad = (lowering.contiguous(node, value) for value in node.reads())
    target = lowering.put(node.output, lowering.fresh(node.output, range(2)))
    lowering.step(
        node, lambda p: p.softmax_gradient(y.place(), grad.place(), target.place(), lowering.threads), y, grad, target
    )  # fmt: skip


def _dropout(lowering: Lowering, node: Node) -> None:
    """Elements count in the order of memory, which is the same for a value and its gradient."""
    value, seed = node.reads()
    rank, a = value.rank, node.attributes
    order = (0, *range(2, rank), 1) if rank > 2 else tuple(range(rank))
    source = lowering.at(value).transposed(order)
    if not source.is_contiguous():
        copy = lowering.fresh(value)
        lowering.copy(node, lowering.at(value), copy)
        source = copy.transposed(order)
    out = lowering.put(node.output, lowering.fresh(node.output)).transposed(order)
    at = lowering.at(seed)
    lowering.step(
        node, lambda p: p.dropout(source.place(), out.place(), at.place(), a["rate"], lowering.threads),
        source, out, at,
    )  # fmt: skip


def _update(lowering: Lowering, node: Node) -> None:
    """Inputs: the variable, its gradient, what the optimizer keeps, and the rates."""
    a = node.attributes
    value, grad, *kept, rates = node.inputs
    assert value is not None
    assert grad is not None
    assert rates is not None
    places = [
        lowering.at(value),
        lowering.contiguous(node, grad),
        *(None if k is None else lowering.at(k) for k in kept),
    ]
    at = lowering.at(rates)

    def emit(p: Any) -> None:
        if node.op == "sgd":
            p.sgd(*map(_place, places), at.place(), a["momentum"], a["nesterov"], lowering.threads)
        else:
            p.adam(*map(_place, places), at.place(), a["beta_1"], a["beta_2"], a["epsilon"], lowering.threads)

    lowering.step(node, emit, *places, at)


OPS.update(
    batch_norm=_batch_norm,
    batch_norm_gradient=_batch_norm_gradient,
    conv_weight=_conv_weight,
    channel_sum=_channel_sum,
    max_pool_gradient=_pool_gradient,
    avg_pool_gradient=_pool_gradient,
    sum=_sum,
    embed=_embed,
    cross_entropy=_cross_entropy,
    softmax_gradient=_softmax_gradient,
    dropout=_dropout,
    sgd=_update,
    adam=_update,
)
