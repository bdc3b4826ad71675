"""Single nodes, computed by ONNX's reference operators, or konv's where it has some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from .._graph.ir import Array
from .reference_ops import reference_ops


def evaluate(node: onnx.NodeProto, opset: int, inputs: Sequence[Array | None]) -> list[Array]:
    """The node's outputs for these inputs; None stands for one that is left out."""
    if node.op_type == "Constant" and not any(a.name.startswith("sparse") for a in node.attribute):
        return [_constant(node)]
    names = [f"i{i}" if array is not None else "" for i, array in enumerate(inputs)]
    outputs = [f"o{i}" if name else "" for i, name in enumerate(node.output)]
    single = onnx.NodeProto()
    single.CopyFrom(node)
    if node.op_type == "Scatter":  # the name until opset 11
        single.op_type, opset = "ScatterElements", max(opset, 11)
    del single.input[:], single.output[:]
    single.input.extend(names)
    single.output.extend(outputs)
    typed = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in zip(names, inputs, strict=True)
        if array is not None
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs if name]
    graph = helper.make_graph([single], "node", typed, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
    feeds: dict[str, Any] = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    found = iter(ReferenceEvaluator(model, new_ops=reference_ops()).run(None, feeds))
    return [np.asarray(next(found)) if name else np.empty(0) for name in outputs]


# Operators on sequences, strings and files, and control flow.
LACKING = frozenset({
    "ConcatFromSequence", "If", "ImageDecoder", "LabelEncoder", "Loop", "Optional", "OptionalGetElement",
    "OptionalHasElement", "RegexFullMatch", "Scan", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence", "StringConcat", "StringNormalizer",
    "StringSplit", "TfIdfVectorizer",
})  # fmt: skip


def missing_operators(model: onnx.ModelProto) -> list[str]:
    """The operators of a model that can not be computed, each once, with its domain where that is not ONNX's."""
    versions = {o.domain: o.version for o in model.opset_import}
    found = []
    for node in model.graph.node:
        name = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        if name in found:
            continue
        if node.op_type in LACKING or not _is_known(node, versions.get(node.domain, 1)):
            found.append(name)
    return found


def _is_known(node: onnx.NodeProto, version: int) -> bool:
    if node.op_type in ("Constant", "Scatter", "Upsample"):
        return True
    try:
        schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    except onnx.defs.SchemaError:
        return False
    if schema.has_function or schema.has_context_dependent_function:
        return True
    single = helper.make_graph([node], "node", [], [])
    opset = helper.make_opsetid(node.domain, version)
    try:
        ReferenceEvaluator(helper.make_model(single, opset_imports=[opset]))
    except (RuntimeError, ValueError, NotImplementedError):
        return False
    return True


def _constant(node: onnx.NodeProto) -> Array:
    (attribute,) = node.attribute
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return np.asarray(onnx.numpy_helper.to_array(value))
    dtypes: dict[str, Any] = {
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    found: Array = np.array(value, dtypes.get(attribute.name))
    return found
