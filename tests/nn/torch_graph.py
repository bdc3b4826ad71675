"""A graph of konv.nn run by PyTorch in float64: an independent reference for values and, by autograd, for gradients."""

# ruff: noqa: ARG005 - the rows of a table share their signatures

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np
import pytest

from konv.nn.graph import Graph, Node

torch = pytest.importorskip("torch")
F = torch.nn.functional


def run(graph: Graph, inputs: Sequence[Any], variables: Sequence[Any] | None = None, training: bool = False) -> list:
    """Return the outputs as tensors; `variables` stand for the graph's own, in its order."""
    if variables is None:
        variables = [torch.tensor(variable.value, dtype=torch.float64) for variable in graph.variables]
    values: dict[int, Any] = {}
    for number, x in zip(graph.inputs, inputs, strict=True):
        values[number] = x if isinstance(x, torch.Tensor) else torch.tensor(np.asarray(x), dtype=torch.float64)
    for node in graph.nodes:
        operands = [values[i] for i in node.inputs]
        owned = [variables[i] for i in node.variables]
        if node.op == "batch_normalization":
            moves = training and graph.variables[node.variables[-1]].updated
            values[node.output] = batch_normalization(node, operands[0], owned, moves)
        else:
            assert node.op != "dropout" or not training, "the reference draws no masks"
            values[node.output] = OPS[node.op](node, operands, owned)
    return [values[i] for i in graph.outputs]


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def padded(x, taps, strides, padding, value=0.0):
    """Pad the axes of a channels-first tensor as TensorFlow does for "same"."""
    sides: list[int] = []
    for size, window, stride in zip(x.shape[2:], taps, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0) if padding == "same" else 0
        before = total // 2
        if padding == "causal":
            before = total = window - 1
        sides = [before, total - before, *sides]
    return F.pad(x, sides, value=value)


def spread(window, dilation):
    return [(size - 1) * distance + 1 for size, distance in zip(window, dilation, strict=True)]


def convolve(x, weight, bias, attributes, groups):
    rank = weight.ndim - 2
    convolution = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    x = padded(x, spread(weight.shape[2:], attributes["dilation"]), attributes["stride"], attributes["padding"])
    return convolution(x, weight, bias, attributes["stride"], 0, attributes["dilation"], groups)


def conv(node: Node, inputs, owned):
    kernel, *bias = owned
    weight = kernel.movedim((-1, -2), (0, 1))
    y = convolve(first(inputs[0]), weight, bias[0] if bias else None, node.attributes, node.attributes["groups"])
    return last(y)


def depthwise_conv(node: Node, inputs, owned):
    kernel, *bias = owned
    *window, channels, multiplier = kernel.shape
    weight = kernel.movedim((-2, -1), (0, 1)).reshape(channels * multiplier, 1, *window)
    return last(convolve(first(inputs[0]), weight, bias[0] if bias else None, node.attributes, channels))


def conv_transpose(node: Node, inputs, owned):
    """The whole transposed convolution, then cut at both ends, the odd element at the end, to Keras's length."""
    kernel, *bias = owned
    a, x = node.attributes, first(inputs[0])
    rank = x.ndim - 2
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    y = transposed(x, kernel.movedim((-1, -2), (0, 1)), None, a["stride"], 0, 0, 1, a["dilation"])
    extra = a["output_padding"] or (None,) * rank
    taps = spread(kernel.shape[:rank], a["dilation"])
    for axis, (window, stride, more) in enumerate(zip(taps, a["stride"], extra, strict=True), 2):
        if a["padding"] == "same":
            cut = window - window % 2 - (stride - window % 2 if more is None else more)
        else:
            cut = -(max(window, stride) - window if more is None else more)
        before, size = max(cut, 0) // 2, y.shape[axis] - cut
        y = y.narrow(axis, before, min(size, y.shape[axis] - before))
        y = F.pad(y, [0, 0] * (y.ndim - 1 - axis) + [0, size - y.shape[axis]])
    return last(y) + bias[0] if bias else last(y)


