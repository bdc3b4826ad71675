"""Damaged and hostile models end in errors that say what is wrong, soon and without taking memory."""

from __future__ import annotations

import random
import resource
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import AttributeProto, TensorProto, helper  # noqa: E402

import konv.onnx  # noqa: E402

from .models import model_of  # noqa: E402

Node = helper.make_node
HUGE = 2**62
IMAGE = {"x": (np.float32, [1, 2, 8, 8])}


def built(nodes: Any, inputs: Any = None, outputs: Any = ("y",), opset: int = 17, **constants: Any) -> Any:
    """A model that ONNX's inference is not asked about."""
    model = model_of([Node("Identity", ["k"], ["y"])], {"k": (np.float32, [1])}, opset=opset)
    del model.graph.node[:], model.graph.input[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    for name, (dtype, shape) in (IMAGE if inputs is None else inputs).items():
        element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        model.graph.input.append(helper.make_tensor_value_info(name, element, shape))
    for name in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]))
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
    return model


def run(model: Any) -> list[Any]:
    session = konv.onnx.load(model)
    return session.run({i.name: np.ones([n or 1 for n in i.shape], i.dtype) for i in session.inputs})  # type: ignore[misc]


SIZES = np.array([HUGE // 2**20, 2**9, 2**9], np.int64)
COLUMN_AND_ROW = {"x": (np.float32, [2**14, 1]), "z": (np.float32, [1, 2**20])}
T100, T200 = ([f"t{i}" for i in range(n)] for n in (100, 200))
COLUMN = {"w": np.ones((4, 2, 1, 1), np.float32)}
GROWING = {
    "Expand": built([Node("Expand", ["x", "s"], ["y"])], {"x": (np.float32, [1])}, s=SIZES),
    "ConstantOfShape": built([Node("ConstantOfShape", ["s"], ["y"])], {}, s=SIZES),
    "Tile": built([Node("Tile", ["x", "s"], ["y"])], {"x": (np.float32, [1, 1, 2])}, s=SIZES),
    "Range": built([Node("Range", ["a", "b", "c"], ["y"])], {}, a=np.int64(0), b=np.int64(2**40), c=np.int64(1)),
    "OneHot": built([Node("OneHot", ["i", "d", "v"], ["y"])], {"i": (np.int64, [4])}, d=np.int64(2**40),
                    v=np.zeros(2, np.float32)),
    "Pad": built([Node("Pad", ["x", "p"], ["y"])], p=np.array([0, 0, 2**40, 0, 0, 0, 0, 0])),
    "Resize": built([Node("Resize", ["x", "", "s"], ["y"])], s=np.array([1, 1, 1e9, 1e9], np.float32)),
    "Resize to sizes": built([Node("Resize", ["x", "", "", "s"], ["y"], mode="linear")], s=np.array([1, 2, 2**40, 8])),
    "ConvTranspose": built([Node("ConvTranspose", ["x", "w"], ["y"], strides=[2**30, 2**30])],
                           w=np.ones((2, 1, 1, 1), np.float32)),
    "Conv": built([Node("Conv", ["x", "w"], ["y"], pads=[2**29] * 4)], w=np.ones((1, 2, 1, 1), np.float32)),
    "MaxPool": built([Node("MaxPool", ["x"], ["y"], kernel_shape=[2**30, 2**30], pads=[2**30 - 1] * 4)]),
    "Col2Im": built([Node("Col2Im", ["x", "s", "b"], ["y"])], {"x": (np.float32, [1, 1, 2**20])}, opset=18,
                    s=np.array([2**30, 2**30]), b=np.array([1, 1])),
    "MaxUnpool": built([Node("MaxUnpool", ["x", "i", "s"], ["y"], kernel_shape=[1, 1])],
                       i=np.zeros((1, 2, 8, 8), np.int64), s=np.array([1, 2, 2**30, 2**30])),
    "MatMul": built([Node("MatMul", ["x", "z"], ["y"])], COLUMN_AND_ROW),
    "Add": built([Node("Add", ["x", "z"], ["y"])], COLUMN_AND_ROW),
    "Einsum": built([Node("Einsum", ["x"] * 8, ["y"], equation="a,b,c,d,e,f,g,h->a")], {"x": (np.float32, [2**10])}),
    "doubled": built([Node("Concat", [f"t{i}", f"t{i}"], [f"t{i + 1}"], axis=0) for i in range(40)],
                     {"t0": (np.float32, [1000])}, ["t40"]),
    "many": built(
        [*(Node("ConstantOfShape", ["s"], [t]) for t in T100), Node("Sum", T100, ["y"])],
        {}, s=np.array([2**22])),
    "alive": built(
        [*(Node("CumSum", ["x", "a"], [t]) for t in T200), Node("Sum", T200, ["y"])],
        {"x": (np.float32, [100])}, a=np.int64(0)),
    "HannWindow": built([Node("HannWindow", ["n"], ["y"])], {}, n=np.int64(2**40)),
    "RandomNormal": built([Node("RandomNormal", [], ["y"], shape=[2**20, 2**20])], {}),
    "Gather": built([Node("Gather", ["x", "i"], ["y"])], {"x": (np.float32, [2, 2**14]), "i": (np.int64, [2**15])}),
    "Attention": built([Node("Attention", ["q", "q", "q"], ["y"])], {"q": (np.float32, [1, 1, 2**17, 1])}, opset=23),
    "RoiAlign": built([Node("RoiAlign", ["x", "r", "i"], ["y"], sampling_ratio=2**20)], r=np.ones((1, 4), np.float32),
                      i=np.zeros(1, np.int64)),
}  # fmt: skip


@pytest.fixture
def bounded() -> Iterator[None]:
    """Fail where Python and NumPy take more than 400 MB."""
    tracemalloc.start()
    yield
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 400 << 20


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("name", GROWING)
def test_small_files_cannot_take_all_memory(name: str) -> None:
    model = GROWING[name]
    if name == "alive":  # some memory: it fits
        run(model)
        return
    with pytest.raises(
        ValueError, match=r"(node '.*' \(\w+\)|model): .*(would need \d+ bytes|2\^31 - 1|spatial shape)"
    ):
        run(model)


def test_the_bound_can_be_moved() -> None:
    model = built([Node("Expand", ["x", "s"], ["y"])], {"x": (np.float32, [1])}, s=np.array([1000, 1000]))
    assert run(model)[0].shape == (1000, 1000)
    with pytest.raises(ValueError, match=r"node 'y' \(Expand\): .* would need 4000000 bytes; .* may take 1000000 "):
        konv.onnx.load(model, max_memory=1_000_000).run({"x": np.ones(1, np.float32)})


BROKEN = {
    "cycle": (built([Node("Add", ["x", "y"], ["z"]), Node("Relu", ["z"], ["y"])]), "model: .*topologically sorted"),
    "unsorted": (built([Node("Relu", ["z"], ["y"]), Node("Neg", ["x"], ["z"])]), "model: .*topologically sorted"),
    "missing": (built([Node("Relu", ["nowhere"], ["y"])]), "model: .*nowhere"),
    "no output": (built([Node("Relu", ["x"], ["z"])]), "model: .*'y' is not an output of any node"),
    "twice": (built([Node("Relu", ["x"], ["y"]), Node("Neg", ["x"], ["y"])]), "model: .*y"),
    "unknown": (built([Node("Convolve", ["x"], ["y"])]), "model: .*Convolve"),
    "custom": (built([Node("Conv", ["x"], ["y"], domain="com.acme")]), r"model: .*com\.acme"),
    "control flow": (built([Node("SequenceEmpty", [], ["s"]), Node("Relu", ["x"], ["y"])]),
                     "model: it has operators that konv does not run: SequenceEmpty"),
    "two types": (built([Node("Add", ["x", "k"], ["y"])], k=np.ones(1)), r"node 'y' \(Add\): .*type"),
    "two sizes": (built([Node("Add", ["x", "k"], ["y"])], k=np.ones(3, np.float32)), r"node 'y' \(Add\): .*dimension"),
    "channels": (built([Node("Conv", ["x", "w"], ["y"])], w=np.ones((4, 3, 1, 1), np.float32)),
                 r"node 'y' \(Conv\): W: shape \(4, 3, 1, 1\) with group 1 does not fit"),
    "bias": (built([Node("Conv", ["x", "w", "b"], ["y"])], b=np.ones(3, np.float32), **COLUMN),
             r"node 'y' \(conv\): bias"),
    "group": (built([Node("Conv", ["x", "w"], ["y"], group=0)], **COLUMN), r"node 'y' \(Conv\)"),
    "stride": (built([Node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[0, 1])]),
               r"node 'y' \(MaxPool\): .*strides"),
    "pads": (built([Node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], pads=[0, -1, 0, 0])]),
             r"node 'y' \(MaxPool\): .*pads"),
    "far": (built([Node("Conv", ["x", "w"], ["y"], dilations=[2**40, 1])], w=np.ones((1, 2, 3, 1), np.float32)),
            r"node 'y' \(Conv\): "),
    "overflow": (built([Node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], pads=[HUGE] * 4, strides=[HUGE, HUGE])]),
                 r"node 'y' \(AveragePool\): "),
    "axis": (built([Node("Softmax", ["x"], ["y"], axis=9)]), r"node 'y' \(Softmax\): .*axis"),
    "reshape": (built([Node("Reshape", ["x", "s"], ["y"])], s=np.array([7, -1])), r"node 'y' \(Reshape\): "),
    "attribute": (built([Node("Conv", ["x", "x"], ["y"], kernel_shape="3")]), "model: .*kernel_shape"),
    "split": (built([Node("Split", ["x"], ["y", "z"], num_outputs=1)], opset=18), r"node 'y' \(Split\): num_outputs"),
    "batch_dims": (built([Node("GatherND", ["x", "i"], ["y"], batch_dims=-2)], i=np.zeros((1, 1), np.int64)),
                   r"node 'y' \(GatherND\): batch_dims"),
    "index": (built([Node("GatherElements", ["x", "i"], ["y"])], i=np.full((1, 2, 8, 8), -HUGE)),
              r"node 'y' \(GatherElements\): .*out of bounds"),
    "axes": (built([Node("Expand", ["x", "s"], ["y"])], {**IMAGE, "s": (np.int64, [10**6])}),
             r"node 'y' \(Expand\): the result would have 1000000 axes"),
    "sequence": (onnx.helper.make_model(onnx.helper.make_graph(
        [Node("Identity", ["x"], ["y"])], "g", [helper.make_tensor_sequence_value_info("x", 1, [1])],
        [helper.make_tensor_sequence_value_info("y", 1, [1])]), ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)]), "model: 'x': expected a tensor, got sequence"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_models_say_what_is_wrong(name: str) -> None:
    model, message = BROKEN[name]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        run(model)


