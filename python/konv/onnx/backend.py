"""ONNX's backend interface, for its own tests and for tools that speak it: https://onnx.ai/onnx/api/backend.html."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend as _Backend
from onnx.backend.base import BackendRep as _BackendRep
from onnx.backend.base import Device, DeviceType, namedtupledict

from .._graph.ir import Array
from .session import Session, load

__all__ = ["Backend", "BackendRep", "prepare", "run_model", "run_node", "supports_device"]


class BackendRep(_BackendRep):  # type: ignore[misc]
    """A prepared model."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, inputs: Any, **_: Any) -> tuple[Array, ...]:
        """Return the outputs for arrays in the order of the model's inputs, or one array, or arrays by name."""
        if isinstance(inputs, dict):
            given = inputs
        else:
            arrays = [inputs] if isinstance(inputs, np.ndarray) else inputs
            given = {info.name: array for info, array in zip(self.session.inputs, arrays, strict=False)}
        names = [info.name for info in self.session.outputs]
        results: tuple[Array, ...] = namedtupledict("Outputs", names)(*self.session.run(given))
        return results


class Backend(_Backend):  # type: ignore[misc]
    """konv as a backend."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> BackendRep:
        """Load a model."""
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        return BackendRep(load(model))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        """Load a model and run it."""
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: onnx.NodeProto, inputs: Sequence[Array], device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Array, ...]:
        """Compute one node, of the newest opset unless `opset_version` says otherwise."""
        arrays = [np.asarray(a) for a in inputs]
        names = [name for name in node.input if name]
        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for name, a in zip(names, arrays, strict=True)
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        graph = helper.make_graph([node], "node", given, results)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])
        return BackendRep(Session(model)).run(dict(zip(names, arrays, strict=True)))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether konv runs there."""
        return bool(Device(device).type == DeviceType.CPU)


prepare = Backend.prepare
run_model = Backend.run_model
run_node = Backend.run_node
supports_device = Backend.supports_device
