"""ONNX models in bfloat16 and int8: real ones keep their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ml_dtypes")

import onnx
from onnx import helper

import konv.onnx
from konv.bench.networks import network

from .models import model_of

Feed = dict[str, np.ndarray]
# Of the outputs' root mean square: what rounding costs these networks.
ALLOWED = {"bfloat16": 0.03, "int8": 0.06}
# Before a softmax, which multiplies errors of close classes: 0.0037 and 0.018 on every instruction set.
ALLOWED_BEFORE_SOFTMAX = {"bfloat16": 0.006, "int8": 0.03}


@pytest.fixture
def models(data_dir: Path) -> Path:
    return data_dir / "models"


def pictures(folder: Path, size: tuple[int, int], mode: str = "RGB") -> list[np.ndarray]:
    """(height, width, channels) float32, 0 to 255: photographs, and parts of them."""
    image = pytest.importorskip("PIL.Image")
    found = []
    for path in sorted([*folder.glob("*.jpg"), *folder.glob("*.png")]):
        whole = image.open(path).convert(mode)
        width, height = whole.size
        for box in ((0, 0, width, height), (width // 4, height // 4, width * 3 // 4, height * 3 // 4)):
            pixels = np.asarray(whole.crop(box).resize(size), np.float32)
            found.append(pixels.reshape(*size[::-1], -1))
    return found


def errors(session: Any, other: Any, feeds: list[Feed]) -> list[float]:
    """Root mean squares of the differences, over those of the outputs."""
    pairs = [list(zip(session.run(f), other.run(f), strict=True)) for f in feeds]
    return [
        float(np.sqrt(sum(((p[i][0] - p[i][1]) ** 2).sum() for p in pairs) / sum((p[i][0] ** 2).sum() for p in pairs)))
        for i in range(len(pairs[0]))
    ]


def quantized(session: Any, mode: str, feeds: list[Feed]) -> Any:
    return session.quantize(mode, feeds if mode == "int8" else None)


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_squeezenet(models, data_dir, mode):
    model = onnx.load(models / "SqueezeNet_fp32.onnx")
    session = konv.onnx.load(model)
    mean = np.array([104, 117, 123], np.float32)
    feeds = [
        {"data_0": (p[..., ::-1] - mean).transpose(2, 0, 1)[None]} for p in pictures(data_dir / "images", (224, 224))
    ]
    small = quantized(session, mode, feeds[1::2])
    for feed in feeds[::2]:
        assert small.run(feed)[0].argmax() == session.run(feed)[0].argmax()
    softmax = model.graph.node.pop()
    assert softmax.op_type == "Softmax"
    model.graph.output[0].name = softmax.input[0]
    for isa in konv.info()["isa_levels"]:
        with konv.config(isa=isa):
            scores = konv.onnx.load(model)
            small = quantized(scores, mode, feeds[1::2])
            assert max(errors(scores, small, feeds)) < ALLOWED_BEFORE_SOFTMAX[mode]


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_faces(models, data_dir, mode):
    """Depthwise and dilated layers, unfused normalisation."""
    session = konv.onnx.load(models / "ultraface_RFB-320.onnx")
    feeds = [{"input": ((p - 127) / 128).transpose(2, 0, 1)[None]} for p in pictures(data_dir / "images", (320, 240))]
    assert max(errors(session, quantized(session, mode, feeds[1::2]), feeds[::2])) < ALLOWED[mode]


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_super_resolution(models, data_dir, mode):
    session = konv.onnx.load(models / "super_resolution_std.onnx")
    feeds = [{"Y": p.transpose(2, 0, 1)[None] / 255} for p in pictures(data_dir / "images", (96, 80), "L")]
    assert max(errors(session, quantized(session, mode, feeds[1::2]), feeds[::2])) < ALLOWED[mode]


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_digits(models, data_dir, mode):
    from konv.datasets import load_mnist

    session = konv.onnx.load(models / "mnist.onnx")
    mnist, name = load_mnist(data_dir / "mnist"), session.inputs[0].name
    feeds = [{name: x.reshape(1, 1, 28, 28).astype(np.float32)} for x in mnist.x_test[:1000]]
    train = [{name: x.reshape(1, 1, 28, 28).astype(np.float32)} for x in mnist.x_train[:100]]
    small = quantized(session, mode, train)
    right = {
        s: np.mean([s.run(f)[0].argmax() == label for f, label in zip(feeds, mnist.y_test, strict=False)])
        for s in (session, small)
    }
    assert right[session] > 0.97
    assert abs(right[small] - right[session]) <= 0.003


def test_other_shapes_and_reports():
    session = konv.onnx.load(network("resnet18", "N", 64))
    rng = np.random.default_rng(0)
    feeds = [{"input": rng.standard_normal((2, 3, 64, 64)).astype(np.float32)} for _ in range(2)]
    small = session.quantize("int8", feeds)
    assert max(errors(session, small, [{"input": f["input"][:1]} for f in feeds])) < 0.1
    kinds = {(s.kind, s.dtype) for s in small.explain({"input": (1, 3, 64, 64)}).steps}
    assert ("conv", "uint8") in kinds
    assert "conv uint8: implicit_gemm_int8" in str(small.explain({"input": (1, 3, 64, 64)}))
    half = session.quantize("bfloat16")
    assert "conv bfloat16" in str(half.explain({"input": (1, 3, 64, 64)}))
    assert {s.dtype for s in session.explain({"input": (1, 3, 64, 64)}).steps} == {"float32"}


def test_a_step_in_numpy_between_graphs():
    """Each graph of a model is calibrated on its own."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 4, 3, 3)).astype(np.float32) / 6 for _ in range(2)]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1] * 4),
        helper.make_node("CumSum", ["a", "axis"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["y"]),
    ]
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 4, None, None]) for n in "xy"]
    constants = [onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    constants.append(onnx.numpy_helper.from_array(np.array(3), "axis"))
    model = helper.make_model(
        helper.make_graph(nodes, "g", info[:1], info[1:], constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    session = konv.onnx.load(model)
    feed = {"x": rng.standard_normal((1, 4, 9, 9)).astype(np.float32)}
    assert max(errors(session, session.quantize("int8", [feed]), [feed])) < 0.02
    assert max(errors(session, session.quantize("bfloat16"), [feed])) < 0.01


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_constants_beside_activations(mode):
    """Coordinates as channels: what is joined with the input is no activation."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((8, 5, 3, 3)) / 7,
        "grid": 3 * rng.standard_normal((1, 2, 9, 9)),
        "v": rng.standard_normal((4, 8, 1, 1)) / 3,
    }
    nodes = [
        helper.make_node("Concat", ["x", "grid"], ["c"], axis=1),
        helper.make_node("Conv", ["c", "w"], ["h"]),
        helper.make_node("Conv", ["h", "v"], ["y"]),
    ]
    shapes = {"x": (np.float32, (1, 3, 9, 9))}
    model = model_of(nodes, shapes, constants={name: a.astype(np.float32) for name, a in constants.items()})
    session = konv.onnx.load(model)
    feed = {"x": rng.standard_normal((1, 3, 9, 9)).astype(np.float32)}
    assert max(errors(session, quantized(session, mode, [feed]), [feed])) < 0.02


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["mse", "minmax", "percentile"])
def test_samples_are_finite(method, number):
    session = konv.onnx.load(network("squeezenet", 1, 64))
    sample = np.zeros((1, 3, 64, 64), np.float32)
    sample[0, 1, 5, 7] = number
    with pytest.raises(ValueError, match="samples: expected finite numbers"):
        session.quantize("int8", [{"input": sample}], method=method)


def test_wrong_arguments():
    session = konv.onnx.load(network("squeezenet", 1, 64))
    feed = {"input": np.zeros((1, 3, 64, 64), np.float32)}
    with pytest.raises(ValueError, match="mode: expected one of"):
        session.quantize("float16")
    with pytest.raises(ValueError, match="samples: int8 is calibrated"):
        session.quantize("int8")
    with pytest.raises(ValueError, match="expected shape"):
        session.quantize("int8", [{"input": feed["input"][..., :5]}])
    with pytest.raises(TypeError, match="arrays by name"):
        session.quantize("int8", [feed["input"]])
    info = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy"]
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:]))
    model.ir_version = 8
    with pytest.raises(ValueError, match="no convolution or dense layer"):
        konv.onnx.load(model).quantize("bfloat16")