def test_tensors_that_are_not_what_they_say() -> None:
    def with_tensor(**changes: Any) -> Any:
        model = built([Node("Add", ["x", "k"], ["y"])], k=np.ones((2, 1, 1), np.float32))
        for name, value in changes.items():
            if name == "dims":
                model.graph.initializer[0].dims[:] = value
            else:
                setattr(model.graph.initializer[0], name, value)
        return model

    for model in (
        with_tensor(dims=[3, 1, 1]), with_tensor(dims=[HUGE, 4, 1]), with_tensor(raw_data=b"1234567"),
        with_tensor(data_type=77), with_tensor(data_type=TensorProto.DOUBLE), with_tensor(dims=[-2, 1, -1]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"model: |node 'y' "):
            run(model)


def test_functions_that_grow_without_end() -> None:
    calls = "\n".join(
        f'<opset_import: ["": 17, "l": 1], domain: "l"> f{i} (a) => (c) {{ b = l.f{i + 1} (a) c = l.f{i + 1} (b) }}'
        for i in range(60)
    )
    text = f"""
        <ir_version: 8, opset_import: ["": 17, "l": 1]>
        g (float[N] x) => (float[N] y) {{ y = l.f0 (x) }}
        {calls}
        <opset_import: ["": 17], domain: "l"> f60 (a) => (b) {{ b = Relu (a) }}
    """
    with pytest.raises(ValueError, match=f"model: its functions stand for {2**60} nodes"):
        konv.onnx.load(onnx.parser.parse_model(text))
    text = """
        <ir_version: 8, opset_import: ["": 17, "l": 1]>
        g (float[N] x) => (float[N] y) { y = l.f (x) }
        <opset_import: ["": 17, "l": 1], domain: "l"> f (a) => (b) { b = l.f (a) }
    """
    with pytest.raises(ValueError, match="model: "):
        konv.onnx.load(onnx.parser.parse_model(text))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "weights.bin"])
