"""Sessions: ONNX models that run."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from onnx import helper, numpy_helper

from .. import config, get_num_threads
from .._graph.compiled import Compiled
from .._graph.ir import Array, Value
from .._graph.lower import Weights
from .._graph.precision import Precision, quantised
from . import translations  # noqa: F401  (fills the table)
from .importer import Importer, Known, Network, NumpyCall, ValueNeededError
from .reference import missing_operators
from .report import Report

__all__ = ["Session", "TensorInfo", "load"]

MOST_SHAPES = 16  # that a session keeps programs for


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model: a name, a shape with a name or None where a size is open, and a dtype."""

    name: str
    shape: tuple[int | str | None, ...]
    dtype: np.dtype[Any]


class Session:
    """An ONNX model that runs; made by `load`. Any number of threads may call `run` at once."""

    def __init__(self, model: onnx.ModelProto, precision: Precision | None = None) -> None:
        self._model, self._precision = model, precision or Precision()
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.inputs = [_info(v) for v in model.graph.input if v.name not in self._constants]
        self.outputs = [_info(v) for v in model.graph.output]
        self._importer = Importer(model, self._constants)
        self._weights = Weights()
        self._parts: OrderedDict[Any, _Part] = OrderedDict()
        self._by_value: set[tuple[int, str]] = set()  # small inputs that sizes depend on, of which part
        self._lock = threading.Lock()

    def _checked(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if not isinstance(inputs, Mapping):
            raise TypeError(f"inputs: expected arrays by name, got {type(inputs).__name__}")
        given = {}
        for info in self.inputs:
            if info.name not in inputs:
                raise ValueError(f"inputs: expected {[i.name for i in self.inputs]}, got {list(inputs)}")
            array = np.asarray(inputs[info.name])
            if array.dtype != info.dtype:
                raise TypeError(f"inputs[{info.name!r}]: expected dtype {info.dtype}, got {array.dtype}")
            fits = len(array.shape) == len(info.shape) and all(
                not isinstance(n, int) or n == m for n, m in zip(info.shape, array.shape, strict=True)
            )
            if not fits:
                raise ValueError(f"inputs[{info.name!r}]: expected shape {info.shape}, got {array.shape}")
            given[info.name] = array
        unknown = set(inputs) - {info.name for info in self.inputs}
        if unknown:
            raise ValueError(f"inputs: expected {[i.name for i in self.inputs]}, got {list(inputs)}")
        return given

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Return the outputs, in the order of `outputs`, for arrays by the names of the inputs."""
        arrays, start = self._checked(inputs), 0
        while True:
            part = self._part(arrays, start)
            made = part.run(arrays)
            if part.rest is None:
                return [made[info.name] for info in self.outputs]
            start = part.rest
            arrays = made | self._importer.compute(start, {**self._constants, **made})
            start += 1

    def explain(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Report:
        """Say how the model runs for inputs of some shapes, step by step.

        Parameters
        ----------
        shapes : mapping, optional
            Of inputs whose sizes are open, by name; others are known from the model.
        """
        return self._report(self._zeros(shapes or {}), timed=False)

    def profile(self, inputs: Mapping[str, Array]) -> Report:
        """Run once with a clock around each step; the report has times, and writes them as a trace."""
        self.run(inputs)  # everything is made and warm
        return self._report(self._checked(inputs), timed=True)

    def quantize(
        self,
        mode: str,
        samples: Iterable[Mapping[str, Array]] | None = None,
        *,
        method: str | tuple[str, float] = "minmax",
    ) -> Session:
        """Return a session that runs the model in fewer bits; this one stays as it is.

        Inputs and outputs keep their dtypes. float32 alone is changed: see the documentation of networks for what runs
        how, and for what it costs in accuracy.

        Parameters
        ----------
        mode : {"bfloat16", "int8"}
            bfloat16 rounds weights and what lies between layers to 8 bits of precision, and sums in float32. int8 has
            unsigned bytes between layers, with one scale a tensor, and signed weights, with one an output channel;
            convolutions and dense layers sum them exactly, everything else runs in float32.
        samples : iterable of mapping, for "int8"
            Inputs by name, as `run` takes them: typical ones, some dozens, of which the ranges of all layers are taken.
        method : {"minmax", "percentile", "mse"} or ("percentile", number)
            How a range follows from the samples: all of it, without the rarest 0.01 % of the elements (or what the
            number leaves), or the part of it with the least mean square error.

        Returns
        -------
        Session

        Raises
        ------
        ValueError
            An argument is none of these, or the model has nothing to quantise.
        ImportError
            bfloat16 without ml_dtypes.

        Examples
        --------
        >>> import numpy as np, konv.onnx
        >>> from konv.bench.networks import network
        >>> session = konv.onnx.load(network("squeezenet", 1, 64))
        >>> samples = [{"input": np.random.default_rng(i).random((1, 3, 64, 64), np.float32)} for i in range(4)]
        >>> small = session.quantize("int8", samples)
        >>> bool(np.abs(small.run(samples[0])[0] - session.run(samples[0])[0]).max() < 0.1)
        True
        """
        if not any(node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") for node in self._model.graph.node):
            raise ValueError("model: it has no convolution or dense layer to quantise")
        precision = quantised(mode, samples, method, lambda p: Session(self._model, p).run)
        return Session(self._model, precision)

    def _zeros(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
        given = {}
        for info in self.inputs:
            shape = tuple(shapes.get(info.name, info.shape))
            sizes = tuple(n for n in shape if isinstance(n, int))
            if len(sizes) != len(shape):
                raise ValueError(f"shapes: expected one for input {info.name!r}, whose shape {info.shape} is open")
            given[info.name] = np.zeros(sizes, info.dtype)
        return self._checked(given)

    def _report(self, given: Mapping[str, Array], *, timed: bool) -> Report:
        part = self._part(given, 0)
        report = Report(given={name: a.shape for name, a in given.items()})
        part.run(given, report if timed else None)
        if not timed:
            part.describe(report)
        return report

    def _part(self, arrays: Mapping[str, Array], start: int) -> _Part:
        """The network of the nodes from `start` on for such arrays, made or remembered."""
        threads = get_num_threads()
        with self._lock:
            key = (
                start,
                tuple((name, a.shape, a.dtype, a.tobytes() if (start, name) in self._by_value else b"")
                      for name, a in arrays.items()),
                threads, config.isa, config.precision, config.max_workspace, config.autotune,
            )  # fmt: skip
            if key in self._parts:
                self._parts.move_to_end(key)
                return self._parts[key]
            while True:
                given: dict[str, Known] = {
                    name: a.copy() if (start, name) in self._by_value else Value(a.shape, a.dtype, name)
                    for name, a in arrays.items()
                }
                try:
                    network = self._importer.network(given, start)
                except ValueNeededError as needed:
                    self._by_value |= {(start, name) for name in needed.names}
                    continue
                break
            if any((start, name) in self._by_value for name in arrays):
                key = (
                    key[0],
                    tuple(
                        (name, a.shape, a.dtype, a.tobytes() if (start, name) in self._by_value else b"")
                        for name, a in arrays.items()
                    ),
                    *key[2:],
                )
            part = self._parts[key] = _Part(network, start, self._weights, threads, self._precision)
            if len(self._parts) > MOST_SHAPES:
                self._parts.popitem(last=False)
            return part


class _Part:
    """A network for one set of shapes."""

    def __init__(
        self, network: Network, start: int, weights: Weights, threads: int, precision: Precision
    ) -> None:
        self._network, self.rest = network, network.rest
        self._steps: list[tuple[Compiled | NumpyCall, list[Known | None], list[Value]]] = []
        for i, part in enumerate(network.parts):
            if isinstance(part, NumpyCall):
                self._steps.append((part, part.inputs, part.outputs))
            else:
                inputs, outputs = list(part.inputs), list(part.outputs)
                self._steps.append((precision.compile((start, i), part, weights, threads), [*inputs], outputs))

    def describe(self, report: Report) -> None:
        """Add the steps to a report."""
        for step, _, _ in self._steps:
            if isinstance(step, NumpyCall):
                report.add_call(step.node.name or step.node.op_type, step.node.op_type)
            else:
                report.add(step.steps(), step.arena_bytes)

    def run(self, given: Mapping[str, Array], report: Report | None = None) -> dict[str, Array]:
        """The arrays that are read later, by name."""
        network = self._network
        arrays: dict[Value, Array] = {value: given[value.name] for value in network.inputs}
        for step, inputs, outputs in self._steps:
            read = [arrays[v] if isinstance(v, Value) else v for v in inputs]
            if report is not None:
                made = _timed(step, read, report)
            else:
                made = step(read) if isinstance(step, NumpyCall) else step.run(read)  # type: ignore[arg-type]
            arrays.update(zip(outputs, made, strict=False))
        return {
            name: (arrays[v].copy() if v in network.inputs else arrays[v]) if isinstance(v, Value) else v.copy()
            for name, v in network.known.items()
        }


def _timed(step: Compiled | NumpyCall, read: list[Any], report: Report) -> list[Array]:
    if not isinstance(step, NumpyCall):
        made, steps = step.profile(read)
        report.add(steps, step.arena_bytes)
        return made
    start = time.perf_counter()
    made = step(read)
    report.add_call(step.node.name or step.node.op_type, step.node.op_type, time.perf_counter() - start)
    return made


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    shape = tuple(
        d.dim_value if d.HasField("dim_value") else (d.dim_param or None)
        for d in tensor.shape.dim
    )  # fmt: skip
    return TensorInfo(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def load(model: str | PathLike[str] | bytes | onnx.ModelProto) -> Session:
    """Read an ONNX model."""
    if isinstance(model, onnx.ModelProto):
        proto = model
    elif isinstance(model, bytes):
        proto = onnx.load_model_from_string(model)
    else:
        proto = onnx.load(model)
    onnx.checker.check_model(proto)
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    missing = missing_operators(proto)
    if missing:
        raise ValueError(f"model: it has operators that konv does not run: {', '.join(missing)}")
    return Session(proto)
