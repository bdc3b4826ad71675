"""Convolution, dense layers, pooling and normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._graph.build import dense
from ..._graph.ir import Array, Value
from ..checks import Known, UnsupportedError
from ..importer import Context, translates
from ..windows import Windows, transposed_windows_of, windows_of
from .common import binary_of, float_value, unary_of

# --- convolution -------------------------------------------------------------------------------------


def _sides(w: Windows) -> dict[str, Any]:
    """As nodes of the graph have them."""
    return {"strides": w.strides, "dilations": w.dilations, "pads": w.pads}


def _operands(context: Context) -> tuple[Value, Array, list[Known | None]]:
    """Input, weight, and what the node reads: both and the bias, as constants of the input's dtype."""
    x, weight, bias = float_value(context), context.constant(1), context.constant(2)
    if weight is None or (context[2] is not None and bias is None) or not 3 <= x.rank <= 5:
        raise UnsupportedError
    constants = [weight] if bias is None else [weight, bias]
    return x, weight, [x, *(np.ascontiguousarray(array, x.dtype) for array in constants)]


@translates("Conv")
def conv(context: Context) -> list[Known]:
    x, weight, inputs = _operands(context)
    windows = windows_of(context.attributes, x.shape[2:], weight.shape[2:])
    out, groups = windows.within(x.shape[2:]), context.get("group", 1)
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != x.shape[1]:
        raise ValueError(f"W: shape {weight.shape} with group {groups} does not fit an input of shape {x.shape}")
    return [context.add("conv", inputs, (x.shape[0], weight.shape[0], *out), groups=groups, **_sides(windows))]


@translates("ConvTranspose")
def conv_transpose(context: Context) -> list[Known]:
    x, weight, inputs = _operands(context)
    windows, out = transposed_windows_of(context.attributes, x.shape[2:], weight.shape[2:])
    groups = context.get("group", 1)
    if groups < 1 or x.shape[1] % groups or weight.shape[0] != x.shape[1]:
        raise ValueError(f"W: shape {weight.shape} with group {groups} does not fit an input of shape {x.shape}")
    shape = (x.shape[0], weight.shape[1] * groups, *out)
    return [context.add("conv_transpose", inputs, shape, groups=groups, **_sides(windows))]


# --- dense -------------------------------------------------------------------------------------------


def _dense(context: Context, x: Value, weight: Array, bias: Array | None) -> Value:
    """(..., in) times (in, out), as a convolution of pixels."""
    inside, outputs = weight.shape
    rows = x.size // inside if inside else 0
    if rows == 0 or inside == 0 or outputs == 0:
        raise UnsupportedError
    kernel = np.ascontiguousarray(weight.T[:, :, None, None], x.dtype)
    more = [] if bias is None else [np.ascontiguousarray(np.broadcast_to(bias.reshape(-1), (outputs,)), x.dtype)]
    y = dense(context.add, context.add("reshape", [x], (rows, inside)), kernel, more)
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
            return [binary_of(context, "add", _dense(context, x, weight, None), bias)]
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
    y = binary_of(context, "multiply", x, _channels(factor, x.rank).astype(x.dtype))
    return [binary_of(context, "add", y, _channels(shift - mean * factor, x.rank).astype(x.dtype))]


@translates("InstanceNormalization")
def instance_normalization(context: Context) -> list[Known]:
    x, scale, shift = float_value(context), context.constant(1), context.constant(2)
    if scale is None or shift is None or not 3 <= x.rank <= 5:
        raise UnsupportedError
    centred = binary_of(context, "subtract", x, _global_pool(context, x, "avg_pool"))
    variance = _global_pool(context, binary_of(context, "multiply", centred, centred), "avg_pool")
    spread = unary_of(context, "affine", variance, p=1.0, q=float(context.get("epsilon", 1e-5)))
    factor = unary_of(context, "reciprocal", unary_of(context, "square_root", spread))
    factor = binary_of(context, "multiply", factor, _channels(scale, x.rank).astype(x.dtype))
    y = binary_of(context, "multiply", centred, factor)
    return [binary_of(context, "add", y, _channels(shift, x.rank).astype(x.dtype))]


@translates("LRN")
def lrn(context: Context) -> list[Known]:
    x, size = float_value(context), context.get("size")
    if x.rank != 4:
        raise UnsupportedError
    n, c, h, w = x.shape
    square = binary_of(context, "multiply", x, x)
    volume = context.add("reshape", [square], (n, 1, c, h, w))
    low = (size - 1) // 2
    windows = {"strides": (1, 1, 1), "dilations": (1, 1, 1), "pads": ((low, size - 1 - low), (0, 0), (0, 0))}
    mean = context.add("avg_pool", [volume], volume.shape, kernel=(size, 1, 1), count_padding=True, **windows)
    mean = context.add("reshape", [mean], x.shape)
    base = unary_of(context, "affine", mean, p=float(context.get("alpha", 1e-4)), q=float(context.get("bias", 1.0)))
    beta = float(context.get("beta", 0.75))
    if beta == 0.75:
        root = unary_of(context, "square_root", base)
        power = binary_of(context, "multiply", root, unary_of(context, "square_root", root))
    else:
        power = binary_of(context, "pow", base, np.full((1,) * 4, beta, x.dtype))
    return [binary_of(context, "divide", x, power)]
