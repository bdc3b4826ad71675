"""Single nodes, computed by ONNX's reference operators, or konv's where it has some."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from .._graph.ir import Array
from .reference_ops import reference_ops


class GatherElements(OpRun):  # type: ignore[misc]
    """ONNX's own wraps indices that are out of range one length after another, without end where they are large."""

    op_domain = ""

    def _run(self, x: Array, indices: Array, axis: int = 0) -> tuple[Array]:
        return (np.take_along_axis(x, indices, axis),)


SOFTMAXES = ("Softmax", "LogSoftmax", "Hardmax")


class ReferenceNode:
    """A node with inputs of some dtypes, None for one that is left out. Any number of threads may call it."""

    def __init__(self, node: onnx.NodeProto, opset: int, dtypes: Sequence[np.dtype[Any] | None]) -> None:
        self._constant = _constant(node) if node.op_type == "Constant" else None
        if self._constant is not None:
            return
        self._names = [f"i{i}" if dtype is not None else "" for i, dtype in enumerate(dtypes)]
        self._outputs = [f"o{i}" if name else "" for i, name in enumerate(node.output)]
        single, opset, self._rows_from = _restated(node, opset)
        del single.input[:], single.output[:]
        single.input.extend(self._names)
        single.output.extend(self._outputs)
        typed = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
            for name, dtype in zip(self._names, dtypes, strict=True)
            if dtype is not None
        ]
        results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in self._outputs if name]
        graph = helper.make_graph([single], "node", typed, results)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        self._evaluator = ReferenceEvaluator(model, new_ops=[*reference_ops(), GatherElements])

    def __call__(self, arrays: Sequence[Array | None]) -> list[Array]:
        """The node's outputs."""
        if self._constant is not None:
            return [self._constant]
        feeds: dict[str, Any] = {
            name: array for name, array in zip(self._names, arrays, strict=True) if array is not None
        }
        x = arrays[0] if arrays else None
        if self._rows_from is not None and x is not None:
            axis = self._rows_from % x.ndim
            feeds[self._names[0]] = x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))
        with np.errstate(all="ignore"):  # infinities and NaNs are results
            found = iter(self._evaluator.run(None, feeds))
        results = [np.asarray(next(found)) if name else np.empty(0) for name in self._outputs]
        return results if self._rows_from is None or x is None else [results[0].reshape(x.shape)]


def _restated(node: onnx.NodeProto, opset: int) -> tuple[onnx.NodeProto, int, int | None]:
    """A node of an older opset that the reference operators lack or misread, as one of a newer opset.

    The number, if any, is the axis from which on the input is one row.
    """
    single = onnx.NodeProto()
    single.CopyFrom(node)
    if node.op_type == "Scatter":  # the name until opset 11
        single.op_type = "ScatterElements"
        return single, max(opset, 11), None
    if node.op_type == "BatchNormalization" and opset < 14:
        if len(node.output) > 1:
            raise ValueError("results of training are not supported")
        kept = [a for a in node.attribute if a.name == "epsilon"]
        del single.attribute[:]
        single.attribute.extend(kept)
        return single, 14, None
    if node.op_type in SOFTMAXES and opset < 13:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
        del single.attribute[:]
        single.attribute.append(helper.make_attribute("axis", 1))
        return single, 13, axis
    return single, opset, None


# Operators on sequences, strings and files, and control flow.
LACKING = frozenset({
    "ConcatFromSequence", "If", "ImageDecoder", "LabelEncoder", "Loop", "Optional", "OptionalGetElement",
    "OptionalHasElement", "RegexFullMatch", "Scan", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
    "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence", "StringConcat", "StringNormalizer",
    "StringSplit", "TfIdfVectorizer",
})  # fmt: skip


def missing_operators(model: onnx.ModelProto) -> list[str]:
    """The operators of a model that can not be computed, each once, with its domain where that is not ONNX's."""
    version = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    found = []
    for node in model.graph.node:
        own = node.domain in ("", "ai.onnx")
        name = node.op_type if own else f"{node.domain}.{node.op_type}"
        if name not in found and (not own or node.op_type in LACKING or not _is_known(node, version)):
            found.append(name)
    return found


def _is_known(node: onnx.NodeProto, version: int) -> bool:
    if node.op_type in ("Constant", "Scatter", "Upsample"):
        return True
    try:
        schema = onnx.defs.get_schema(node.op_type, version, "")
    except onnx.defs.SchemaError:
        return False
    if schema.has_function or schema.has_context_dependent_function:
        return True
    single = helper.make_graph([node], "node", [], [])
    try:
        ReferenceEvaluator(helper.make_model(single, opset_imports=[helper.make_opsetid("", version)]))
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
    if attribute.name not in dtypes:
        raise ValueError(f"{attribute.name}: constants of strings and sparse ones are not supported")
    found: Array = np.array(value, dtypes[attribute.name])
    return found
