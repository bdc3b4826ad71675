"""A graph's nodes one after another in float64, with PyTorch: what compiled programs are held to.

Values in bfloat16 and in quantised bytes are rounded where a node makes them, so that the next one reads what the
program's step would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from konv._graph.ir import Graph, Node, Value  # noqa: E402

ACTIVATIONS = {
    "relu": F.relu, "relu6": F.relu6, "silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "hardswish": F.hardswish, "gelu": F.gelu,
}  # fmt: skip
BINARY = {"add": torch.add, "multiply": torch.mul, "subtract": torch.sub}


def evaluate(graph: Graph, inputs: Sequence[np.ndarray]) -> dict[Value, np.ndarray]:
    """Return what each value stands for."""
    known = {value: torch.from_numpy(x.astype(np.float64)) for value, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        given = [None if v is None else known[v] if v.constant is None else _constant(v) for v in node.inputs]
        known[node.output] = torch.from_numpy(rounded(node.output, _compute(node, given).numpy()))
    return {value: x.numpy() for value, x in known.items()}


def rounded(value: Value, numbers: np.ndarray) -> np.ndarray:
    """As the value's form holds them."""
    if value.quantisation is None:
        return numbers.astype(np.float32).astype(value.dtype).astype(np.float64)
    scale, zero = value.quantisation.scale, value.quantisation.zero
    return np.clip(np.rint(numbers / scale), -zero, 255 - zero) * scale


def _constant(value: Value) -> Any:
    assert value.constant is not None
    return torch.from_numpy(value.constant.astype(np.float64))


def _activate(x: Any, kind: str, parameter: float = 0.0) -> Any:
    return F.leaky_relu(x, parameter) if kind == "leaky_relu" else ACTIVATIONS[kind](x)


def _convolve(node: Node, x: Any, weight: Any, bias: Any = None, residual: Any = None) -> Any:
    a, spatial = node.attributes, x.ndim - 2
    weight = weight.reshape(*weight.shape[:2], *weight.shape[weight.ndim - spatial :])  # lowering adds axes of one
    if "scale" in a:
        q = node.inputs[0].quantisation  # type: ignore[union-attr]
        scale = torch.from_numpy(a["scale"].astype(np.float64))
        weight = weight * (scale / q.scale).reshape(-1, *[1] * (spatial + 1))  # type: ignore[union-attr]
        bias = bias * scale
    padded = F.pad(x, [n for pair in reversed(a["pads"]) for n in pair])
    convolution = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    y = convolution(padded, weight, bias, a["strides"], 0, a["dilations"], a["groups"])
    y = y if residual is None else y + residual
    return _activate(y, *a["activation"]) if a.get("activation") else y


def _compute(node: Node, given: list[Any]) -> Any:
    a, x = node.attributes, given[0]
    if node.op in ("conv", "narrow_conv"):
        return _convolve(node, *given)
    if node.op == "expression":
        registers = list(given)
        for op, attributes, sources in a["code"]:
            read, kind = [registers[i] for i in sources], attributes["kind"]
            registers.append(BINARY[kind](*read) if op == "binary" else _activate(read[0], kind))
        return registers[-1]
    if node.op in ("max_pool", "avg_pool"):
        pool = F.max_pool2d if node.op == "max_pool" else F.avg_pool2d
        return pool(x, a["kernel"], a["strides"], [before for before, _ in a["pads"]])
    if node.op == "slice":
        parts = zip(a["slices"], node.output.shape, strict=True)
        return x[tuple(slice(start, start + step * n, step) for (start, step), n in parts)]
    simple = {
        "concat": lambda: torch.cat(given, a["axis"]),
        "reshape": lambda: x.reshape(node.output.shape),
        "transpose": lambda: x.permute(a["order"]),
        "softmax": lambda: torch.softmax(x, a["axis"]),
        "pad": lambda: F.pad(x, [n for pair in reversed(a["pads"]) for n in pair]),
    }
    return simple[node.op]()
