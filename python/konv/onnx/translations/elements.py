"""What works element by element, and softmax."""

from __future__ import annotations

from math import prod

import numpy as np

from ..._graph.ir import Value
from ..checks import Known, UnsupportedError
from ..importer import Context, translates
from .common import FLOATS, binary_of, float_value, unary_of

UNARY = {
    "Neg": "negate", "Abs": "absolute", "Sqrt": "square_root", "Reciprocal": "reciprocal", "Exp": "exponential",
    "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sign": "sign", "Relu": "relu", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "HardSwish": "hardswish", "Log": "log", "Erf": "erf", "Softplus": "softplus",
    "Softsign": "softsign", "Mish": "mish",
}  # fmt: skip


@translates(*UNARY)
def unary(context: Context) -> list[Known]:
    return [unary_of(context, UNARY[context.node.op_type], float_value(context))]


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
    return [unary_of(context, kind, float_value(context), **dict(zip("pq", values, strict=False)))]


@translates("HardSigmoid")
def hard_sigmoid(context: Context) -> list[Known]:
    line = unary_of(
        context, "affine", float_value(context), p=float(context.get("alpha", 0.2)), q=float(context.get("beta", 0.5))
    )
    return [unary_of(context, "clip", line, p=0.0, q=1.0)]


@translates("Gelu")
def gelu(context: Context) -> list[Known]:
    kind = "gelu_tanh" if context.get("approximate", "none") == "tanh" else "gelu"
    return [unary_of(context, kind, float_value(context))]


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
    return [unary_of(context, "clip", x, p=float(low), q=float(high))]


BINARY = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "pow", "PRelu": "leaky"}


@translates(*BINARY)
def binary(context: Context) -> list[Known]:
    a, b = context[0], context[1]
    assert a is not None
    assert b is not None
    if a.dtype != b.dtype or a.dtype not in FLOATS or context.get("axis") is not None:
        raise UnsupportedError
    return [binary_of(context, BINARY[context.node.op_type], a, b)]


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
        total = binary_of(context, kind, total, other)
    if context.node.op_type == "Mean":
        assert isinstance(total, Value)
        total = unary_of(context, "affine", total, p=1 / len(known), q=0.0)
    return [total]


@translates("Softmax")
def softmax(context: Context) -> list[Known]:
    x = float_value(context)
    if context.opset >= 13:
        return [context.add("softmax", [x], x.shape, axis=context.axis(context.get("axis", -1), x.rank))]
    axis = context.axis(context.get("axis", 1), x.rank)
    rows = context.add("reshape", [x], (prod(x.shape[:axis]), prod(x.shape[axis:])))
    return [context.add("reshape", [context.add("softmax", [rows], rows.shape, axis=1)], x.shape)]
