"""Sessions: what they refuse, open sizes, many threads, opsets and ways to load."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402

import konv  # noqa: E402
import konv.onnx  # noqa: E402

from .models import model_of, node_model, runtime  # noqa: E402

RNG = np.random.default_rng(0)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def assert_close(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, tolerance, tolerance * max(1.0, float(np.abs(b).max(initial=0))))
        else:
            np.testing.assert_array_equal(a, b)


def test_weights_of_both_directions_are_kept_apart() -> None:
    """One array serves a convolution and a transposed one."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["h"]), helper.make_node("ConvTranspose", ["h", "w"], ["y"])]
    weight, x = normal(32, 32, 1, 1), normal(1, 32, 8, 8)
    model = model_of(nodes, {"x": (np.float32, x.shape)}, constants={"w": weight})
    (found,) = konv.onnx.load(model).run({"x": x})
    square = weight[..., 0, 0].astype(np.float64)
    expected = np.einsum("ki,kc,bchw->bihw", square, square, x.astype(np.float64))
    np.testing.assert_allclose(found, expected, 1e-4, 1e-4 * np.abs(expected).max())


def small_network(opset: int = 17) -> Any:
    """Convolutions, pooling and resizing of images of any size, and a head that asks for shapes, as exporters write."""
    weights = {
        "w1": normal(6, 3, 3, 3), "b1": normal(6), "scale": normal(6), "shift": normal(6), "mean": normal(6),
        "variance": np.abs(normal(6)) + 0.5, "w2": normal(6, 1, 3, 3), "w3": normal(6, 6, 1, 1), "w4": normal(6, 5),
        "minus": np.array([-1], np.int64), "first": np.array(0, np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "scale", "shift", "mean", "variance"], ["n1"]),
        helper.make_node("Relu", ["n1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1], group=6),
        helper.make_node("Sigmoid", ["c2"], ["s2"]),
        helper.make_node("Mul", ["c2", "s2"], ["m2"]),
        helper.make_node("Conv", ["m2", "w3"], ["c3"]),
        helper.make_node("Add", ["c3", "r1"], ["a3"]),
        helper.make_node("GlobalAveragePool", ["a3"], ["g"]),
        helper.make_node("Shape", ["g"], ["size"]),
        helper.make_node("Gather", ["size", "first"], ["n"], axis=0),
    ]
    if opset >= 13:
        nodes.append(helper.make_node("Unsqueeze", ["n", "first1"], ["nn"]))
        weights["first1"] = np.array([0], np.int64)
    else:
        nodes.append(helper.make_node("Unsqueeze", ["n"], ["nn"], axes=[0]))
    nodes += [
        helper.make_node("Concat", ["nn", "minus"], ["flat"], axis=0),
        helper.make_node("Reshape", ["g", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w4"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"], axis=1),
    ]
    return model_of(nodes, {"x": (np.float32, ["N", 3, "H", "W"])}, {"y": 2, "a3": 4}, weights, opset)


def test_open_sizes() -> None:
    model = small_network()
    session = konv.onnx.load(model)
    assert session.inputs[0] == konv.onnx.TensorInfo("x", ("N", 3, "H", "W"), np.dtype(np.float32))
    assert [info.name for info in session.outputs] == ["y", "a3"]
    for shape in [(1, 3, 16, 16), (3, 3, 9, 14), (2, 3, 1, 1), (1, 3, 40, 7), (3, 3, 9, 14)]:
        x = normal(*shape)
        assert_close(session.run({"x": x}), runtime(model, {"x": x}))


@pytest.mark.parametrize("opset", range(7, 24))
def test_every_opset(opset: int) -> None:
    model, x = small_network(opset), normal(2, 3, 11, 8)
    assert_close(konv.onnx.load(model).run({"x": x}), runtime(model, {"x": x}))


def test_many_threads_with_different_shapes() -> None:
    model = small_network()
    session = konv.onnx.load(model)
    inputs = [normal(1 + i % 3, 3, 8 + i, 20 - i) for i in range(8)]
    expected = [konv.onnx.load(model).run({"x": x}) for x in inputs]
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait()
            for i in range(24):
                at = (number + i) % len(inputs)
                for found, wanted in zip(session.run({"x": inputs[at]}), expected[at], strict=True):
                    np.testing.assert_array_equal(found, wanted)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_results_stay_the_callers() -> None:
    session = konv.onnx.load(small_network())
    x = normal(1, 3, 8, 8)
    first = session.run({"x": x})
    kept = [y.copy() for y in first]
    session.run({"x": normal(1, 3, 8, 8)})
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_inputs_of_any_strides() -> None:
    session = konv.onnx.load(small_network())
    x = normal(2, 10, 9, 3).transpose(0, 3, 1, 2)
    assert_close(session.run({"x": x}), session.run({"x": x.copy()}), 0)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({}, ValueError, r"inputs: expected \['x'\], got \[\]"),
        ({"z": normal(1, 3, 8, 8)}, ValueError, r"inputs: expected \['x'\], got \['z'\]"),
        ({"x": normal(1, 3, 8, 8), "z": normal(1)}, ValueError, r"inputs: expected \['x'\], got \['x', 'z'\]"),
        ({"x": normal(1, 4, 8, 8)}, ValueError, r"inputs\['x'\]: expected shape .*, got \(1, 4, 8, 8\)"),
        ({"x": normal(3, 8, 8)}, ValueError, r"inputs\['x'\]: expected shape .*, got \(3, 8, 8\)"),
        (
            {"x": normal(1, 3, 8, 8).astype(np.float64)},
            TypeError,
            r"inputs\['x'\]: expected dtype float32, got float64",
        ),
        ([normal(1, 3, 8, 8)], TypeError, "inputs: expected arrays by name, got list"),
    ],
)
def test_wrong_inputs(inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        konv.onnx.load(small_network()).run(inputs)


def test_sizes_that_do_not_fit_name_the_node() -> None:
    model = model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="first")],
        {"x": (np.float32, ["N", 3, "H", "W"])},
        constants={"w": normal(4, 3, 5, 5)},
    )
    session = konv.onnx.load(model)
    with pytest.raises(ValueError, match=r"node 'first' \(Conv\): .*spans 5 elements, but the padded input has 4"):
        session.run({"x": normal(1, 3, 4, 8)})
    assert session.run({"x": normal(1, 3, 5, 8)})[0].shape == (1, 4, 1, 4)


