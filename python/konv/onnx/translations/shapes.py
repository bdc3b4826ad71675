"""What moves elements, looks at them in another way, or resamples them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from ..._graph.ir import Value
from ..checks import Known, UnsupportedError
from ..importer import Context, translates
from ..resize import resize_tables
from .common import float_value

# --- shapes ------------------------------------------------------------------------------------------


@translates("Shape")
def shape(context: Context) -> list[Known]:
    known = context[0]
    assert known is not None
    sizes = known.shape[slice(context.get("start", 0), context.get("end"))]
    return [np.array(sizes, np.int64)]


@translates("Size")
def size(context: Context) -> list[Known]:
    known = context[0]
    assert known is not None
    return [np.array(np.prod(known.shape, dtype=np.int64))]


@translates("Identity", "Dropout")
def identity(context: Context) -> list[Known]:
    known = context[0]
    assert known is not None
    training = context.constant(2) if context.node.op_type == "Dropout" else None
    _, *masks = context.node.output
    if any(name in context.read for name in masks) or (training is not None and training.any()):
        raise UnsupportedError
    return [known, *[known for _ in masks]]


def _seen(context: Context) -> Value:
    """An input of any type that is only looked at or moved."""
    known = context[0]
    if not isinstance(known, Value) or known.rank > 8 or known.dtype.kind not in "fiub" or known.dtype.name in UNMOVED:
        raise UnsupportedError
    return known


UNMOVED = ("float16", "uint16", "uint32", "uint64")


def _reshaped(context: Context, x: Value, shape: Sequence[int]) -> list[Known]:
    if len(shape) > 8:
        raise UnsupportedError
    return [context.add("reshape", [x], shape)]


@translates("Reshape")
def reshape(context: Context) -> list[Known]:
    x = _seen(context)
    wanted = context.constant(1) if context.opset >= 5 else np.array(context.get("shape"))
    if wanted is None:
        raise UnsupportedError
    sizes = [int(n) for n in wanted]
    if not context.get("allowzero", 0):
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.size // max(1, -prod(sizes))
    return _reshaped(context, x, sizes)


@translates("Flatten")
def flatten(context: Context) -> list[Known]:
    x = _seen(context)
    axis = context.get("axis", 1)
    axis = axis if axis == x.rank else context.axis(axis, x.rank)
    return _reshaped(context, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def _axes(context: Context) -> list[int] | None:
    if context.opset < 13:
        found = context.get("axes")
        return None if found is None else list(found)
    if context[1] is None:
        return None
    given = context.constant(1)
    if given is None:
        raise UnsupportedError
    return [int(a) for a in given]


@translates("Squeeze")
def squeeze(context: Context) -> list[Known]:
    x, axes = _seen(context), _axes(context)
    gone = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else {context.axis(a, x.rank) for a in axes}
    return _reshaped(context, x, [n for i, n in enumerate(x.shape) if i not in gone])


@translates("Unsqueeze")
def unsqueeze(context: Context) -> list[Known]:
    x, axes = _seen(context), _axes(context)
    assert axes is not None
    rank = x.rank + len(axes)
    new, sizes = {context.axis(a, rank) for a in axes}, iter(x.shape)
    return _reshaped(context, x, [1 if i in new else next(sizes) for i in range(rank)])


@translates("Transpose")
def transpose(context: Context) -> list[Known]:
    x = _seen(context)
    order = tuple(context.get("perm") or range(x.rank)[::-1])
    return [context.add("transpose", [x], [x.shape[i] for i in order], order=order)]


@translates("Slice")
def slice_(context: Context) -> list[Known]:
    x = _seen(context)
    if context.opset < 10:
        starts, ends = context.get("starts"), context.get("ends")
        axes, steps = context.get("axes"), None
    else:
        given = [context.constant(i) for i in range(1, 5)]
        if any(g is None and context[i + 1] is not None for i, g in enumerate(given)):
            raise UnsupportedError
        starts, ends, axes, steps = given
    assert starts is not None
    axes = list(range(len(starts))) if axes is None else axes
    steps = np.ones(len(starts), np.int64) if steps is None else steps
    slices = [(0, 1)] * x.rank
    sizes = list(x.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        a = context.axis(axis, x.rank)
        covered = range(x.shape[a])[slice(int(start), int(end), int(step))]
        slices[a], sizes[a] = (covered.start, int(step)), len(covered)
    if 0 in sizes:
        raise UnsupportedError
    return [context.add("slice", [x], sizes, slices=tuple(slices))]


@translates("Split")
def split(context: Context) -> list[Known]:
    x = _seen(context)
    axis, count = context.axis(context.get("axis", 0), x.rank), len(context.node.output)
    sizes = context.get("split") if context.opset < 13 else context.constant(1)
    if context.opset >= 13 and sizes is None and context[1] is not None:
        raise UnsupportedError
    if sizes is None:
        each = -(-x.shape[axis] // count)
        sizes = [min(each, x.shape[axis] - i * each) for i in range(count)]
    parts: list[Known] = []
    start = 0
    for n in sizes:
        slices = [(0, 1)] * x.rank
        slices[axis] = (start, 1)
        shape = [*x.shape[:axis], int(n), *x.shape[axis + 1 :]]
        parts.append(context.add("slice", [x], shape, slices=tuple(slices)))
        start += int(n)
    return parts


@translates("Concat")
def concat(context: Context) -> list[Known]:
    known = [v for v in context.inputs if v is not None]
    rank, dtype = len(known[0].shape), known[0].dtype
    if rank > 8 or any(v.dtype != dtype for v in known) or dtype.name in UNMOVED:
        raise UnsupportedError
    axis = context.axis(context.get("axis"), rank)
    parts = [v for v in known if v.shape[axis]]
    total = sum(v.shape[axis] for v in parts)
    shape = [*known[0].shape[:axis], total, *known[0].shape[axis + 1 :]]
    return [context.add("concat", parts, shape, axis=axis)]


@translates("Pad")
def pad(context: Context) -> list[Known]:
    x = float_value(context)
    mode = context.get("mode", "constant")
    pads, value = (context.get("pads"), context.get("value", 0.0)) if context.opset < 11 else (context.constant(1), 0.0)
    if context.opset >= 11 and context[2] is not None:
        found = context.constant(2)
        if found is None:
            raise UnsupportedError
        value = float(found.reshape(-1)[0])
    if pads is None or mode != "constant":
        raise UnsupportedError
    full = [0] * (2 * x.rank)
    axes = range(x.rank)
    if context.opset >= 18 and context[3] is not None:
        given = context.constant(3)
        if given is None:
            raise UnsupportedError
        axes = [context.axis(a, x.rank) for a in given]  # type: ignore[assignment]
    for i, axis in enumerate(axes):
        full[axis], full[x.rank + axis] = int(pads[i]), int(pads[i + len(axes)])
    pairs = tuple(zip(full[: x.rank], full[x.rank :], strict=True))
    shape = [n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True)]
    if min(shape) < 1:
        raise UnsupportedError
    return [context.add("pad", [x], shape, pads=pairs, value=float(value))]


@translates("DepthToSpace", "SpaceToDepth")
def depth(context: Context) -> list[Known]:
    x, block = float_value(context), context.get("blocksize")
    n, c, h, w = x.shape
    if context.node.op_type == "SpaceToDepth":
        y = context.add("reshape", [x], (n, c, h // block, block, w // block, block))
        order = (0, 1, 3, 5, 2, 4) if context.get("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)
        shape = (n, c * block * block, h // block, w // block)
    else:
        inner = c // block**2
        crd = context.get("mode", "DCR") == "CRD"
        y = context.add("reshape", [x], (n, inner, block, block, h, w) if crd else (n, block, block, inner, h, w))
        order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
        shape = (n, inner, h * block, w * block)
    y = context.add("transpose", [y], [y.shape[i] for i in order], order=order)
    return _reshaped(context, y, shape)


@translates("Resize", "Upsample")
def resize(context: Context) -> list[Known]:
    x = float_value(context)
    tables = resize_tables(context, x.shape)
    for axis, (index, weight) in tables:
        shape = [*x.shape[:axis], len(index), *x.shape[axis + 1 :]]
        x = context.add("resample", [x], shape, axis=axis, index=index, weight=weight)
    return [x]
