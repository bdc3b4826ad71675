"""benchmarks/cuda computes what it times, says what is wrong, and keeps its figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from benchmarks.cuda import cases, command, contenders, measure, report  # noqa: E402

LAYERS = """\
dense 2 8 6 5 16 3 3 1 1 1 1
strided 1 6 9 9 4 3 3 2 0,1 1 2
depth 1 8 7 7 8 3 3 2 1 1 8
"""
DTYPES = ",".join(cases.DTYPES)


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(cuda: Any, tmp_path: Path, one_thread: None) -> Any:
    """The command with a list of small layers; its exit status."""
    (tmp_path / "small.txt").write_text(LAYERS)

    def call(*arguments: str) -> int:
        where = ["--simulator"] if cuda.simulator else []
        return command.main([*where, "--rounds", "1", "--batch", "2", *arguments])

    return call


def test_convolutions(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.json"
    assert run("--suite", str(tmp_path / "small.txt"), "--json", str(path)) == 0
    shown = capsys.readouterr().out
    found = report.Report.read(path)
    assert len(found.rows) == 3 * len(cases.CONVOLUTIONS) * len(cases.DTYPES)
    for row in found.rows:
        assert row.timings.keys() >= {"konv", "torch", "torch_first"}, row
        assert not row.failed
        assert not row.wrong
    assert {row.case.kind for row in found.rows} == {"dense", "grouped", "depthwise"}
    assert "dense forward bfloat16" in shown
    assert command.main(["--load", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert json.loads(path.read_text())["ceilings"].keys() == {*cases.DTYPES, "bytes"}


def test_poolings(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    assert run("--suite", "pooling", "--dtype", "float16,tf32,float32", "--json", str(path)) == 0
    found = report.Report.read(path)
    assert {row.case.dtype for row in found.rows} == {"float16", "float32"}
    assert {row.case.group[:2] for row in found.rows} == {
        (kind, operation) for kind in ("max", "avg", "global") for operation in cases.POOLINGS
    }
    assert all(row.timings.keys() >= {"konv", "torch", "torch_first"} for row in found.rows)


def test_wrong_results_are_not_timed(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = contenders.with_torch

    def wrong(case: cases.Case, arrays: contenders.Arrays) -> Any:
        if arrays.x.dtype == torch.float64:
            return right(case, arrays)
        return lambda: right(case, arrays)() * 1.01

    monkeypatch.setattr(contenders, "with_torch", wrong)
    path = tmp_path / "found.json"
    only = ("--only", "depth", "--dtype", "float32", "--operation", "forward", "--json", str(path))
    assert run("--suite", str(tmp_path / "small.txt"), *only) == 1
    (row,) = report.Report.read(path).rows
    assert row.wrong == ["torch", "torch_first"]
    assert row.timings.keys() == {"konv"}
    assert row.ratio is None
    assert "WRONG: torch: off by 0.01 of the largest value" in capsys.readouterr().out


def test_failures_are_told(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError("too large")

    monkeypatch.setattr(contenders, "with_konv", fail)
    assert run("--suite", str(tmp_path / "small.txt"), "--only", "depth forward float32") == 1
    assert "failed: konv: MemoryError: too large" in capsys.readouterr().out


def test_every_layer_has_a_simulated_form() -> None:
    layers = [layer for suite in cases.SUITES for layer in cases.layers_of(suite)]
    assert len(layers) > 100
    for layer in layers:
        small = cases.shrunk(layer)
        small.check(layer.name)
        assert (small.groups == small.C) == (layer.groups == layer.C)
        assert small.stride == layer.stride
        assert small.flops < 2e6


def test_what_is_counted() -> None:
    (layer,) = [layer for layer in cases.layers_of("pooling") if layer.name == "max_vgg_14"]
    forward, backward = (cases.Case(layer, operation, "float16") for operation in cases.POOLINGS)
    assert forward.flops == 0
    assert forward.bytes == 512 * 2 * (14 * 14 + 7 * 7)
    assert backward.bytes == forward.bytes + 512 * 8 * 7 * 7
    (layer,) = [layer for layer in cases.layers_of("resnet50") if layer.name == "3x3_56_64-64"]
    assert cases.Case(layer, "forward", "tf32").bytes == 4 * (2 * 64 * 56 * 56 + 64 * 64 * 9)
    assert cases.Case(layer, "forward", "float16").aim == 0.8
    assert cases.Case(layer, "forward", "float32").aim is None
    assert cases.Case(layer, "fused", "float16").aim == 1


def test_errors_are_relative_to_the_largest_value() -> None:
    exact = torch.tensor([1.0, -4.0], dtype=torch.float64)
    assert measure.error_of(torch.tensor([1.0, -3.0]), exact) == 0.25
    assert measure.error_of(torch.tensor([math.nan, 0]), exact) == math.inf
    assert measure.error_of(torch.tensor([1.0]), exact) == math.inf


def test_bad_arguments(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--suite", "alexnet") == 2
    assert "suite: expected one of" in capsys.readouterr().err
    assert run("--only", "nothing") == 2
    with pytest.raises(SystemExit):
        run("--dtype", "int8")


def test_simulated_times_are_not_taken_for_a_gpu(cuda: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if cuda.simulator:
        assert command.main([]) == 2
        assert "its times mean nothing" in capsys.readouterr().err
