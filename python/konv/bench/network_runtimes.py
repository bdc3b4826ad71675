"""Whole networks in the runtimes that read ONNX files; each runs in a `Worker`'s process, which it may set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from konv.bench.problem import Array, Prepared
from konv.bench.registry import EVERYONE


def konv_session(path: str, x: Array, threads: int, precision: str = "high") -> Prepared:
    """Make a session of konv."""
    import konv.onnx

    konv.set_num_threads(threads)
    konv.config.precision = precision  # type: ignore[misc]
    session = konv.onnx.load(path)
    (info,) = session.inputs
    return Prepared(lambda: session.run({info.name: x})[0])


def onnx_runtime(path: str, x: Array, threads: int) -> Prepared:
    """Make a session of ONNX Runtime on bound input and output."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    given, made = session.get_inputs()[0], session.get_outputs()[0]
    source = onnxruntime.OrtValue.ortvalue_from_numpy(x)
    target = onnxruntime.OrtValue.ortvalue_from_shape_and_type(made.shape, np.float32)
    bound = session.io_binding()
    bound.bind_ortvalue_input(given.name, source)
    bound.bind_ortvalue_output(made.name, target)
    return Prepared(lambda: session.run_with_iobinding(bound), lambda _: np.array(target.numpy()))


def open_vino(path: str, x: Array, threads: int) -> Prepared:
    """Compile a model with OpenVINO, in float32, for latency."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    core = openvino.Core()
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
    return Prepared(request.infer, lambda _: np.array(request.get_output_tensor(0).data))


RUNTIMES: dict[str, Callable[..., Prepared]] = {
    "konv": konv_session,
    "konv_medium": partial(konv_session, precision="medium"),
    "onnxruntime": onnx_runtime,
    "openvino": open_vino,
}
# Peers of the other benchmarks that cannot take part.
LEFT_OUT = {
    "ncnn": "its Python package does not read ONNX",
    "torch": "it writes ONNX and does not read it",
}


def choose(known: Sequence[str], asked: Sequence[str] | None) -> list[str]:
    """Return the names of the contenders that run, konv first.

    Parameters
    ----------
    known : sequence of str
        Who could take part.
    asked : sequence of str, optional
        By default konv and the peers that are installed.

    Raises
    ------
    ValueError
        For a name that is unknown, or cannot take part.
    ImportError
        For a contender that is not installed.
    """
    missing = [name for name in known if name in EVERYONE and not EVERYONE[name].installed]
    if asked is None:
        return [name for name in known if name not in missing]
    for name in asked:
        if name not in known:
            why = f", which is left out: {LEFT_OUT[name]}" if name in LEFT_OUT else ""
            raise ValueError(f"contenders: expected some of {', '.join(known)}, got {name!r}{why}")
        if name in missing:
            raise ImportError(f"contenders: {name} is not installed: pip install {EVERYONE[name].packages}")
    return list(dict.fromkeys(["konv", *asked]))
