"""`konv bench`: its layers, its contenders' results, its command."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
from konv.bench import DIRECTIONS, Layer, Problem, contenders, geometric_mean, load_suite, suites
from konv.bench.command import main
from tests.cases import Case

SMALL = """# a few small layers
dense  2 8 9 11 12 3 3 1 1 1 1
first  1 3 17 16 4 5 3 2 2 1 1
dw     1 6 10 10 6 3 3 2 1 1 6
group  2 8 9 9 4 3 3 1 2 2 2   # dilated too
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.txt"
    path.write_text(SMALL)
    return str(path)


def test_packaged_suites() -> None:
    assert {"layers", "resnet50", "vgg16", "mobilenet"} <= set(suites())
    for name, about in suites().items():
        layers = load_suite(name)
        assert len({layer.name for layer in layers}) == len(layers)
        assert about
    assert len(load_suite("layers")) == 24


def test_sizes_of_a_layer() -> None:
    layer = Layer.parse("conv1 1 3 224 224 64 7 7 2 3 1 1")
    assert layer.output_shape == (1, 64, 112, 112)
    assert layer.weight_shape == (64, 3, 7, 7)
    assert layer.flops == 2 * 64 * 112 * 112 * 3 * 49


@pytest.mark.parametrize(
    "line",
    [
        "short 1 2 3",
        "text 1 2 3 4 5 6 7 8 9 10 x",
        "zero 1 4 8 8 4 3 3 0 1 1 1",
        "groups 1 4 8 8 4 3 3 1 1 1 3",
        "empty 1 4 2 8 4 3 3 1 0 1 1",
        "pad 1 4 8 8 4 3 3 1 -1 1 1",
    ],
)
def test_bad_lines(line: str) -> None:
    with pytest.raises(ValueError, match=line.split()[0]):
        Layer.parse(line)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["konv", "numpy", "torch", "torch channels_last"])
@pytest.mark.usefixtures("restore_threads")
def test_contenders_compute_the_truth(name: str, direction: str, suite: str) -> None:
    if name.startswith("torch"):
        pytest.importorskip("torch")
    contender = next(c for c in contenders(konv.get_num_threads()) if c.name == name)
    for layer in load_suite(suite):
        problem = Problem.random(layer, direction)
        run = contender.prepare(problem)
        assert run is not None
        case = Case(
            layer.N, layer.C, (layer.H, layer.W), layer.K, (layer.R, layer.S),
            (layer.stride, layer.stride), layer.pad, (layer.dilation, layer.dilation),
            layer.groups,
        )  # fmt: skip
        data = case.data()
        data.x[...], data.w[...], data.gy[...], data.b[...] = problem.x, problem.w, problem.gy, 0
        truth, magnitude = case.truth(direction, data), case.truth(direction, abs(data))
        case.compare(direction, np.asarray(run()), truth, magnitude)


def test_geometric_mean() -> None:
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.usefixtures("restore_threads")
def test_command(direction: str, suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--suite", suite, "--pass", direction, "--rounds", "1", "--threads", "1"]
    assert main([*arguments, "--only", "dense,dw", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "dense" in shown
    assert "first" not in shown
    assert "lowest against numpy" in shown
    figures = json.loads(file.read_text())
    assert figures["direction"] == direction
    assert [row["layer"] for row in figures["rows"]] == ["dense", "dw"]
    assert all(row["us"]["konv"] > 0 and row["wrong"] == [] for row in figures["rows"])


@pytest.mark.usefixtures("restore_threads")
def test_command_with_numpy_alone(
    suite: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def bare(name: str, *rest: Any, **keywords: Any) -> Any:
        if name.split(".")[0] in ("rich", "torch", "threadpoolctl"):
            raise ImportError(name)
        return real(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", bare)
    assert main(["--suite", suite, "--rounds", "1", "--only", "dense"]) == 0
    shown = capsys.readouterr().out
    assert "numpy" in shown
    assert "torch" not in shown


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "resnet50" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--suite", "alexnet2"], ["--only", "nothing"], ["--rounds", "0"], ["--threads", "-1"]],
)
@pytest.mark.usefixtures("restore_threads")
def test_arguments_without_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "konv bench:" in capsys.readouterr().err