def dense(node: Node, inputs, owned):
    kernel, *bias = owned
    y = inputs[0] @ kernel
    return y + bias[0] if bias else y


def max_pool(node: Node, inputs, owned):
    a = node.attributes
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[len(a["stride"]) - 1]
    x = padded(first(inputs[0]), a["kernel_size"], a["stride"], a["padding"], -inf)
    return last(pool(x, a["kernel_size"], a["stride"]))


def avg_pool(node: Node, inputs, owned):
    a = node.attributes
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(a["stride"]) - 1]
    sums, counts = (
        pool(padded(x, a["kernel_size"], a["stride"], a["padding"]), a["kernel_size"], a["stride"])
        for x in (first(inputs[0]), torch.ones_like(first(inputs[0])))
    )
    return last(sums / counts)


def over_space(reduce: Callable[..., Any]) -> Callable[..., Any]:
    return lambda node, inputs, owned: reduce(
        inputs[0], dim=tuple(range(1, inputs[0].ndim - 1)), keepdim=node.attributes["keepdims"]
    )


def batch_normalization(node: Node, x, owned, moves):
    a, (*_, mean, variance) = node.attributes, owned
    if moves:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes, unbiased=False)
    y = (x - mean) / torch.sqrt(variance + a["epsilon"])
    parameters = list(owned[:-2])
    if a["scale"]:
        y = y * parameters.pop(0)
    return y + parameters.pop(0) if a["center"] else y


def relu(x, negative_slope, max_value, threshold):
    return torch.where(x >= threshold, x.clamp(max=max_value), negative_slope * (x - threshold))


KINDS: dict[str, Callable[..., Any]] = {
    "relu": relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": lambda x, approximate: F.gelu(x, approximate="tanh" if approximate else "none"),
    "hard_sigmoid": lambda x: F.relu6(x + 3) / 6,  # PyTorch's own has a sixth in float32 in its gradient
    "hard_silu": lambda x: x * F.relu6(x + 3) / 6,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "exponential": torch.exp,
    "mish": F.mish,
}


def activation(node: Node, inputs, owned):
    parameters = dict(node.attributes)
    return KINDS[parameters.pop("kind")](inputs[0], **parameters)


def up_sampling(node: Node, inputs, owned):
    factors = [float(factor) for factor in node.attributes["size"]]
    mode = node.attributes["interpolation"]
    corners = {} if mode == "nearest" else {"align_corners": False}
    return last(F.interpolate(first(inputs[0]), scale_factor=factors, mode=mode, **corners))


def zero_padding(node: Node, inputs, owned):
    sides = [size for pair in reversed(node.attributes["padding"]) for size in pair]
    return F.pad(inputs[0], [0, 0, *sides])


OPS: dict[str, Callable[[Node, list, list], Any]] = {
    "activation": activation,
    "add": lambda node, inputs, owned: sum(inputs[1:], inputs[0]),
    "avg_pool": avg_pool,
    "concatenate": lambda node, inputs, owned: torch.cat(inputs, node.attributes["axis"]),
    "conv": conv,
    "conv_transpose": conv_transpose,
    "dense": dense,
    "depthwise_conv": depthwise_conv,
    "dropout": lambda node, inputs, owned: inputs[0],
    "flatten": lambda node, inputs, owned: inputs[0].flatten(1),
    "global_avg_pool": over_space(torch.mean),
    "global_max_pool": over_space(torch.amax),
    "max_pool": max_pool,
    "multiply": lambda node, inputs, owned: torch.stack(inputs).prod(0),
    "rescaling": lambda node, inputs, owned: inputs[0] * node.attributes["scale"] + node.attributes["offset"],
    "reshape": lambda node, inputs, owned: inputs[0].reshape(len(inputs[0]), *node.attributes["shape"]),
    "softmax": lambda node, inputs, owned: torch.softmax(inputs[0], -1),
    "up_sampling": up_sampling,
    "zero_padding": zero_padding,
}
