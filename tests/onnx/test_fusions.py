"""What passes make of a graph: the steps that are left, and their results beside ONNX Runtime's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import helper

import konv.onnx

from .models import model_of, runtime

RNG = np.random.default_rng(0)
Node = helper.make_node


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


CONSTANTS = {
    "w": normal(4, 4, 3, 3), "b": normal(4), "wt": normal(4, 2, 3, 3), "vector": normal(1, 4, 1, 1), "one": normal(1),
    "plane": normal(1, 1, 8, 8), "scale": normal(4), "mean": normal(4), "variance": np.abs(normal(4)) + 0.5,
    "zero": np.float32(0), "six": np.float32(6), "three": np.float32(3), "pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]),
    "wide": np.array([0, 1, 0, 0, 0, 1, 0, 0]), "w6": normal(4, 6, 3, 3), "slope": normal(4, 1, 1),
    "vectors": normal(1, 4, 1, 1), "batch": np.array([2, 4, 64], np.int64),
}  # fmt: skip
SAME = {"pads": [1, 1, 1, 1]}
CONV = Node("Conv", ["x", "w", "b"], ["c"], **SAME)


def case(name: str, nodes: list[Any], *steps: tuple[str, ...]) -> Any:
    return pytest.param(nodes, steps, id=name)


def norm(before: str, after: str) -> Any:
    return Node("BatchNormalization", [before, "scale", "b", "mean", "variance"], [after])


CASES = [
    case("batch norm", [CONV, norm("c", "y")], ("Conv", "BatchNormalization")),
    case("batch norm of a transposed convolution in groups",
         [Node("ConvTranspose", ["x", "wt"], ["c"], group=2), norm("c", "y")], ("ConvTranspose", "BatchNormalization")),
    case("batch norm of nothing", [norm("x", "y")], ("BatchNormalization",)),
    case("scale, shift and another shift",
         [CONV, Node("Mul", ["c", "vector"], ["m"]), Node("Sub", ["m", "vectors"], ["s"]),
          Node("Add", ["one", "s"], ["y"])],
         ("Conv", "Mul", "Sub", "Add")),
    case("a plane is no scale", [CONV, Node("Mul", ["c", "plane"], ["y"])], ("Conv",), ("Mul",)),
    case("what is subtracted from", [CONV, Node("Sub", ["vector", "c"], ["y"])], ("Conv",), ("Sub",)),
    case("activation", [CONV, Node("Relu", ["c"], ["y"])], ("Conv", "Relu")),
    case("leaky", [CONV, Node("LeakyRelu", ["c"], ["y"], alpha=0.3)], ("Conv", "LeakyRelu")),
    case("relu6", [CONV, Node("Clip", ["c", "zero", "six"], ["y"])], ("Conv", "Clip")),
    case("relu of a clip", [CONV, Node("Clip", ["c", "zero"], ["y"])], ("Conv", "Clip")),
    case("another clip", [CONV, Node("Clip", ["c", "zero", "three"], ["y"])], ("Conv",), ("Clip",)),
    case("silu", [CONV, Node("Sigmoid", ["c"], ["s"]), Node("Mul", ["c", "s"], ["y"])], ("Conv", "Sigmoid", "Mul")),
    case("hardswish", [CONV, Node("HardSigmoid", ["c"], ["s"], alpha=1 / 6), Node("Mul", ["s", "c"], ["y"])],
         ("Conv", "HardSigmoid", "Mul")),
    case("nearly hardswish", [CONV, Node("HardSigmoid", ["c"], ["s"], alpha=0.2), Node("Mul", ["s", "c"], ["y"])],
         ("Conv",), ("HardSigmoid", "Mul")),
    case("residual", [CONV, Node("Add", ["c", "x"], ["y"])], ("Conv", "Add")),
    case("residual and activation", [CONV, Node("Add", ["x", "c"], ["a"]), Node("Relu", ["a"], ["y"])],
         ("Conv", "Add", "Relu")),
    case("residual behind an activation", [CONV, Node("Relu", ["c"], ["r"]), Node("Add", ["r", "x"], ["y"])],
         ("Conv", "Relu"), ("Add",)),
    case("twice the same", [CONV, Node("Add", ["c", "c"], ["y"])], ("Conv",), ("Add",)),
    case("padding", [Node("Pad", ["x", "pads"], ["p"]), Node("Conv", ["p", "w"], ["y"], **SAME)], ("Pad", "Conv")),
    case("padding of channels", [Node("Pad", ["x", "wide"], ["p"]), Node("Conv", ["p", "w6"], ["y"])],
         ("Pad",), ("Pad",), ("Conv",)),
    case("padding with other numbers", [Node("Pad", ["x", "pads", "six"], ["p"]), Node("Conv", ["p", "w"], ["y"])],
         ("Pad",), ("Pad",), ("Conv",)),
    case("activation behind a reshape", [CONV, Node("Reshape", ["c", "batch"], ["r"]), Node("Tanh", ["r"], ["y"])],
         ("Conv", "Tanh")),
    case("an expression",
         [Node("Exp", ["x"], ["e"]), Node("Add", ["e", "three"], ["a"]), Node("Log", ["a"], ["l"]),
          Node("Mul", ["x", "l"], ["m"]), Node("Max", ["m", "vector"], ["y"])],
         ("Exp", "Add", "Log", "Mul", "Max")),
    case("two readers of one step",
         [Node("Exp", ["x"], ["e"]), Node("Neg", ["e"], ["n"]), Node("Mul", ["e", "n"], ["y"])],
         ("Exp", "Neg", "Mul")),
    case("two readers",
         [Node("Exp", ["x"], ["e"]), Node("Conv", ["e", "w"], ["c"], **SAME), Node("Mul", ["e", "c"], ["y"])],
         ("Exp",), ("Conv",), ("Mul",)),
    case("prelu", [CONV, Node("PRelu", ["c", "slope"], ["y"])], ("Conv",), ("PRelu",)),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "steps"), CASES)
def test_fusion(nodes: list[Any], steps: tuple[tuple[str, ...], ...]) -> None:
    read = {name for node in nodes for name in node.input}
    constants = {name: array for name, array in CONSTANTS.items() if name in read}
    model = model_of(nodes, {"x": (np.float32, [2, 4, 8, 8])}, ["y"], constants)
    session, x = konv.onnx.load(model), normal(2, 4, 8, 8)
    (found,), (expected,) = session.run({"x": x}), runtime(model, {"x": x})
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5 * np.abs(expected).max())
    made = [step for step in session.profile({"x": x}).steps if step.kind != "copy" or len(steps) > 1]
    joined = [tuple(op for _, op in step.origins) for step in made if step.origins]
    assert joined == list(steps)


def test_results_that_are_read_elsewhere_stay() -> None:
    nodes = [CONV, Node("Relu", ["c"], ["y"])]
    model = model_of(nodes, {"x": (np.float32, [2, 4, 8, 8])}, ["y", "c"], {n: CONSTANTS[n] for n in "wb"})
    x = normal(2, 4, 8, 8)
    for found, expected in zip(konv.onnx.load(model).run({"x": x}), runtime(model, {"x": x}), strict=True):
        np.testing.assert_allclose(found, expected, 1e-5, 1e-5)


def test_what_is_known_is_computed_once() -> None:
    nodes = [
        Node("Shape", ["x"], ["s"]), Node("Gather", ["s", "i"], ["n"]), Node("Mul", ["n", "two"], ["m"]),
        Node("Concat", ["m", "rest"], ["t"], axis=0), Node("Reshape", ["x", "t"], ["y"]),
    ]  # fmt: skip
    constants = {"i": np.array([0]), "two": np.array([2]), "rest": np.array([-1])}
    model = model_of(nodes, {"x": (np.float32, ["N", 6])}, {"y": 2}, constants)
    session = konv.onnx.load(model)
    for n in (1, 4):
        assert session.run({"x": normal(n, 6)})[0].shape == (2 * n, 3)
    assert all(step.kind == "copy" for step in session.explain({"x": (4, 6)}).steps)


EXPRESSIONS = {
    "Neg": "x", "Abs": "x", "Floor": "x", "Ceil": "x", "Round": "x", "Sign": "x", "Exp": "x", "Sigmoid": "x",
    "Tanh": "x", "Erf": "x", "Softplus": "x", "Softsign": "x", "Elu": "x", "Selu": "x", "Celu": "x", "HardSigmoid": "x",
    "HardSwish": "x", "Sqrt": "+", "Log": "+", "Reciprocal": "+",
}  # fmt: skip


@pytest.mark.parametrize("op", EXPRESSIONS)
@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
def test_functions_of_one_argument(op: str, size: int) -> None:
    x = normal(size) * 3
    x = np.abs(x) + 0.1 if EXPRESSIONS[op] == "+" else x
    model = model_of([Node(op, ["x"], ["y"])], {"x": (np.float32, [size])})
    (found,), (expected,) = konv.onnx.load(model).run({"x": x}), runtime(model, {"x": x})
    # Functions are good to a few units in the last place of their largest term.
    np.testing.assert_allclose(found, expected, 2e-6, 4e-7)


SHAPES = [
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (3, 1)),
    ((4,), (2, 3, 1)),
    ((1, 1), (5, 17)),
    ((2, 1, 6, 5), (2, 4, 1, 5)),
]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "PRelu"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_functions_of_two_arguments(op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    if op == "PRelu":  # broadcasts one way
        a = np.broadcast_shapes(a, b)
    feeds = {"x": np.abs(normal(*a)) + 0.1 if op == "Pow" else normal(*a), "z": normal(*b)}
    model = model_of([Node(op, ["x", "z"], ["y"])], {name: (np.float32, v.shape) for name, v in feeds.items()})
    (found,), (expected,) = konv.onnx.load(model).run(feeds), runtime(model, feeds)
    np.testing.assert_allclose(found, expected, 2e-6, 1e-6)
