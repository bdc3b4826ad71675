"""Models from files, bytes or messages, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from os import PathLike, fspath
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from .reference import missing_operators

MOST_NODES = 1_000_000  # that a model's functions may stand for


def read_model(model: str | PathLike[str] | bytes | onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions, every operator of which konv runs.

    Raises
    ------
    ValueError
        It is not a valid model, or not one for konv.
    """
    try:
        if isinstance(model, onnx.ModelProto):
            proto, folder = model, None
        elif isinstance(model, bytes):
            proto, folder = onnx.load_model_from_string(model), None
        elif isinstance(model, (str, PathLike)):
            proto, folder = onnx.load_model(fspath(model), load_external_data=False), Path(model).parent
        else:
            raise TypeError(f"model: expected a path, bytes or a ModelProto, got {type(model).__name__}")
    except DecodeError as error:
        raise ValueError(f"model: not an ONNX file, or a damaged one ({error})") from error
    elsewhere = [tensor for tensor in _tensors(proto.graph) if uses_external_data(tensor)]
    if elsewhere and folder is None:
        raise ValueError(f"model: tensor {elsewhere[0].name!r} lies in a file of its own; load the model by its path")
    try:
        onnx.checker.check_model(proto if folder is None else fspath(model))
    except Exception as error:  # several kinds, some of them the checker's own
        raise ValueError(f"model: {error}") from error
    if elsewhere:
        assert folder is not None
        _read_external(proto, elsewhere, folder)
    _check_graph(proto.graph)
    proto = _without_functions(proto)
    missing = missing_operators(proto)
    if missing:
        raise ValueError(f"model: it has operators that konv does not run: {', '.join(missing)}")
    return proto


def _tensors(graph: onnx.GraphProto) -> Iterable[TensorProto]:
    """All tensors of a graph, those of attributes and of graphs within it, too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _read_external(proto: onnx.ModelProto, tensors: list[TensorProto], folder: Path) -> None:
    """Read tensors from files beside the model; ONNX sees to it that they lie there.

    Files may not be read again and again: together tensors are no larger than the files.
    """
    wanted, files = 0, {}
    for tensor in tensors:
        info = ExternalDataInfo(tensor)
        size = prod(tensor.dims) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        if tensor.data_type in (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1):
            size = -(-size // 2)
        if info.length is not None and info.length != size:
            raise ValueError(f"tensor {tensor.name!r}: expected {size} bytes of external data, got {info.length}")
        path = folder / info.location
        if not path.is_file():
            raise ValueError(f"tensor {tensor.name!r}: no file {info.location!r} beside the model")
        files[path.resolve()] = path.stat().st_size
        if info.length is None:
            size = files[path.resolve()]
        wanted += size
    if wanted > sum(files.values()):
        raise ValueError(
            f"model: its tensors need {wanted} bytes of external data, its files have {sum(files.values())}"
        )
    try:
        load_external_data_for_model(proto, fspath(folder))
    except Exception as error:
        raise ValueError(f"model: external data: {error}") from error


def _check_graph(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            raise ValueError(
                f"model: {value.name!r}: expected a tensor, got {(kind or 'nothing').removesuffix('_type')}"
            )
    if graph.sparse_initializer:
        raise ValueError("model: sparse initializers are not supported")


def _without_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its functions' nodes in their calls' place; their number is found first."""
    if not proto.functions:
        return proto
    functions = {(f.domain, f.name): f for f in proto.functions}
    counts: dict[tuple[str, str], int] = {}

    def count(nodes: Iterable[onnx.NodeProto], callers: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in callers:
                raise ValueError(f"model: function {node.op_type!r} calls itself")
            if key in functions and key not in counts:
                counts[key] = count(functions[key].node, (*callers, key))
            total += counts.get(key, 1)
            if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
                raise ValueError(f"model: operator {node.op_type!r} has graphs of its own, which konv does not run")
        return total

    number = count(proto.graph.node, ())
    if number > MOST_NODES:
        raise ValueError(f"model: its functions stand for {number} nodes; expected at most {MOST_NODES}")
    return onnx.inliner.inline_local_functions(proto)
