"""The ONNX operators that konv's own graph computes: https://onnx.ai/onnx/operators/."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .._graph.ir import Array, Value
from .checks import Known, UnsupportedError
from .importer import Context, translates
from .resize import resize_tables
from .windows import Windows, transposed_windows_of, windows_of

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_value(context: Context, i: int = 0) -> Value:
    """Input i, which has to be an array of float32 or float64 that is not known yet."""
    known = context[i]
    if not isinstance(known, Value) or known.dtype not in FLOATS:
        raise UnsupportedError
    return known


# --- convolution -------------------------------------------------------------------------------------


def _sides(w: Windows) -> dict[str, Any]:
    """As nodes of the graph have them."""
    return {"strides": w.strides, "dilations": w.dilations, "pads": w.pads}


@translates("Conv")
def conv(context: Context) -> list[Known]:
    x, weight = float_value(context), context.constant(1)
    bias = context.constant(2)
    if weight is None or (context[2] is not None and bias is None) or not 3 <= x.rank <= 5:
        raise UnsupportedError
    windows = windows_of(context.attributes, x.shape[2:], weight.shape[2:])
    out, groups = windows.within(x.shape[2:]), context.get("group", 1)
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != x.shape[1]:
        raise ValueError(f"W: shape {weight.shape} with group {groups} does not fit an input of shape {x.shape}")
    inputs: list[Known | None] = [x, np.ascontiguousarray(weight, x.dtype)]
    if bias is not None:
        inputs.append(np.ascontiguousarray(bias, x.dtype))
    return [context.add("conv", inputs, (x.shape[0], weight.shape[0], *out), groups=groups, **_sides(windows))]


@translates("ConvTranspose")
def conv_transpose(context: Context) -> list[Known]:
    x, weight = float_value(context), context.constant(1)
    bias = context.constant(2)
    if weight is None or (context[2] is not None and bias is None) or not 3 <= x.rank <= 5:
        raise UnsupportedError
    windows, out = transposed_windows_of(context.attributes, x.shape[2:], weight.shape[2:])
    groups = context.get("group", 1)
    if groups < 1 or x.shape[1] % groups or weight.shape[0] != x.shape[1]:
        raise ValueError(f"W: shape {weight.shape} with group {groups} does not fit an input of shape {x.shape}")
    inputs: list[Known | None] = [x, np.ascontiguousarray(weight, x.dtype)]
    if bias is not None:
        inputs.append(np.ascontiguousarray(bias, x.dtype))
    shape = (x.shape[0], weight.shape[1] * groups, *out)
    return [context.add("conv_transpose", inputs, shape, groups=groups, **_sides(windows))]


# --- dense -------------------------------------------------------------------------------------------


def _dense(context: Context, x: Value, weight: Array, bias: Array | None) -> Value:
    """(..., in) times (in, out), as a convolution of pixels."""
    inside, outputs = weight.shape
    rows = x.size // inside if inside else 0
    if rows == 0 or inside == 0 or outputs == 0:
        raise UnsupportedError
    image = context.add("reshape", [x], (1, rows, 1, inside))
    image = context.add("transpose", [image], (1, inside, 1, rows), order=(0, 3, 2, 1))
    kernel = np.ascontiguousarray(weight.T[:, :, None, None], x.dtype)
    inputs: list[Known | None] = [image, kernel]
    if bias is not None:
        inputs.append(np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (outputs,)), x.dtype))
    one = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1}
    y = context.add("conv", inputs, (1, outputs, 1, rows), **one)
    y = context.add("transpose", [y], (1, rows, 1, outputs), order=(0, 3, 2, 1))
    return context.add("reshape", [y], (*x.shape[:-1], outputs))


@translates("Gemm")
def gemm(context: Context) -> list[Known]:
    x, weight, bias = float_value(context), context.constant(1), context.constant(2)
    if weight is None or (context[2] is not None and bias is None) or x.rank != 2:
        raise UnsupportedError
    if context.get("transA", 0):
        x = context.add("transpose", [x], x.shape[::-1], order=(1, 0))
    weight = weight.T if context.get("transB", 0) else weight
    weight = weight * np.asarray(context.get("alpha", 1.0), x.dtype)
    if bias is not None:
        bias = bias * np.asarray(context.get("beta", 1.0), x.dtype)
        if bias.size not in (1, weight.shape[1]) or (bias.ndim == 2 and bias.shape[0] != 1):
            return [_binary(context, "add", _dense(context, x, weight, None), bias)]
    return [_dense(context, x, weight, bias)]


@translates("MatMul")
def matmul(context: Context) -> list[Known]:
    x, weight = float_value(context), context.constant(1)
    if weight is None or weight.ndim != 2 or x.rank < 2:
        raise UnsupportedError
    return [_dense(context, x, weight, None)]


# --- pooling -----------------------------------------------------------------------------------------


@translates("MaxPool", "AveragePool", "LpPool")
def pool(context: Context) -> list[Known]:
    x, op = float_value(context), context.node.op_type
    if not 3 <= x.rank <= 5 or len(context.node.output) > 1:
        raise UnsupportedError
    windows = windows_of(context.attributes, x.shape[2:], context.get("kernel_shape"))
    round_up = bool(context.get("ceil_mode", 0)) and context.get("auto_pad", "NOTSET") == "NOTSET"
    out = windows.within(x.shape[2:], round_up=round_up)
    if op == "AveragePool" and round_up and context.get("count_include_pad", 0):
        raise UnsupportedError
    more: dict[str, Any] = {"kernel": windows.kernel, **_sides(windows)}
    if op == "AveragePool":
        more["count_padding"] = bool(context.get("count_include_pad", 0))
    if op == "LpPool":
        more["power"] = float(context.get("p", 2))
    name = {"MaxPool": "max_pool", "AveragePool": "avg_pool", "LpPool": "lp_pool"}[op]
    return [context.add(name, [x], (*x.shape[:2], *out), **more)]


def _global_pool(context: Context, x: Value, op: str, **more: Any) -> Value:
    axes = x.rank - 2
    one = {"strides": (1,) * axes, "dilations": (1,) * axes, "pads": ((0, 0),) * axes}
    return context.add(op, [x], (*x.shape[:2], *[1] * axes), kernel=x.shape[2:], **one, **more)


@translates("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(context: Context) -> list[Known]:
    x = float_value(context)
    if not 3 <= x.rank <= 5:
        raise UnsupportedError
    op = {"GlobalAveragePool": "avg_pool", "GlobalMaxPool": "max_pool", "GlobalLpPool": "lp_pool"}[context.node.op_type]
    more = {"power": float(context.get("p", 2))} if op == "lp_pool" else {}
    return [_global_pool(context, x, op, **more)]


@translates("ReduceMean")
def reduce_mean(context: Context) -> list[Known]:
    """Of all axes of an image, or of what can be seen as one."""
    x = float_value(context)
    axes = context.constant(1) if context.opset >= 18 else context.get("axes")
    if axes is None or (context.opset >= 18 and context[1] is None) or not 3 <= x.rank <= 5:
        raise UnsupportedError
    if sorted(context.axis(a, x.rank) for a in np.ravel(axes)) != list(range(2, x.rank)):
        raise UnsupportedError
    y = _global_pool(context, x, "avg_pool")
    return [y if context.get("keepdims", 1) else context.add("reshape", [y], y.shape[:2])]


# --- normalisation -----------------------------------------------------------------------------------


def _channels(vector: Array, rank: int) -> Array:
    return vector.reshape(1, -1, *[1] * (rank - 2))


@translates("BatchNormalization")
def batch_normalization(context: Context) -> list[Known]:
    x = float_value(context)
    known = [context.constant(i) for i in range(1, 5)]
    training = context.get("training_mode", 0) or len(context.node.output) > 1
    if any(k is None for k in known) or training or x.rank < 2:
        raise UnsupportedError
    scale, shift, mean, variance = (np.asarray(k, np.float64) for k in known)
    factor = scale / np.sqrt(variance + context.get("epsilon", 1e-5))
    y = _binary(context, "multiply", x, _channels(factor, x.rank).astype(x.dtype))
    return [_binary(context, "add", y, _channels(shift - mean * factor, x.rank).astype(x.dtype))]


@translates("InstanceNormalization")
def instance_normalization(context: Context) -> list[Known]:
    x, scale, shift = float_value(context), context.constant(1), context.constant(2)
    if scale is None or shift is None or not 3 <= x.rank <= 5:
        raise UnsupportedError
    centred = _binary(context, "subtract", x, _global_pool(context, x, "avg_pool"))
    variance = _global_pool(context, _binary(context, "multiply", centred, centred), "avg_pool")
    spread = _unary(context, "affine", variance, p=1.0, q=float(context.get("epsilon", 1e-5)))
    factor = _unary(context, "reciprocal", _unary(context, "square_root", spread))
    factor = _binary(context, "multiply", factor, _channels(scale, x.rank).astype(x.dtype))
    y = _binary(context, "multiply", centred, factor)
    return [_binary(context, "add", y, _channels(shift, x.rank).astype(x.dtype))]


@translates("LRN")
def lrn(context: Context) -> list[Known]:
    x, size = float_value(context), context.get("size")
    if x.rank != 4:
        raise UnsupportedError
    n, c, h, w = x.shape
    square = _binary(context, "multiply", x, x)
    volume = context.add("reshape", [square], (n, 1, c, h, w))
    low = (size - 1) // 2
    windows = {"strides": (1, 1, 1), "dilations": (1, 1, 1), "pads": ((low, size - 1 - low), (0, 0), (0, 0))}
    mean = context.add("avg_pool", [volume], volume.shape, kernel=(size, 1, 1), count_padding=True, **windows)
    mean = context.add("reshape", [mean], x.shape)
    base = _unary(context, "affine", mean, p=float(context.get("alpha", 1e-4)), q=float(context.get("bias", 1.0)))
    beta = float(context.get("beta", 0.75))
    if beta == 0.75:
        root = _unary(context, "square_root", base)
        power = _binary(context, "multiply", root, _unary(context, "square_root", root))
    else:
        power = _binary(context, "pow", base, np.full((1,) * 4, beta, x.dtype))
    return [_binary(context, "divide", x, power)]


# --- element by element ------------------------------------------------------------------------------


def _unary(context: Context, kind: str, x: Value, **parameters: float) -> Value:
    return context.add("unary", [x], x.shape, kind=kind, **parameters)


def _binary(context: Context, kind: str, a: Known, b: Known) -> Value:
    shape = np.broadcast_shapes(a.shape, b.shape)
    if len(shape) > 8:
        raise UnsupportedError
    return context.add("binary", [a, b], shape, kind=kind)


UNARY = {
    "Neg": "negate", "Abs": "absolute", "Sqrt": "square_root", "Reciprocal": "reciprocal", "Exp": "exponential",
    "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sign": "sign", "Relu": "relu", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "HardSwish": "hardswish", "Log": "log", "Erf": "erf", "Softplus": "softplus",
    "Softsign": "softsign", "Mish": "mish",
}  # fmt: skip


@translates(*UNARY)
def unary(context: Context) -> list[Known]:
    return [_unary(context, UNARY[context.node.op_type], float_value(context))]


PARAMETERS: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Elu": ("elu", (("alpha", 1.0),)),
    "Selu": ("selu", (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "Celu": ("celu", (("alpha", 1.0),)),
}


@translates(*PARAMETERS)
def parametric(context: Context) -> list[Known]:
    kind, names = PARAMETERS[context.node.op_type]
    values = [float(context.get(name, default)) for name, default in names]
    return [_unary(context, kind, float_value(context), **dict(zip("pq", values, strict=False)))]


@translates("HardSigmoid")
def hard_sigmoid(context: Context) -> list[Known]:
    line = _unary(
        context, "affine", float_value(context), p=float(context.get("alpha", 0.2)), q=float(context.get("beta", 0.5))
    )
    return [_unary(context, "clip", line, p=0.0, q=1.0)]


@translates("Gelu")
def gelu(context: Context) -> list[Known]:
    kind = "gelu_tanh" if context.get("approximate", "none") == "tanh" else "gelu"
    return [_unary(context, kind, float_value(context))]


@translates("Clip")
def clip(context: Context) -> list[Known]:
    x = float_value(context)
    if context.opset < 11:
        low, high = context.get("min", -np.inf), context.get("max", np.inf)
    else:
        if any(context[i] is not None and context.constant(i) is None for i in (1, 2)):
            raise UnsupportedError
        low, high = (
            float(context.constant(i)) if context[i] is not None else default  # type: ignore[arg-type]
            for i, default in ((1, -np.inf), (2, np.inf))
        )
    return [_unary(context, "clip", x, p=float(low), q=float(high))]


BINARY = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "pow", "PRelu": "leaky"}


@translates(*BINARY)
def binary(context: Context) -> list[Known]:
    a, b = context[0], context[1]
    assert a is not None
    assert b is not None
    if a.dtype != b.dtype or a.dtype not in FLOATS or context.get("axis") is not None:
        raise UnsupportedError
    return [_binary(context, BINARY[context.node.op_type], a, b)]


@translates("Min", "Max", "Sum", "Mean")
def several(context: Context) -> list[Known]:
    kind = {"Min": "minimum", "Max": "maximum"}.get(context.node.op_type, "add")
    known = [v for v in context.inputs if v is not None]
    if any(v.dtype not in FLOATS or v.dtype != known[0].dtype for v in known):
        raise UnsupportedError
    if len(known) == 1:
        return [known[0]]
    total = known[0]
    for other in known[1:]:
        total = _binary(context, kind, total, other)
    if context.node.op_type == "Mean":
        assert isinstance(total, Value)
        total = _unary(context, "affine", total, p=1 / len(known), q=0.0)
    return [total]


@translates("Softmax")
def softmax(context: Context) -> list[Known]:
    x = float_value(context)
    if context.opset >= 13:
        return [context.add("softmax", [x], x.shape, axis=context.axis(context.get("axis", -1), x.rank))]
    axis = context.axis(context.get("axis", 1), x.rank)
    rows = context.add("reshape", [x], (prod(x.shape[:axis]), prod(x.shape[axis:])))
    return [context.add("reshape", [context.add("softmax", [rows], rows.shape, axis=1)], x.shape)]


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
    if len(context.node.output) > 1 or (training is not None and training.any()):
        raise UnsupportedError
    return [known]


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
    return [context.add("pad", [x], shape, pads=pairs, value=float(value), mode=mode)]


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
