"""What nodes will make, before anything is computed: types that fit together and sizes within bounds.

A file of a few bytes can ask for any amount of memory. So each node's results are inferred first, by ONNX's own
inference, and held against an allowance that grows with the model and its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.shape_inference import infer_node_outputs

from .._graph.ir import Array, Value

Known = Value | Array
SMALL = 1024  # elements of an array that others' sizes may depend on

# Of what every model may take, and for each byte of a model's constants and of its inputs. Images become hundreds of
# channels of float32; constants become larger where they are quantised, and are copied when they are packed.
BASE, PER_MODEL_BYTE, PER_INPUT_BYTE = 64 << 20, 16, 1024


class UnsupportedError(Exception):
    """Raised for a node that konv's own graph does not compute."""


class ValueNeededError(Exception):
    """The shape of a result depends on what some input of the network holds."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


@contextmanager
def naming(node: onnx.NodeProto) -> Iterator[None]:
    """Let errors say which node they are of."""
    try:
        yield
    except (UnsupportedError, ValueNeededError):
        raise
    except Exception as error:
        name = node.name or next((name for name in node.output if name), "")
        cause = str(error) or type(error).__name__
        raise ValueError(f"node {name!r} ({node.op_type}): {cause}") from error


@dataclass
class Allowance:
    """Memory that arrays may take, in bytes; `used` is what constants that are computed have taken."""

    most: int
    used: int = 0

    def check(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        """Raise ValueError for an array that is too large, or has a negative size."""
        if any(n < 0 for n in shape):
            raise ValueError(f"the result would have the shape {tuple(shape)}")
        self.check_bytes(self.used + prod(int(n) for n in shape) * dtype.itemsize, f"an array of shape {tuple(shape)}")

    def check_bytes(self, count: int, what: str) -> None:
        """Raise ValueError for too many of them."""
        if count > self.most:
            raise ValueError(
                f"{what} would need {count} bytes; a model and inputs of this size may take {self.most} "
                "(konv.onnx.load's max_memory says otherwise)"
            )

    def keep(self, array: Array) -> None:
        """Count a constant that is kept."""
        self.used += array.nbytes


def allowance_of(constants: int, inputs: int) -> Allowance:
    """The allowance of a model with so many bytes of constants and of inputs."""
    return Allowance(BASE + PER_MODEL_BYTE * constants + PER_INPUT_BYTE * inputs)


@dataclass(frozen=True)
class Inferred:
    """A result before it is computed; None for what only its inputs' values tell."""

    shape: tuple[int, ...] | None
    dtype: np.dtype[Any] | None


def infer(node: onnx.NodeProto, opset: int, given: Sequence[Known | None], allowance: Allowance) -> list[Inferred]:
    """What a node makes, one for each of its outputs.

    Raises
    ------
    ValueError
        Types or shapes of its inputs do not fit, or results would be too large.
    """
    types, data = {}, {}
    for name, known in zip(node.input, given, strict=True):
        if known is None:
            continue
        element = helper.np_dtype_to_tensor_dtype(known.dtype)
        types[name] = helper.make_tensor_type_proto(element, known.shape)
        if not isinstance(known, Value) and known.size <= SMALL:
            data[name] = numpy_helper.from_array(np.asarray(known, order="C"), name)
    _refuse(node, given)
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    opsets = [helper.make_opsetid("", opset)]
    found = infer_node_outputs(schema, node, types, data, opset_imports=opsets)
    results = [_inferred(found[name]) if name in found else Inferred(None, None) for name in node.output]
    for result in results:
        if result.shape is not None:
            allowance.check(result.shape, result.dtype or np.dtype(np.int8))
    for shape in _unseen(node, given):
        allowance.check(shape, np.dtype(np.float32))
    if node.op_type in BOUNDS_ALONE:
        return [Inferred(None, result.dtype) for result in results]
    return results


def _refuse(node: onnx.NodeProto, given: Sequence[Known | None]) -> None:
    """Raise ValueError for what makes ONNX's inference read beyond its arrays, or fill memory."""
    asked = given[RANK_FROM[node.op_type]] if RANK_FROM.get(node.op_type, len(given)) < len(given) else None
    if asked is not None and prod(asked.shape) > MOST_AXES:
        raise ValueError(f"the result would have {prod(asked.shape)} axes; expected at most {MOST_AXES}")
    ranks = [len(known.shape) for known in given if known is not None]
    if node.op_type == "Split":
        count = _attribute(node, "num_outputs", len(node.output))
        if count != len(node.output):
            raise ValueError(f"num_outputs: expected {len(node.output)}, the number of results, got {count}")
    if node.op_type == "GatherND":
        axes = _attribute(node, "batch_dims", 0)
        if not 0 <= axes < min(ranks):
            raise ValueError(f"batch_dims: expected less than {min(ranks)}, got {axes}")
    if node.op_type in ("LayerNormalization", "RMSNormalization"):
        axis = _attribute(node, "axis", -1)
        if not -ranks[0] <= axis < ranks[0]:
            raise ValueError(f"axis: expected one from {-ranks[0]} to {ranks[0] - 1}, got {axis}")


RANK_FROM = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Unsqueeze": 1}  # the input with an element for each axis
MOST_AXES = 64  # as in NumPy
BOUNDS_ALONE = ("STFT",)  # what ONNX infers is larger than what it computes


def _inferred(found: onnx.TypeProto) -> Inferred:
    tensor = found.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type) if tensor.elem_type else None
    if not tensor.HasField("shape") or any(not d.HasField("dim_value") for d in tensor.shape.dim):
        return Inferred(None, dtype)
    return Inferred(tuple(d.dim_value for d in tensor.shape.dim), dtype)


def _unseen(node: onnx.NodeProto, given: Sequence[Known | None]) -> list[Sequence[int]]:
    """Shapes of arrays that ONNX's inference does not tell of."""
    if node.op_type == "MaxUnpool" and len(given) > 2 and isinstance(given[2], np.ndarray):
        return [[int(n) for n in given[2]]]
    if node.op_type == "Attention":
        query, key = given[0], given[1]
        if query is not None and key is not None:
            heads = query.shape[1] if len(query.shape) == 4 else _attribute(node, "q_num_heads", 1)
            return [(query.shape[0], heads, query.shape[-2], key.shape[-2])]
    if node.op_type == "RoiAlign" and given[1] is not None:
        samples = _attribute(node, "sampling_ratio", 0)
        bins = _attribute(node, "output_height", 1) * _attribute(node, "output_width", 1)
        return [(given[1].shape[0], bins, samples, samples)]
    if node.op_type == "Einsum":  # NumPy walks over all indices at once
        sizes: dict[str, int] = {}
        terms = helper.get_node_attr_value(node, "equation").decode().split("->")[0].split(",")
        for term, known in zip(terms, given, strict=True):
            letters = term.replace(" ", "")
            if known is not None and "." not in letters:
                sizes.update(zip(letters, known.shape, strict=True))
        return [(-(-prod(sizes.values()) // EINSUM_STEPS_PER_BYTE),)]
    return []


EINSUM_STEPS_PER_BYTE = 256


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)