def test_explain() -> None:
    session = konv.onnx.load(small_network())
    with pytest.raises(ValueError, match="shapes: expected one for input 'x'"):
        session.explain()
    report = session.explain({"x": (1, 3, 32, 32)})
    text = str(report)
    assert "Conv + BatchNormalization + Relu" in text
    assert "Conv + Sigmoid + Mul" in text
    assert "conv: " in text
    assert " ms" in text
    joined = [tuple(op for _, op in step.origins) for step in report.steps]
    assert ("Conv", "Add") in joined
    assert all(step.result_bytes > 0 for step in report.steps)
    assert sum(step.weight_bytes for step in report.steps) > 0


def test_ways_to_load(tmp_path: Path) -> None:
    model, x = small_network(), normal(1, 3, 8, 8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    expected = konv.onnx.load(model).run({"x": x})
    for given in (path, str(path), model.SerializeToString()):
        assert_close(konv.onnx.load(given).run({"x": x}), expected, 0)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert_close(konv.onnx.load(path).run({"x": x}), expected, 0)
    with pytest.raises(ValueError, match=r"tensor 'w1' lies in a file of its own; load the model by its path"):
        konv.onnx.load(path.read_bytes())
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ValueError, match="model: "):
        konv.onnx.load(path)
    with pytest.raises(FileNotFoundError):
        konv.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(TypeError, match="model: expected a path, bytes or a ModelProto, got int"):
        konv.onnx.load(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_memory: expected a positive number of bytes, got 0"):
        konv.onnx.load(model, max_memory=0)


def test_functions_of_a_model() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N, 4] x) => (float[N, 4] y) { y = local.twice (x) }
        <opset_import: ["": 17, "local": 1], domain: "local"> twice (a) => (c) { b = Relu (a) c = local.more (b) }
        <opset_import: ["": 17], domain: "local"> more (a) => (b) { b = Add (a, a) }
    """)
    x = normal(2, 4)
    np.testing.assert_array_equal(konv.onnx.load(model).run({"x": x})[0], 2 * np.maximum(x, 0))


def test_sizes_that_depend_on_values() -> None:
    """Of an input that says how large, and of what is found in another."""
    grow = model_of(
        [helper.make_node("Expand", ["x", "size"], ["e"]), helper.make_node("Relu", ["e"], ["y"])],
        {"x": (np.float32, [1, "W"]), "size": (np.int64, [2])},
    )
    session, x = konv.onnx.load(grow), normal(1, 5)
    for rows in (1, 3, 3, 7):
        found = session.run({"x": x, "size": np.array([rows, 5])})[0]
        np.testing.assert_array_equal(found, np.maximum(x, 0).repeat(rows, 0))
    find = model_of(
        [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("NonZero", ["r"], ["at"]),
            helper.make_node("Neg", ["at"], ["y"]),
        ],
        {"x": (np.float32, ["N", 5])},
    )
    x = normal(3, 5)
    assert_close(konv.onnx.load(find).run({"x": x}), runtime(find, {"x": x}))
    assert "NonZero" in str(konv.onnx.load(find).profile({"x": x}))


def _old(op: str, opset: int, shape: tuple[int, ...], **attributes: Any) -> Any:
    return pytest.param(op, opset, shape, attributes, id=f"{op}-{opset}")


@pytest.mark.parametrize(
    ("op", "opset", "shape", "attributes"),
    [
        *(_old(op, opset, (2, 3, 4), axis=a) for op in ("Softmax", "LogSoftmax", "Hardmax") for opset, a in
          ((7, 1), (11, 2), (13, 1))),
        *(_old("Clip", opset, (2, 3), min=-0.5, max=0.5) for opset in (7, 10)),
        *(_old("Pad", opset, (2, 3), pads=[1, 0, 2, 1], mode=m) for opset in (7, 10) for m in ("constant", "edge")),
        *(_old("Slice", opset, (4, 6), starts=[1, -3], ends=[3, 100], axes=[0, 1]) for opset in (7, 9)),
        *(_old("Squeeze", opset, (2, 1, 3), axes=[1]) for opset in (7, 11)),
        *(_old("Unsqueeze", opset, (2, 3), axes=[0, 3]) for opset in (7, 11)),
        *(_old(op, opset, (2, 3, 4), axes=[1], keepdims=0) for opset in (7, 11) for op in
          ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceL2")),
        *(_old("Upsample", 7, (1, 2, 3, 4), mode=mode, scales=[1.0, 1.0, 2.0, 3.0]) for mode in ("nearest", "linear")),
        *(_old("TopK", opset, (3, 5), k=2) for opset in (7, 9)),
        *(_old("Flatten", opset, (2, 3, 4), axis=2) for opset in (7, 9)),
        *(_old("MaxPool", opset, (1, 2, 7, 7), kernel_shape=[3, 3], strides=[2, 2]) for opset in (7, 8)),
        *(_old("AveragePool", opset, (1, 2, 7, 7), kernel_shape=[3, 3], pads=[1, 1, 1, 1]) for opset in (7, 10)),
        *(_old("LRN", opset, (1, 6, 3, 3), size=3) for opset in (7, 13)),
        *(_old("DepthToSpace", opset, (1, 8, 2, 3), blocksize=2) for opset in (7, 11, 13)),
        *(_old("ArgMax", opset, (2, 5), axis=1) for opset in (7, 12)),
        *(_old("Elu", opset, (2, 5), alpha=0.5) for opset in (7, 22)),
    ],
)  # fmt: skip
def test_operators_of_older_opsets(op: str, opset: int, shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    feeds = {"x": normal(*shape)}
    model = node_model(op, feeds, opset, outputs=2 if op == "TopK" else 1, **attributes)
    assert_close(konv.onnx.load(model).run(feeds), runtime(model, feeds))


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization_in_numpy(opset: int) -> None:
    feeds = {"x": normal(4, 3), **{name: np.abs(normal(3)) + 0.1 for name in "abcd"}}
    model = node_model("BatchNormalization", feeds, opset)
    assert_close(konv.onnx.load(model).run(feeds), runtime(model, feeds))


def test_settings_of_the_process_apply() -> None:
    model, x = small_network(), normal(1, 3, 20, 20)
    session = konv.onnx.load(model)
    expected = runtime(model, {"x": x})
    for isa in konv.info()["isa_levels"]:
        with konv.config(isa=isa):
            assert_close(session.run({"x": x}), expected)


@pytest.mark.parametrize("change", [{"denormals": "keep"}, {"precision": "strict"}, {"max_workspace": 1 << 16}])
def test_other_settings_have_programs_of_their_own(change: dict[str, Any]) -> None:
    x = normal(1, 3, 20, 20)
    session = konv.onnx.load(small_network())
    for changes, programs in (({}, 1), (change, 2), ({}, 2)):
        with konv.config(**changes):
            session.run({"x": x})
        assert len(session._parts) == programs
