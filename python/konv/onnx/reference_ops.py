"""ONNX's reference evaluator on konv: https://onnx.ai/onnx/api/reference.html."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx.reference.op_run import OpRun

from .._graph.ir import Array
from . import operators

__all__ = ["reference_ops"]

_OPERATORS: dict[str, Callable[..., Array]] = {
    "AveragePool": operators.average_pool,
    "Col2Im": operators.col2im,
    "Conv": operators.conv,
    "ConvInteger": operators.conv_integer,
    "ConvTranspose": operators.conv_transpose,
    "DeformConv": operators.deform_conv,
    "GlobalAveragePool": operators.global_average_pool,
    "GlobalLpPool": operators.global_lp_pool,
    "GlobalMaxPool": operators.global_max_pool,
    "LpPool": operators.lp_pool,
    "MaxUnpool": operators.max_unpool,
    "QLinearConv": operators.qlinear_conv,
}


def _given(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _op_run(name: str, function: Callable[..., Array]) -> type[OpRun]:
    def run(self: OpRun, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:  # noqa: ARG001
        return (function(*inputs, **_given(attributes)),)

    return type(name, (OpRun,), {"__doc__": f"{name} on konv.", "op_domain": "", "_run": run})


class MaxPool(OpRun):  # type: ignore[misc]
    """MaxPool on konv."""

    op_domain = ""

    def _run(self, x: Array, **attributes: Any) -> tuple[Array, ...]:
        return operators.max_pool(x, with_indices=len(self.onnx_node.output) > 1, **_given(attributes))


_CLASSES: list[type[OpRun]] = [MaxPool, *(_op_run(name, function) for name, function in _OPERATORS.items())]


def reference_ops() -> list[type[OpRun]]:
    """Operators of convolution and pooling for ONNX's reference evaluator, computed by konv.

    The evaluator runs a model node by node, in Python; with these classes its slow nodes take konv's time. They are
    Conv, ConvInteger, ConvTranspose, DeformConv, QLinearConv, Col2Im, MaxPool, AveragePool, LpPool, their global forms,
    and MaxUnpool, of one to three spatial axes. `konv.onnx.load` runs whole models, faster still.

    Returns
    -------
    list of type
        Subclasses of `onnx.reference.op_run.OpRun`, for the argument `new_ops` of `onnx.reference.ReferenceEvaluator`.

    Notes
    -----
    Where ONNX's own classes differ from its specification these follow the specification: groups of several channels
    in ConvTranspose, and rounding half to even, before the zero point is added, in QLinearConv.

    Examples
    --------
    >>> import numpy as np, konv.onnx
    >>> from onnx import parser
    >>> from onnx.reference import ReferenceEvaluator
    >>> model = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 17]>
    ...     edges (float[N, 1, H, W] x) => (float[N, 1, H, W] y)
    ...     <float[1, 1, 1, 2] w = {-1, 1}> { y = Conv <auto_pad = "SAME_UPPER"> (x, w) }
    ... ''')
    >>> evaluator = ReferenceEvaluator(model, new_ops=konv.onnx.reference_ops())
    >>> evaluator.run(None, {"x": np.array([[[[1, 4, 9, 0]]]], np.float32)})[0]
    array([[[[ 3.,  5., -9.,  0.]]]], dtype=float32)
    """
    return list(_CLASSES)
