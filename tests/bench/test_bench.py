"""What is timed: each contender computes what konv computes, and a wrong or failing one is reported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv
from konv.bench import DIRECTIONS, Problem, Row, Timing, contenders, geometric_mean, installed, measure, parse_layers
from konv.bench.engine import Konv, Plan, algorithms
from konv.bench.problem import Prepared
from konv.bench.registry import EVERYONE
from konv.bench.timing import allowed_difference
from tests import convolution
from tests.convolution import Windows
from tests.reference import Array

SMALL = """# a few small layers
dense   2 8 9 11 12 3 3 1 1 1 1
first   1 3 17 16 4 5 3 2 2 1 1
row     1 4 8 9 6 1 5 1 0,2 1 1 3
dw      1 6 10 10 6 3 3 2 1 1 6
group   2 8 9 9 4 3 3 1 2 2 2   # dilated too
rgb     1 3 12 14 3 5 3 1 2,1 1 3
gray    1 1 12 14 1 3 3 1 1 1 1
blur    1 3 20 21 3 7 5 1 3,2 1 3 separable
"""
LAYERS = {layer.name: layer for layer in parse_layers(SMALL, "small")}

pytestmark = pytest.mark.usefixtures("restore_threads")


def truth(problem: Problem) -> Array:
    layer = problem.layer
    w = problem.weights[0] * problem.weights[-1] if layer.separable else problem.w
    call: dict[str, Any] = {
        "stride": (layer.stride,) * 2,
        "padding": tuple((pad, pad) for pad in layer.pad),
        "dilation": (layer.dilation,) * 2,
        "groups": layer.groups,
    }
    if problem.direction == "forward":
        return convolution.conv(problem.x, w, None, **call)
    if problem.direction == "input":
        return convolution.conv_input(layer.input_shape, w, problem.gy, **call)
    return convolution.conv_weight(problem.x, layer.weight_shape, problem.gy, **call)


def check(prepared: Prepared, problem: Problem) -> None:
    expected = truth(problem)
    out = np.asarray(prepared.fetch(prepared.run()))
    assert out.shape == expected.shape
    assert out.dtype == problem.x.dtype
    assert np.abs(out - expected).max() <= allowed_difference(problem) * np.abs(expected).max()


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", installed())
def test_contenders_compute_the_truth(name: str, layer: str) -> None:
    contender = contenders(2, [name])[-1]
    assert contender.name == name
    for direction in DIRECTIONS if layer != "blur" else ["forward"]:
        for dtype in ("float32", "float64"):
            problem = Problem.random(LAYERS[layer], direction, dtype=dtype)
            prepared = contender.prepare(problem)
            if prepared is not None:
                check(prepared, problem)
            else:
                assert name not in ("konv", "numpy", "torch", "torch_channels_last")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_konv_on_channels_last(direction: str) -> None:
    for name in installed()[:2]:
        problem = Problem.random(LAYERS["dense"], direction, layout="NHWC")
        prepared = contenders(1, [name])[-1].prepare(problem)
        if prepared is not None:
            check(prepared, problem)
    assert (contenders(1, ["konv"])[0].prepare(problem)) is not None


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("layer", LAYERS)
def test_plan(layer: str, layout: str) -> None:
    problem = Problem.random(LAYERS[layer], "forward", layout=layout)
    prepared = Plan(1).prepare(problem)
    assert prepared is not None
    check(prepared, problem)
    assert Plan(1).prepare(Problem.random(LAYERS["dense"], "weight")) is None


def test_who_applies() -> None:
    def names(layer: str, direction: str) -> set[str]:
        field_of = contenders(1)
        problem = Problem.random(LAYERS[layer], direction)
        return {contender.name for contender in field_of if contender.prepare(problem) is not None}

    images = {name for name in installed() if name.startswith(("scipy", "opencv"))}
    runtimes = {name for name in installed() if name in ("plan", "onnxruntime", "openvino", "ncnn")}
    everywhere = set(installed()) - images - runtimes
    assert names("dense", "input") == names("dense", "weight") == everywhere
    assert names("first", "forward") == everywhere | runtimes
    assert names("rgb", "forward") == set(installed())
    assert names("blur", "forward") == set(installed()) - {"scipy_signal"}
    assert names("dense", "forward") == (everywhere | runtimes) - {"ncnn"}  # two images


def test_forced_algorithms() -> None:
    problem = Problem.random(LAYERS["dense"], "forward")
    names = algorithms(problem)
    assert "implicit_gemm" in names
    assert "reference" not in names
    for name in names:
        prepared = Konv(1, name).prepare(problem)
        assert prepared is not None
        check(prepared, problem)
    assert Konv(1, "pointwise").prepare(problem) is None


def test_contenders_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [contender.name for contender in contenders(1, ["numpy", "numpy"])] == ["konv", "numpy"]
    assert installed()[0] == "konv"
    with pytest.raises(ValueError, match="numpy"):
        contenders(1, ["nmupy"])
    monkeypatch.setattr("konv.bench.registry.find_spec", lambda _: None)
    assert set(installed()) <= {"konv", "plan", "numpy"}
    with pytest.raises(ImportError, match="pip install opencv"):
        contenders(1, ["opencv"])
    assert [contender.name for contender in contenders(1)] == installed()
    assert all(entry.packages for entry in EVERYONE.values() if entry.modules)


class Odd:
    """A peer that is wrong, or fails."""

    def __init__(self, name: str, run: Any) -> None:
        self.name, self.run = name, run

    def prepare(self, problem: Problem) -> Prepared | None:
        return None if self.run is None else Prepared(lambda: self.run(problem))


def raising(_: Problem) -> Array:
    raise RuntimeError("no memory\nand more")


def test_measure() -> None:
    field_of = [
        *contenders(1, ["konv", "numpy"]),
        Odd("absent", None),
        Odd("failing", raising),
        Odd("off", lambda problem: truth(problem) * 1.01),
        Odd("shapeless", lambda _: np.zeros(3)),
        Odd("nan", lambda problem: np.full(problem.layer.output_shape, np.nan)),
    ]
    row = measure(Problem.random(LAYERS["dense"], "forward"), field_of, rounds=2, seconds=0.0)
    assert list(row.timings) == ["konv", "numpy", "off", "shapeless", "nan"]
    assert row.failed == {"failing": "RuntimeError: no memory"}
    assert set(row.wrong) == {"off", "shapeless", "nan"}
    assert row.wrong["off"] == pytest.approx(0.01, rel=0.1)
    assert row.best_peer == "numpy"
    assert row.against_best() == row.ratio("numpy")
    assert row.ratio("absent") is None
    assert all(0 < t.low <= t.median <= t.high and t.rounds == 2 for t in row.timings.values())


def test_measure_passes_konvs_errors_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("broken")

    field_of = contenders(1, ["numpy"])
    monkeypatch.setattr(konv, "conv2d", broken)
    with pytest.raises(ValueError, match="broken"):
        measure(Problem.random(LAYERS["dense"], "forward"), field_of, rounds=1, seconds=0.0)


def test_slow_contenders_are_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konv.bench.timing.SLOW_SECONDS", 0.0)
    monkeypatch.setattr("konv.bench.timing.SLOW_RATIO", 0.0)
    row = measure(Problem.random(LAYERS["dense"], "forward"), contenders(1, ["numpy"]), rounds=3, seconds=0.0)
    assert [timing.rounds for timing in row.timings.values()] == [1, 1]


def test_statistics() -> None:
    timing = Timing.of([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (timing.low, timing.median, timing.high, timing.rounds) == (2.0, 3.0, 4.0, 5)
    assert timing.spread == pytest.approx(1 / 3)
    assert Timing.of([2.0]) == Timing(2.0, 2.0, 2.0, 1)
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    row = Row(LAYERS["dense"], "forward", {"konv": Timing.of([1e-6])})
    assert row.best_peer is None
    assert row.against_best() is None
    assert row.gflops() == pytest.approx(LAYERS["dense"].flops / 1e3)


def test_geometry_of_the_truth() -> None:
    for layer in LAYERS.values():
        pads = tuple((pad, pad) for pad in layer.pad)
        geometry = Windows((layer.H, layer.W), (layer.R, layer.S), (layer.stride,) * 2, pads, (layer.dilation,) * 2)
        assert geometry.out == layer.output_shape[2:]