def test_external_data_stays_beside_the_model(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"0" * 400)
    (folder / "weights.bin").write_bytes(b"0" * 400)
    model = built([Node("Add", ["x", "k"], ["y"])], {"x": (np.float32, [100])})
    for name in "kl":
        tensor = model.graph.initializer.add(name=name, data_type=TensorProto.FLOAT, dims=[100])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    # The last of them twice: tensors may not be larger than the files that they lie in.
    with pytest.raises(ValueError, match=r"model: |tensor 'k': "):
        konv.onnx.load(folder / "m.onnx")


# --- random damage ----------------------------------------------------------------------------------

NUMBERS = [0, -1, 1, 2, 3, 7, 100, 2**31 - 1, 2**31, 2**32, HUGE, 2**63 - 1, -(2**63)]


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(rng.choice([1, 2, 5, 20])):
        at = min(len(found) - 1, int(rng.expovariate(1 / 500)))
        what = rng.random()
        if what < 0.7:
            found[at] = rng.randrange(256)
        elif what < 0.9:
            del found[at : at + rng.randrange(1, 50)]
        else:
            del found[at + 1 :]
    return bytes(found)


def damaged_model(rng: random.Random, model: Any) -> Any:
    found = onnx.ModelProto()
    found.CopyFrom(model)
    for _ in range(rng.choice([1, 1, 2, 3])):
        node, what = rng.choice(found.graph.node), rng.random()
        if what < 0.4 and node.attribute:
            attribute = rng.choice(node.attribute)
            if attribute.type == AttributeProto.INT:
                attribute.i = rng.choice(NUMBERS)
            elif attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
        elif what < 0.6 and found.graph.initializer:
            tensor = rng.choice(found.graph.initializer)
            if tensor.dims and rng.random() < 0.6:
                tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
            else:
                tensor.data_type = rng.randrange(24)
        elif what < 0.75 and node.input:
            names = [name for other in found.graph.node for name in (*other.input, *other.output)]
            node.input[rng.randrange(len(node.input))] = rng.choice([*names, "", "nowhere"])
        elif what < 0.9:
            node.op_type = rng.choice(found.graph.node).op_type
        else:
            found.opset_import[0].version = rng.randrange(30)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are Linux's")
@pytest.mark.parametrize("name", ["mnist", "super_resolution_std", "ultraface_RFB-320"])
@pytest.mark.parametrize("how", ["bytes", "model"])
def test_random_damage(name: str, how: str, data_dir: Path) -> None:
    data = (data_dir / "models" / f"{name}.onnx").read_bytes()
    model, rng = onnx.load_model_from_string(data), random.Random(0)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, before[1]))
    refused = 0
    try:
        for _ in range(60):
            damaged = damaged_bytes(rng, data) if how == "bytes" else damaged_model(rng, model)
            try:
                session = konv.onnx.load(damaged)
                sizes = [[n if isinstance(n, int) else 9 for n in i.shape] for i in session.inputs]
                if all(np.prod(s, dtype=float) < 1e6 for s in sizes):
                    inputs = zip(session.inputs, sizes, strict=True)
                    session.run({i.name: np.ones(s, i.dtype) for i, s in inputs})
            except ValueError as error:
                refused += 1
                assert str(error).startswith(("model: ", "node '", "tensor '")), error  # noqa: PT017
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert refused > 0
