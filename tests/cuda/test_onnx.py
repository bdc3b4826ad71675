"""ONNX sessions on a device, beside the same sessions on the CPU."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402

import konv  # noqa: E402
import konv.onnx  # noqa: E402
from tests.onnx.models import model_of, node_model  # noqa: E402
from tests.reference import Array  # noqa: E402

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def both(model: Any, feeds: dict[str, Array], tolerance: float = 1e-5) -> list[Array]:
    """Check the device's results for arrays of the host and of the device, and return them."""
    expected = konv.onnx.load(model).run(feeds)
    session = konv.onnx.load(model, device="cuda")
    found = session.run(feeds)
    there = session.run({name: konv.cuda.to_device(array) for name, array in feeds.items()})
    for one, other, third in zip(found, there, expected, strict=True):
        assert isinstance(one, np.ndarray)
        assert (one.dtype, one.shape) == (third.dtype, third.shape)
        np.testing.assert_allclose(one, third, tolerance, tolerance * max(1.0, float(np.abs(third).max(initial=0))))
        np.testing.assert_array_equal(other.numpy(), one)
    return found


def node(op: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **attributes: Any) -> Any:
    return helper.make_node(op, inputs, outputs, **attributes)


def network(sizes: Sequence[int | str] = ("N", 3, "H", "W")) -> Any:
    """Convolutions of several kinds, what joins and resizes images, and a head that asks for shapes."""
    constants = {
        "w1": normal(8, 3, 3, 3) / 5, "b1": normal(8), "scale": normal(8), "shift": normal(8), "mean": normal(8),
        "variance": np.abs(normal(8)) + 0.5, "w2": normal(8, 1, 3, 3) / 3, "w3": normal(8, 4, 1, 1) / 2,
        "w4": normal(8, 6, 2, 2) / 6, "w5": normal(14, 5), "b5": normal(5), "minus": np.array([-1], np.int64),
        "first": np.array(0, np.int64), "sizes": np.array([1, 1, 2, 2], np.float32),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        node("Relu", ["n1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=8),
        node("Conv", ["c2", "w3"], ["c3"], group=2),
        node("Add", ["c3", "r1"], ["a1"]),
        node("HardSwish", ["a1"], ["r2"]),
        node("ConvTranspose", ["r2", "w4"], ["t1"], strides=[2, 2]),
        node("Resize", ["r2", "", "sizes"], ["s1"], mode="linear"),
        node("Concat", ["t1", "s1"], ["j1"], axis=1),
        node("MaxPool", ["j1"], ["p1"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", ["p1"], ["g1"]),
        node("Shape", ["g1"], ["shape"]), node("Gather", ["shape", "first"], ["count"]),
        node("Unsqueeze", ["count", "zero"], ["counts"]), node("Concat", ["counts", "minus"], ["flat"], axis=0),
        node("Reshape", ["g1", "flat"], ["f1"]), node("Gemm", ["f1", "w5", "b5"], ["d1"]),
        node("Softmax", ["d1"], ["y"]),
    ]  # fmt: skip
    constants["zero"] = np.array([0], np.int64)
    return model_of(nodes, {"x": (np.float32, sizes)}, ("y", "p1"), constants)


def test_network_of_open_sizes() -> None:
    model = network()
    for shape in ((2, 3, 12, 10), (1, 3, 12, 10), (1, 3, 7, 9)):
        both(model, {"x": normal(*shape)}, 2e-5)


def test_tf32() -> None:
    with konv.config(precision="high"):
        model = network((2, 3, 12, 10))
        x = {"x": normal(2, 3, 12, 10)}
        expected = konv.onnx.load(model).run(x)
        for found, one in zip(konv.onnx.load(model, device="cuda").run(x), expected, strict=True):
            # 10 bits of fraction, through four layers
            np.testing.assert_allclose(found, one, 0, 4 * 2.0**-10 * 4 * np.abs(one).max())


RATIO = np.array([1, 1, 2, 1.5], np.float32)
X = np.array(RNG.standard_normal((2, 5, 6, 7)), np.float32)
BIG = np.array(RNG.standard_normal((2, 40, 3, 50)), np.float32)
NODES = [
    *[(op, {"x": X}, {}) for op in ("Neg", "Abs", "Exp", "Floor", "Ceil", "Round", "Sign", "Sigmoid", "Tanh", "Erf")],
    *[(op, {"x": X}, {}) for op in ("Softplus", "Softsign", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid")],
    *[(op, {"x": np.abs(X)}, {}) for op in ("Sqrt", "Reciprocal", "Log")],
    ("Mish", {"x": X}, {"opset": 18}),
    ("Gelu", {"x": X}, {"opset": 20}),
    ("Gelu", {"x": X}, {"opset": 20, "approximate": "tanh"}),
    *[(op, {"x": X, "z": normal(5, 1, 7)}, {}) for op in ("Add", "Sub", "Mul", "Div", "PRelu")],
    *[(op, {"x": X, "z": normal(6, 1), "u": normal(2, 1, 1, 1)}, {}) for op in ("Min", "Max", "Sum", "Mean")],
    ("Pow", {"x": np.abs(X), "z": normal(7)}, {}),
    ("Mul", {"x": X.astype(np.float64), "z": X.astype(np.float64)}, {}),
    ("Softmax", {"x": X}, {"axis": 1}),
    ("Softmax", {"x": BIG}, {"axis": -1}),
    ("Softmax", {"x": BIG}, {"axis": 2}),
    ("Softmax", {"x": X.astype(np.float64)}, {"axis": -1}),
    ("Transpose", {"x": BIG}, {"perm": [0, 3, 2, 1]}),
    ("Transpose", {"x": X}, {"perm": [3, 1, 0, 2]}),
    ("Transpose", {"x": BIG.astype(np.int64)}, {"perm": [1, 0, 3, 2]}),
    ("Transpose", {"x": BIG > 0}, {"perm": [0, 3, 1, 2]}),
    ("Concat", {"x": X, "z": normal(2, 3, 6, 7)}, {"axis": 1}),
    ("Concat", {"x": X, "z": X[:, :, :2]}, {"axis": 2}),
    ("DepthToSpace", {"x": normal(1, 8, 3, 4)}, {"blocksize": 2}),
    ("AveragePool", {"x": X}, {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1}),
    ("AveragePool", {"x": X}, {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", {"x": X}, {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ("LpPool", {"x": X}, {"kernel_shape": [2, 2]}),
    ("GlobalMaxPool", {"x": X}, {}),
    ("ReduceMean", {"x": X}, {"axes": [2, 3]}),
    ("LRN", {"x": X}, {"size": 3}),
    ("Flatten", {"x": X}, {"axis": 2}),
    ("SpaceToDepth", {"x": normal(1, 3, 4, 6)}, {"blocksize": 2}),
    ("Identity", {"x": X}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "arrays", "options"), NODES, ids=[f"{i}-{n[0]}" for i, n in enumerate(NODES)])
def test_single_nodes(op: str, arrays: dict[str, Array], options: dict[str, Any]) -> None:
    both(node_model(op, arrays, **options), arrays)


def test_nodes_with_constants() -> None:
    """What moves elements, and what takes sizes from constants."""
    constants = {
        "pads": np.array([0, 0, 1, -1, 0, 0, 2, 3], np.int64), "ends": np.array([-100, 4], np.int64),
        "starts": np.array([100, 1], np.int64), "axes": np.array([2, 3], np.int64),
        "steps": np.array([-2, 1], np.int64), "ratio": RATIO, "value": np.array(2.5, np.float32),
        "low": np.array(-0.5, np.float32), "w": normal(7, 4),
    }  # fmt: skip
    nodes = [
        node("Pad", ["x", "pads", "value"], ["padded"]),
        node("Slice", ["x", "starts", "ends", "axes", "steps"], ["sliced"]),
        node("Resize", ["x", "", "ratio"], ["nearest"], mode="nearest"),
        node("Resize", ["x", "", "ratio"], ["cubic"], mode="cubic"),
        node("Split", ["x"], ["left", "right"], axis=1, num_outputs=2),
        node("Clip", ["sliced", "low"], ["clipped"]),
        node("MatMul", ["x", "w"], ["product"]),
        node("InstanceNormalization", ["x", "s5", "z5"], ["normed"]),
    ]
    constants |= {"s5": normal(5), "z5": normal(5)}
    names = ("padded", "sliced", "nearest", "cubic", "left", "right", "clipped", "product", "normed")
    both(model_of(nodes, {"x": (np.float32, X.shape)}, names, constants, opset=18), {"x": X})


def test_weights_that_are_inputs() -> None:
    model = node_model("Conv", {"x": normal(2, 6, 8, 8), "w": normal(8, 6, 3, 3)})
    with pytest.raises(ValueError, match="node 'y': devices do not compute Conv of such arrays"):
        konv.onnx.load(model, device="cuda")


def test_bfloat16() -> None:
    pytest.importorskip("ml_dtypes")
    model, x = network(), {"x": normal(2, 3, 12, 10)}
    small = konv.onnx.load(model, device="cuda").quantize("bfloat16")
    expected = konv.onnx.load(model).quantize("bfloat16").run(x)
    for found, one in zip(small.run(x), expected, strict=True):
        np.testing.assert_allclose(found, one, 0, 2.0**-8 * 2 * np.abs(one).max())
    assert {step.dtype for step in small.profile(x).steps if step.kind == "conv"} == {"bfloat16"}


def test_outputs_that_are_inputs_or_known() -> None:
    constants = {"c": normal(3)}
    nodes = [node("Identity", ["x"], ["same"]), node("Add", ["c", "c"], ["known"]), node("Relu", ["x"], ["y"])]
    both(model_of(nodes, {"x": (np.float32, (2, 3))}, ("same", "known", "y"), constants), {"x": normal(2, 3)})


def test_dropout_whose_mask_nobody_reads() -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Dropout", ["r"], ["y", "mask"])]
    model = model_of(nodes, {"x": (np.float32, (2, 3))}, ("y",), opset=7)
    both(model, {"x": normal(2, 3)})
    assert len(konv.onnx.load(model).explain().steps) == 1


def test_sizes_that_depend_on_values() -> None:
    """A small input says how large a result is: it is read on the host, wherever it lies."""
    nodes = [node("Reshape", ["x", "sizes"], ["r"]), node("Relu", ["r"])]
    model = model_of(nodes, {"x": (np.float32, (2, 6)), "sizes": (np.int64, (2,))}, {"y": 2})
    for sizes in ([3, 4], [12, 1]):
        both(model, {"x": normal(2, 6), "sizes": np.array(sizes, np.int64)})


@pytest.mark.parametrize("sizes", [(2, 3, 4, 4), ("N", 3, 4, 4)])
def test_operators_that_devices_lack(sizes: Sequence[int | str]) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("CumSum", ["r", "axis"], ["c"]), node("Neg", ["c"])]
    model = model_of(nodes, {"x": (np.float32, sizes)}, constants={"axis": np.array(1)})
    konv.onnx.load(model)
    with pytest.raises(ValueError, match="devices do not compute CumSum; device='cpu' does"):
        konv.onnx.load(model, device="cuda")


def test_forms_of_operators_that_devices_lack() -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("ReduceMean", ["r"], ["y"], axes=[1])]
    model = model_of(nodes, {"x": (np.float32, ("N", 3, 4, 4))})
    session = konv.onnx.load(model, device="cuda")
    with pytest.raises(ValueError, match="node 'y': devices do not compute ReduceMean of such arrays"):
        session.run({"x": normal(1, 3, 4, 4)})
    fixed = model_of(nodes, {"x": (np.float32, (2, 3, 4, 4))})
    with pytest.raises(ValueError, match="node 'y': devices do not compute ReduceMean of such arrays"):
        konv.onnx.load(fixed, device="cuda")


def test_refused_arguments() -> None:
    model = network()
    with pytest.raises(ValueError, match="device: expected 'cpu', 'cuda' or"):
        konv.onnx.load(model, device="gpu")
    session = konv.onnx.load(model, device="cuda")
    with pytest.raises(ValueError, match="mode: sessions in int8 run on the CPU, not on 'cuda:0'"):
        session.quantize("int8", [])
    x = normal(1, 3, 8, 8)
    with pytest.raises(TypeError, match=r"inputs\['x'\]: expected dtype float32, got float64"):
        session.run({"x": konv.cuda.to_device(x.astype(np.float64))})
    with pytest.raises(ValueError, match=r"inputs\['x'\]: expected shape"):
        session.run({"x": konv.cuda.to_device(x[:, :2])})
    with pytest.raises(ValueError, match="inputs: expected arrays for device 'cpu', got some on 'cuda:0'"):
        konv.onnx.load(model).run({"x": konv.cuda.to_device(x)})


def test_two_devices(simulator: Any) -> None:
    model, x = network(), normal(1, 3, 8, 8)
    session = konv.onnx.load(model, device="cuda:1")
    expected = konv.onnx.load(model, device="cuda").run({"x": x})
    np.testing.assert_array_equal(session.run({"x": x})[0], expected[0])
    with konv.cuda.device(1):
        there = konv.cuda.to_device(x)
    assert session.run({"x": there})[0].device == 1
    with pytest.raises(ValueError, match="inputs: expected arrays for device 'cuda:1', got some on 'cuda:0'"):
        session.run({"x": konv.cuda.to_device(x)})
    with pytest.raises(ValueError, match="device: expected one of the 2 devices"):
        konv.onnx.load(model, device="cuda:2")


def test_report(tmp_path: Path) -> None:
    report = konv.onnx.load(network((1, 3, 12, 10)), device="cuda").explain()
    assert [step.kind for step in report.steps].count("conv") == 5
    assert all(step.seconds >= 0 for step in report.steps)
    assert sum(step.seconds for step in report.steps) > 0
    starts = [step.start for step in report.steps]
    assert starts == sorted(starts)
    assert report.arena_bytes > 0
    assert "reference" in str(report) or "implicit_gemm" in str(report)
    report.write_trace(tmp_path / "trace.json")
    assert len(json.loads((tmp_path / "trace.json").read_text())["traceEvents"]) == len(report.steps)


def test_weights_stay(simulator: Any) -> None:
    """A warm run on arrays of the device copies nothing; other sizes share the packed weights."""
    session = konv.onnx.load(network(), device="cuda")
    feeds = [{"x": konv.cuda.to_device(normal(n, 3, 8, 8))} for n in (1, 2)]
    first = [session.run(feed)[0].numpy() for feed in feeds]
    simulator.simulate(failing_call="copy")
    again = [session.run(feed)[0] for feed in feeds]
    simulator.simulate()
    for one, other in zip(again, first, strict=True):
        np.testing.assert_array_equal(one.numpy(), other)


def test_out_of_memory(simulator: Any) -> None:
    model, feeds = network(), {"x": normal(1, 3, 8, 8)}
    session = konv.onnx.load(model, device="cuda")
    expected = session.run(feeds)
    simulator.release_idle()
    used, calls, found = simulator.memory_info()[0], 0, None
    while found is None:  # each allocation of a run in its turn
        simulator.release_idle()
        simulator.simulate(failing_call="allocate", calls_before_failure=calls)
        with suppress(MemoryError):
            found = session.run(feeds)
        simulator.simulate()
        gc.collect()
        assert simulator.memory_info()[0] == used
        calls += 1
    assert calls > 3  # the input, two outputs, and the arena with all scratch
    np.testing.assert_array_equal(found[0], expected[0])


def test_threads() -> None:
    session = konv.onnx.load(network(), device="cuda")
    feeds = [{"x": normal(1 + i % 3, 3, 8, 8)} for i in range(9)]
    expected = [session.run(feed) for feed in feeds[:3]]
    found: list[Any] = [None] * len(feeds)

    def run(i: int) -> None:
        with konv.config(precision="strict"):  # a thread's own, as in the fixture
            found[i] = session.run(feeds[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(feeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, two in zip(found, expected, strict=False):
        np.testing.assert_array_equal(one[0], two[0])
    assert all(len(one) == 2 for one in found)


@pytest.mark.parametrize("name", ["mnist", "super_resolution_std"])
def test_real_networks(data_dir: Path, name: str) -> None:
    path = data_dir / "models" / f"{name}.onnx"
    (info,) = konv.onnx.load(path).inputs
    shape = [n if isinstance(n, int) else 1 if axis == 0 else 12 for axis, n in enumerate(info.shape)]
    x = {info.name: RNG.random(shape, np.float32)}
    (expected,) = konv.onnx.load(path).run(x)
    (found,) = konv.onnx.load(path, device="cuda").run(x)
    np.testing.assert_allclose(found, expected, 1e-4, 1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["SqueezeNet_fp32", "ultraface_RFB-320"])
def test_real_networks_load(data_dir: Path, name: str) -> None:
    """All their nodes run on a device; on the simulator they would take too long."""
    session = konv.onnx.load(data_dir / "models" / f"{name}.onnx", device="cuda")
    assert session.inputs[0].shape[1] == 3
