"""Networks in bfloat16: weights, and arrays between layers, are rounded to it; sums are float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from .ir import Array, Graph, Node, Value, constant
from .narrow import FLOAT, Form, Rules, fingerprint
from .passes import CONVOLUTIONS, VIEWS


def _computes(node: Node) -> bool:
    """Whether a node's step reads and writes bfloat16."""
    if not node.outputs or node.output.dtype != FLOAT or node.reads()[0].constant is not None:
        return False
    if node.op in CONVOLUTIONS:
        return all(v is None or v.constant is not None for v in node.inputs[1:3])
    return node.op in ("max_pool", "avg_pool") and len(node.outputs) == 1


RULES = Rules(computes=_computes, moves=frozenset((*VIEWS, "concat")), writes_float=False)


class ToBFloat16:
    """A change of simplified graphs; weights that it has rounded are kept for graphs of other sizes.

    Raises
    ------
    ImportError
        If ml_dtypes is not installed.
    """

    def __init__(self) -> None:
        try:
            from ml_dtypes import bfloat16
        except ImportError:
            raise ImportError("bfloat16 needs ml_dtypes: pip install 'konv[bfloat16]'") from None
        self.dtype: np.dtype[Any] = np.dtype(bfloat16)
        self._rounded: dict[bytes, Array] = {}

    def __call__(self, graph: Graph, natively: bool = False) -> None:
        """Change the graph in place; where convolutions take bfloat16 `natively` they stay what they are."""
        convolutions = [node for node in graph.nodes if node.op in CONVOLUTIONS and _computes(node)]
        RULES.store(graph, dict.fromkeys(RULES.wanted(graph), Form(self.dtype)))
        for node in convolutions:
            # Transposed ones have a step of bfloat16 weights everywhere.
            dtype = self.dtype if natively or node.op == "conv_transpose" else FLOAT
            node.inputs[1:3] = [None if value is None else self._round(value, dtype) for value in node.inputs[1:3]]
            node.op = "narrow_conv" if node.op == "conv" and not natively else node.op

    def _round(self, value: Value, dtype: np.dtype[Any]) -> Value:
        """Numbers that bfloat16 holds, as another dtype."""
        assert value.constant is not None
        key = fingerprint(value.constant) + dtype.name.encode()
        if key not in self._rounded:
            self._rounded[key] = value.constant.astype(self.dtype).astype(dtype)
        return constant(self._rounded[key], value.name)
