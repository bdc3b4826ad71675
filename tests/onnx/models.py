"""Small models, and ONNX Runtime's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Arrays = Mapping[str, Any]


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[Any, Sequence[int | str]]],
    outputs: Sequence[str] | Mapping[str, int] = ("y",),
    constants: Arrays | None = None,
    opset: int = 17,
) -> onnx.ModelProto:
    """A model of these nodes; inputs are dtypes and shapes by name.

    ONNX finds out the outputs' types; where it does not, outputs are numbers of axes by name, and float32.
    """
    graph = helper.make_graph(
        nodes,
        "test",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            for name, (dtype, shape) in inputs.items()
        ],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    version = max(4, helper.find_min_ir_version_for(opsets))  # before 4 constants have to be inputs, too
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
    inferred = onnx.shape_inference.infer_shapes(model)
    del model.graph.output[:]
    model.graph.output.extend(inferred.graph.output)
    for value in model.graph.output:
        if isinstance(outputs, Mapping) and not value.type.tensor_type.HasField("shape"):
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [None] * outputs[value.name]))
    return model


def node_model(op: str, arrays: Arrays, opset: int = 17, outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    """A model of one node, whose inputs are the model's."""
    names = [f"y{i or ''}" for i in range(outputs)]
    node = helper.make_node(op, list(arrays), names, **attributes)
    return model_of([node], {name: (a.dtype, a.shape) for name, a in arrays.items()}, names, opset=opset)


def runtime(model: onnx.ModelProto, feeds: Arrays) -> list[Any]:
    """ONNX Runtime's results."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(feeds))  # type: ignore[no-any-return]
