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
from onnx import helper, numpy_helper

from .. import _core, get_num_threads
from .._graph.compiled import Compiled
from .._graph.ir import Array, Value
from .._graph.lower import Weights
from .._graph.precision import Precision, quantised
from .._graph.target import CPU, Target, target_of
from ..cuda import to_numpy
from ..cuda._arrays import on_device
from ..cuda._target import device_of, shape_and_dtype
from . import translations  # noqa: F401  (fills the table)
from .checks import Known, ValueNeededError
from .importer import TRANSLATIONS, Importer, Network, NumpyCall
from .loading import read_model
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
    """An ONNX model that runs; made by `load`. Any number of threads may call `run` at once.

    Attributes
    ----------
    inputs, outputs : list of TensorInfo
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        max_memory: int | None = None,
        precision: Precision | None = None,
        target: Target = CPU,
    ) -> None:
        self._model, self._max_memory, self._precision = model, max_memory, precision or Precision()
        self._target = target
        self._constants = {t.name: _array(t) for t in model.graph.initializer}
        self.inputs = [_info(v) for v in model.graph.input if v.name not in self._constants]
        self.outputs = [_info(v) for v in model.graph.output]
        self._importer = Importer(model, self._constants, max_memory)
        self._weights = Weights(target)
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
            array: Any = inputs[info.name]
            if not on_device(array):
                array = np.asarray(array)
            shape, dtype = _shape_and_dtype(array)
            if dtype != info.dtype:
                raise TypeError(f"inputs[{info.name!r}]: expected dtype {info.dtype}, got {dtype}")
            if shape != info.shape and not _fits(shape, info.shape):
                raise ValueError(f"inputs[{info.name!r}]: expected shape {info.shape}, got {shape}")
            given[info.name] = array
        if len(inputs) != len(given):
            raise ValueError(f"inputs: expected {[i.name for i in self.inputs]}, got {list(inputs)}")
        place = device_of(given.values(), None)
        if place not in ("cpu", self._target.name):
            raise ValueError(f"inputs: expected arrays for device {self._target.name!r}, got some on {place!r}")
        return given

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Run the model.

        Parameters
        ----------
        inputs : mapping
            An array for each of `self.inputs`, by name: NumPy's, or for a session on a device also arrays there.

        Returns
        -------
        list of ndarray
            In the order of `self.outputs`; where an input is on a device, arrays of its library there.

        Raises
        ------
        TypeError
            An array's dtype is not the input's.
        ValueError
            An input is missing or unknown, a shape does not fit, or a node cannot be computed for such inputs; then
            the message names it.
        """
        given = self._checked(inputs)
        return self._target.returned(self._run(given), list(given.values()))

    def explain(self, shapes: Mapping[str, Sequence[int]] | None = None) -> Report:
        """Run once on zeros, with a clock around each step.

        Parameters
        ----------
        shapes : mapping, optional
            Of inputs whose sizes are open, by name; others are known from the model.

        Returns
        -------
        Report
            Prints as a table: which nodes each step stands for, how it is done, its work, memory and time.
        """
        return self.profile(self._zeros(shapes or {}))

    def profile(self, inputs: Mapping[str, Array]) -> Report:
        """Run once on these inputs, with a clock around each step; see `explain`."""
        arrays = self._checked(inputs)
        self._run(arrays)  # everything is made and warm
        report = Report(given={name: a.shape for name, a in arrays.items()})
        self._run(arrays, report)
        return report

    def quantize(
        self,
        mode: str,
        samples: Iterable[Mapping[str, Array]] | None = None,
        *,
        method: str | tuple[str, float] = "mse",
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
        method : {"mse", "minmax", "percentile"} or ("percentile", number)
            How a range follows from the samples: the part of it with the least mean square error, all of it, or without
            the rarest 0.01 % of the elements (or what the number leaves).

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
        if self._target is not CPU and mode == "int8":
            raise ValueError(f"mode: sessions in int8 run on the CPU, not on {self._target.name!r}")
        if not any(node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") for node in self._model.graph.node):
            raise ValueError("model: it has no convolution or dense layer to quantise")
        precision = quantised(mode, samples, method, lambda p: Session(self._model, self._max_memory, p).run)
        return Session(self._model, self._max_memory, precision, self._target)

    def _zeros(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
        given = {}
        for info in self.inputs:
            shape = tuple(shapes.get(info.name, info.shape))
            sizes = tuple(n for n in shape if isinstance(n, int))
            if len(sizes) != len(shape):
                raise ValueError(f"shapes: expected one for input {info.name!r}, whose shape {info.shape} is open")
            given[info.name] = np.zeros(sizes, info.dtype)
        return given

    def _run(self, arrays: Mapping[str, Array], report: Report | None = None) -> list[Array]:
        start = 0
        while True:
            part = self._part(arrays, start)
            made = part.run(arrays, report)
            if part.rest is None:
                return [made[info.name] for info in self.outputs]
            clock = time.perf_counter()
            found = self._importer.compute(part.rest, self._constants | made)
            if report is not None:
                node, size = self._importer.nodes[part.rest], sum(a.nbytes for a in found.values())
                report.add_call(node.name or node.op_type, node.op_type, size, time.perf_counter() - clock)
            arrays, start = made | found, part.rest + 1

    def _prepare(self) -> None:
        """Raise ValueError for what the device cannot run, as far as it is known before inputs are.

        Where the model fixes all sizes, that is everything, and the session is ready to run then.
        """
        if self._target is CPU:
            return
        floats = {info.name for info in self.inputs if info.dtype.kind == "f"}
        names, moving = [], set(floats)
        for node in self._importer.nodes:
            if node.op_type in ("Shape", "Size") or not moving.intersection(node.input):
                continue
            moving.update(node.output)
            if node.op_type not in TRANSLATIONS:
                names.append(node.op_type)
        if names:
            raise ValueError(f"model: devices do not compute {_listed(names)}; device='cpu' does")
        if len(floats) == len(self.inputs) and all(isinstance(n, int) for i in self.inputs for n in i.shape):
            self._part(self._zeros({}), 0)

    def _part(self, arrays: Mapping[str, Array], start: int) -> _Part:
        """The network of the nodes from `start` on for such arrays, made or remembered."""
        with self._lock:
            key = (start, self._described(arrays, start), _core.settings())
            part = self._parts.get(key)
            if part is not None:
                self._parts.move_to_end(key)
                return part
            while True:
                given: dict[str, Known] = {
                    name: np.array(_on_host(a)) if (start, name) in self._by_value else _value(name, a)
                    for name, a in arrays.items()
                }
                try:
                    network = self._importer.network(given, start)
                except ValueNeededError as needed:
                    self._by_value |= {(start, name) for name in needed.names}
                    continue
                break
            if any((start, name) in self._by_value for name in arrays):
                key = (key[0], self._described(arrays, start), *key[2:])
            _check_runs(network, self._importer.nodes, self._target)
            part = self._parts[key] = _Part(network, start, self._weights, get_num_threads(), self._precision)
            if len(self._parts) > MOST_SHAPES:
                self._parts.popitem(last=False)
            return part

    def _described(self, arrays: Mapping[str, Any], start: int) -> Any:
        """What a part of the model depends on: sizes, and values where sizes follow from them."""
        described: list[Any] = []
        for name, array in arrays.items():
            described.append((name, *_shape_and_dtype(array)))
            if (start, name) in self._by_value:
                described.append(_on_host(array).tobytes())
        return tuple(described)


def _fits(shape: tuple[int, ...], wanted: tuple[int | str | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        not isinstance(n, int) or n == m for n, m in zip(wanted, shape, strict=True)
    )


def _shape_and_dtype(array: Any) -> tuple[tuple[int, ...], Any]:
    return shape_and_dtype(array) if on_device(array) else (array.shape, array.dtype)


def _on_host(array: Any) -> Array:
    found: Array = to_numpy(array) if on_device(array) else array
    return found


def _value(name: str, array: Any) -> Value:
    shape, dtype = _shape_and_dtype(array)
    return Value(shape, np.dtype(dtype), name)


def _check_runs(network: Network, nodes: Sequence[onnx.NodeProto], target: Target) -> None:
    """Raise ValueError for nodes that NumPy would have to compute between those of a device."""
    calls = [part.node for part in network.parts if isinstance(part, NumpyCall)]
    if network.rest is not None:
        calls.append(nodes[network.rest])
    if calls and target is not CPU:
        first, names = calls[0].name or calls[0].output[0], _listed(node.op_type for node in calls)
        raise ValueError(f"node {first!r}: devices do not compute {names} of such arrays; device='cpu' does")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


class _Part:
    """A network for one set of shapes."""

    def __init__(self, network: Network, start: int, weights: Weights, threads: int, precision: Precision) -> None:
        self._network, self.rest = network, network.rest
        self._steps: list[tuple[Compiled | NumpyCall, list[Known | None], list[Value]]] = []
        for i, part in enumerate(network.parts):
            if isinstance(part, NumpyCall):
                self._steps.append((part, part.inputs, part.outputs))
            else:
                inputs, outputs = list(part.inputs), list(part.outputs)
                self._steps.append((precision.compile((start, i), part, weights, threads), [*inputs], outputs))
        self._dead = self._find_dead()
        network.allowance.check_bytes(network.allowance.used + self._most_bytes(), "model: the arrays of a run")

    def _find_dead(self) -> list[list[Value]]:
        """What nobody reads after each step."""
        kept = {*self._network.inputs, *(v for v in self._network.outputs if isinstance(v, Value))}
        dead: list[list[Value]] = []
        for _, inputs, outputs in reversed(self._steps):
            last = [v for v in (*inputs, *outputs) if isinstance(v, Value) and v not in kept]
            dead.append(list(dict.fromkeys(last)))
            kept.update(last)
        return dead[::-1]

    def _most_bytes(self) -> int:
        """Of arrays that exist at the same time, those between the steps of programs included."""
        live = most = sum(v.size * v.dtype.itemsize for v in self._network.inputs)
        arenas = 0
        for (step, _, outputs), dead in zip(self._steps, self._dead, strict=True):
            arenas += step.arena_bytes if isinstance(step, Compiled) else 0  # they stay for the next run
            live += sum(v.size * v.dtype.itemsize for v in outputs)
            most = max(most, live)
            live -= sum(v.size * v.dtype.itemsize for v in dead)
        return most + arenas

    def run(self, given: Mapping[str, Array], report: Report | None = None) -> dict[str, Array]:
        """The arrays that are read later, by name."""
        network = self._network
        arrays: dict[Value, Array] = {value: given[value.name] for value in network.inputs}
        for (step, inputs, outputs), dead in zip(self._steps, self._dead, strict=True):
            read = [arrays[v] if isinstance(v, Value) else v for v in inputs]
            if report is not None:
                made = _timed(step, read, report)
            else:
                made = step(read) if isinstance(step, NumpyCall) else step.run(read)  # type: ignore[arg-type]
            arrays.update(zip(outputs, made, strict=True))
            for value in dead:
                del arrays[value]
        return {
            name: (_copied(arrays[v]) if v in network.inputs else arrays[v]) if isinstance(v, Value) else v.copy()
            for name, v in network.known.items()
        }


def _copied(array: Any) -> Any:
    """An output that is an input too; arrays on a device are not written, so they may be shared."""
    return array if on_device(array) else array.copy()


def _timed(step: Compiled | NumpyCall, read: list[Any], report: Report) -> list[Array]:
    if not isinstance(step, NumpyCall):
        made, steps = step.profile(read)
        report.add(steps, step.arena_bytes)
        return made
    start = time.perf_counter()
    made = step(read)
    step.report(report, time.perf_counter() - start)
    return made


def _info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.HasField("dim_value") else (d.dim_param or None) for d in tensor.shape.dim)
    if any(isinstance(n, int) and n < 0 for n in shape):
        raise ValueError(f"model: {value.name!r} has the shape {shape}")
    try:
        return TensorInfo(value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except KeyError as error:
        raise ValueError(f"model: {value.name!r} has an unknown type, {tensor.elem_type}") from error


def _array(tensor: onnx.TensorProto) -> Array:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # of many kinds: sizes, types, encodings
        raise ValueError(f"model: initializer {tensor.name!r}: {error}") from error


def load(
    model: str | PathLike[str] | bytes | onnx.ModelProto, *, max_memory: int | None = None, device: str = "cpu"
) -> Session:
    """Read an ONNX model, to run it on konv.

    Models of opset 7 and later run, with fixed sizes or open ones: for each set of input shapes a program is made when
    it is first met. Convolutions, poolings, normalisations, activations, arithmetic, resizing and what moves arrays
    about run on konv's kernels, with scales, activations and sums fused into convolutions; other operators run in
    NumPy. Nodes whose inputs are known are computed once.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        A path also finds tensors that lie in files beside the model.
    max_memory : int, optional
        The bytes that arrays of a run may take together, and constants that are computed. By default this grows with
        the model and its inputs, so that a small file cannot take all memory.
    device : {"cpu", "cuda", "cuda:0", ...}
        Where the session runs. On a CUDA device the weights stay there, NumPy arrays are copied there and back, and
        arrays that are there already stay. Nothing runs in NumPy then: operators that devices do not compute are
        refused, at once where the model fixes all sizes, else when a run's are known.

    Returns
    -------
    Session

    Raises
    ------
    ValueError
        The model is damaged or not valid, or has operators that konv, or the device, does not run; the message names
        them.
    RuntimeError
        There is no such device, or konv was built without its CUDA module.
    TypeError
        `model` is none of the above.
    OSError
        There is no such file.

    Notes
    -----
    Not run are control flow (If, Loop, Scan), sequences, strings and operators outside ONNX's own domain. Initializers
    are constants, also where the file lists them among the inputs.

    Examples
    --------
    >>> import numpy as np, konv.onnx
    >>> from onnx import parser
    >>> model = parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 17]>
    ...     edges (float[N, 1, H, W] x) => (float[N, 1, H, W] y)
    ...     <float[1, 1, 1, 2] w = {-1, 1}> {
    ...         steps = Conv <auto_pad = "SAME_UPPER"> (x, w)
    ...         y = Relu (steps)
    ...     }
    ... ''')
    >>> session = konv.onnx.load(model)
    >>> session.inputs[0].name, session.inputs[0].shape
    ('x', ('N', 1, 'H', 'W'))
    >>> session.run({"x": np.array([[[[1, 4, 9, 0]]]], np.float32)})[0]
    array([[[[3., 5., 0., 0.]]]], dtype=float32)
    """
    if max_memory is not None and max_memory < 1:
        raise ValueError(f"max_memory: expected a positive number of bytes, got {max_memory}")
    session = Session(read_model(model), max_memory, target=target_of(device))
    session._prepare()
    return session
