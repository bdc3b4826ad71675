"""A graph's nodes one after another in float64, as NumPy and PyTorch compute them: what compiled programs are held to.

Values in bfloat16 and quantised bytes are rounded where a node makes them, so that the next node reads what the program's
step would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from konv._graph.ir import Graph, Node, Value

Arrays = dict[Value, np.ndarray]
UNARY: dict[str, Callable[[Any], Any]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hardswish": F.hardswish,
    "gelu": F.gelu,
}


def evaluate(graph: Graph, inputs: Sequence[np.ndarray]) -> Arrays:
    """Return what each value stands for."""
    known: Arrays = {value: array.astype(np.float64) for value, array in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        given = [None if value is None else _number(known, value) for value in node.inputs]
        known[node.output] = rounded(node.output, _compute(node, given))
    return known


def rounded(value: Value, numbers: np.ndarray) -> np.ndarray:
    """As the value's form holds them."""
    if value.quantisation is not None:
        scale, zero = value.quantisation.scale, value.quantisation.zero
        low = np.iinfo(value.dtype).min
        return (np.clip(np.rint(numbers / scale), low - zero, low + 255 - zero)) * scale
    return numbers.astype(np.float32).astype(value.dtype).astype(np.float64)


def _number(known: Arrays, value: Value) -> np.ndarray:
    if value.constant is not None:
        return value.constant.astype(np.float64)
    return known[value]


def _activate(kind: str, x: np.ndarray, parameter: float = 0.0) -> np.ndarray:
    if kind == "leaky_relu":
        return np.where(x > 0, x, parameter * x)
    return np.asarray(UNARY[kind](torch.from_numpy(x)).numpy())


def _compute(node: Node, given: list[Any]) -> np.ndarray:
    a, x = node.attributes, given[0]
    if node.op in ("conv", "int_conv"):
        weight, bias = given[1], given[2] if len(given) > 2 else None
        if node.op == "int_conv":
            x_scale = node.inputs[0].quantisation.scale
            each = a["scale"].astype(np.float64) / x_scale
            weight = weight * each.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * a["scale"].astype(np.float64)
        pads = [n for pair in reversed(a["pads"]) for n in pair]
        padded = F.pad(torch.from_numpy(x), pads)
        weight = torch.from_numpy(weight.reshape(*weight.shape[:2], *weight.shape[2 - (x.ndim - 2) + 0 :][-(x.ndim - 2) :]))
        convolve = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
        y = convolve(padded, weight, None if bias is None else torch.from_numpy(bias), a["strides"], 0, a["dilations"], a["groups"])
        y = y.numpy()
        if len(given) > 3 and given[3] is not None:
            y = y + given[3]
        return _activate(*[a["activation"][0], y, a["activation"][1]]) if a.get("activation") else y
    if node.op == "expression":
        registers = list(given)
        for op, attributes, sources in a["code"]:
            read = [registers[i] for i in sources]
            kind = attributes["kind"]
            if op == "binary":
                registers.append({"add": np.add, "multiply": np.multiply, "subtract": np.subtract}[kind](*read))
            else:
                registers.append(_activate(kind, read[0]))
        return registers[-1] if a["code"] else x
    if node.op in ("max_pool", "avg_pool"):
        assert not np.any(a["pads"])
        pool = F.max_pool2d if node.op == "max_pool" else F.avg_pool2d
        return pool(torch.from_numpy(x), a["kernel"], a["strides"]).numpy()
    if node.op == "concat":
        return np.concatenate(given, a["axis"])
    if node.op == "reshape":
        return x.reshape(node.output.shape)
    if node.op == "transpose":
        return x.transpose(a["order"])
    if node.op == "softmax":
        powers = np.exp(x - x.max(a["axis"], keepdims=True))
        return powers / powers.sum(a["axis"], keepdims=True)
    raise NotImplementedError(node.op)
