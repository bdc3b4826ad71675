"""A CUDA device as a target of compiled graphs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._graph.ir import Array, Graph, Node
from .._graph.passes import CONVOLUTIONS
from .._graph.target import Target, Time, target_of
from . import _module
from ._arrays import _back, _device, _host_array, current_device, on_device, queue_of

_OPS = (
    "conv", "conv_transpose", "max_pool", "avg_pool", "lp_pool", "expression", "softmax", "resample", "pad",
    "reshape", "transpose", "slice", "concat",
)  # fmt: skip
_COMPUTES = ("float32", "float64", "bfloat16")


class Device(Target):
    """One device; arrays on it stay there, and NumPy's are copied there.

    Parameters
    ----------
    index : int, optional
        Its number; by default that of `konv.cuda.device`.

    Raises
    ------
    RuntimeError
        konv has no CUDA module, or the machine no device.
    ValueError
        There is no device of this number.
    """

    tiles_batches = False
    has_bfloat16 = True

    def __init__(self, index: int | None = None) -> None:
        self._module = _module.module()
        self.index = current_device.get() if index is None else index
        count = self._module.device_count()
        if self.index >= count:
            raise ValueError(f"device: expected one of the {count} devices, from 'cuda:0' on, got 'cuda:{index}'")
        self.name = f"cuda:{self.index}"

    def check(self, graph: Graph) -> None:
        for node in graph.nodes:
            reason = _refusal(node)
            if reason:
                raise ValueError(f"node {node.name!r} ({_operator(node)}): {reason}; device='cpu' runs it")

    def node_weights(
        self, weight: Array, bias: Array | None, groups: int, transposed: bool, dtype: str, zero: int
    ) -> Any:
        assert zero == 0
        return self._module.NodeWeights(self.index, weight, bias, groups, transposed, dtype)

    def conv_options(self, *options: Any, bytes_between: int) -> Any:  # noqa: ARG002
        return self._module.ConvOptions(*options)

    def pool_options(self, *options: Any) -> Any:
        return self._module.PoolOptions(*options)

    def program(self, arena_bytes: int, strand_bytes: int, threads: int) -> Any:  # noqa: ARG002
        assert strand_bytes == 0
        return self._module.Program(self.index, arena_bytes)

    def run(self, program: Any, graph: Graph, inputs: Sequence[Any], timed: bool) -> tuple[list[Any], list[Time]]:
        given = [
            np.asarray(array, value.dtype) if isinstance(array, (np.ndarray, np.generic)) else array
            for array, value in zip(map(_host_array, inputs), graph.inputs, strict=True)
        ]
        queue, like = queue_of(tuple(given))
        if like is None:
            queue = (self.index, *queue[1:])
        outputs, times = program.run(queue, given, [(v.dtype.name, list(v.shape)) for v in graph.outputs], timed)
        return outputs, [(begin, end, 0) for begin, end in zip(times[::2], times[1::2], strict=True)]

    def returned(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        _, like = queue_of(tuple(inputs))
        if like is None:
            return [array.numpy() if on_device(array) else array for array in outputs]
        queue, back = queue_of((like,))[0], _back(like)
        return [back(self._module.as_device_array(queue, array)) for array in outputs]


def shape_and_dtype(array: Any) -> tuple[tuple[int, ...], str]:
    """Return the shape, and the dtype's name, of an array that is on a device."""
    if hasattr(array, "shape") and hasattr(array, "dtype"):
        return tuple(int(n) for n in array.shape), str(array.dtype).rpartition(".")[2]
    described = array.__cuda_array_interface__
    return tuple(described["shape"]), np.dtype(described["typestr"]).name


def device_of(arrays: Iterable[Any], device: str | None) -> str:
    """Return where to compute: on `device`, by default where the first of the arrays on a device is, else the CPU.

    Raises
    ------
    ValueError
        Arrays are on a device, and `device` is another.
    """
    place = next((f"cuda:{_device(array)}" for array in arrays if on_device(array)), None)
    if device is None:
        return place or "cpu"
    if place is not None and target_of(device).name != place:
        raise ValueError(f"device: expected {place!r}, where the arrays are, or none, got {device!r}")
    return device


def _operator(node: Node) -> str:
    return " + ".join(dict.fromkeys(op for _, op in node.origins)) or node.op


def _refusal(node: Node) -> str:
    if node.op not in _OPS:
        return "devices do not compute this operation"
    if node.op in CONVOLUTIONS and any(v is not None and v.constant is None for v in node.inputs[1:3]):
        return "devices compute with weights that are constants"
    if node.op in ("reshape", "transpose", "slice", "concat"):
        return ""
    types = {v.dtype.name for v in (*node.reads(), *node.outputs)}
    if node.op in ("max_pool",) and len(node.outputs) > 1:
        types.discard("int64")
    wrong = sorted(types.difference(_COMPUTES))
    return f"devices do not compute in {wrong[0]}" if wrong else ""
