"""Whole networks and steps of training: who takes part, what is compared, and what is said of those who fail."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
from konv.bench.command import main
from konv.bench.nets import allowed_differences, disagreements, measure_network, measure_training
from konv.bench.nets_report import NetworkRow
from konv.bench.network_runtimes import RUNTIMES, choose
from konv.bench.problem import Array, Prepared
from konv.bench.training import STEPS
from konv.bench.worker import ContenderError, Worker

pytestmark = pytest.mark.usefixtures("restore_threads")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konv.bench.nets.PAUSE", 0.0)
    monkeypatch.setattr("konv.bench.nets.machine", lambda *_: {"cpu": "CPU", "isa": "isa"})


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the only network a small one."""
    networks = pytest.importorskip("konv.bench.networks", exc_type=ImportError)

    def build(b: Any) -> str:
        return b.head(b.relu(b.norm(b.conv("input", 8, 3, 8))), 10)  # type: ignore[no-any-return]

    monkeypatch.setattr(networks, "NETWORKS", {"tiny": build})


# Contenders are made in other processes, which import them from here.


def doubled(x: Array, threads: int) -> Prepared:
    return Prepared(lambda: 2 * x, lambda y: np.array([*y, threads, int(os.environ["OMP_NUM_THREADS"])]))


def not_made(*_: Any, threads: int) -> Prepared:
    raise ValueError("no memory\nand more")


def not_run(*_: Any, threads: int) -> Prepared:
    return Prepared(lambda: 1 // 0)


def dying(*_: Any, threads: int) -> Prepared:
    return Prepared(partial(os._exit, 3))


def constant(path: str, x: Array, threads: int) -> Prepared:
    return Prepared(lambda: np.ones((len(x), 10), np.float32))


def growing(threads: int) -> Prepared:
    return Prepared(lambda: np.ones(1 << 22), lambda y: y[:1])


def test_worker() -> None:
    with Worker(doubled, np.array([1.0, 2.0]), threads=3) as worker:
        seconds, result = worker.call()
        assert seconds > 0
        assert list(result) == [2.0, 4.0, 3, 3]
        assert worker.turn(seconds) > 0


def test_peak_of_memory() -> None:
    with Worker(growing, threads=1) as worker:
        before = worker.peak_bytes()
        worker.call()
        after = worker.peak_bytes()
    if sys.platform != "linux":
        assert before is after is None
    else:
        assert before is not None
        assert after is not None
        assert before < 1 << 24 < after < 1 << 26


@pytest.mark.parametrize(
    ("make", "message"),
    [(not_made, "^ValueError: no memory$"), (not_run, "ZeroDivisionError"), (dying, "ended with exit code 3")],
)
def test_failing_worker(make: Any, message: str) -> None:
    with Worker(make, threads=1) as worker, pytest.raises(ContenderError, match=message):
        worker.call()


def test_everyone_computes_the_same() -> None:
    pytest.importorskip("onnx")
    names = choose(list(RUNTIMES), None)
    row = NetworkRow("squeezenet", 2, 1)
    measure_network(row, names, rounds=1, size=64)
    assert (row.wrong, row.failed) == ({}, {})
    assert list(row.timings) == names
    assert all(timing.median > 0 for timing in row.timings.values())
    assert row.best_peer in (None, *names[2:])


@pytest.mark.usefixtures("tiny")
def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--batch", "1", "3", "--threads", "1", "2", "--rounds", "2", "--precision", "high"]
    assert main(["nets", "tiny", *arguments, "--contenders", "konv", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "whole networks, float32, isa, CPU" in shown
    assert sum(line.startswith("tiny ") for line in shown.splitlines()) == 4
    data = json.loads(file.read_text())
    assert data["format"] == "konv bench nets 1"
    assert data["versions"]["konv"] == konv.__version__
    assert data["method"]["contenders"] == ["konv"]
    assert [(row["batch"], row["threads"]) for row in data["rows"]] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert all(row["us"]["konv"]["median"] > 0 and row["us"]["konv"]["rounds"] == 2 for row in data["rows"])


@pytest.mark.usefixtures("tiny")
def test_wrong_and_failing_contenders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, make in (("medium", constant), ("failing", not_run), ("dying", dying)):
        monkeypatch.setitem(RUNTIMES, name, make)
    names = "konv_medium,medium,failing,dying"
    assert main(["nets", "--batch", "2", "--threads", "1", "--rounds", "1", "--contenders", names]) == 1
    shown = capsys.readouterr().out
    assert "WRONG: tiny, batch 2, 1 thread: medium differs from the others by" in shown
    assert "failed: tiny, batch 2, 1 thread: failing: ZeroDivisionError" in shown
    assert "failed: tiny, batch 2, 1 thread: dying: its process ended with exit code 3" in shown
    (line,) = (line for line in shown.splitlines() if line.startswith("tiny "))
    assert line.split()[-5:-2] == ["WRONG", "failed", "failed"]


@pytest.mark.usefixtures("tiny")
def test_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def once(row: NetworkRow, *_: Any) -> None:
        if row.batch == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr("konv.bench.nets.measure_network", once)
    assert main(["nets", "--threads", "1"]) == 0
    assert "interrupted after 1 of 2 rows" in capsys.readouterr().err


def test_who_disagrees() -> None:
    one, other = np.array([1.0, -2.0]), np.array([1.0, 2.0])
    results = {"konv": one, "medium": one * 1.01, "a": one * (1 + 1e-6), "b": other}
    assert disagreements(results, lambda name: 0.1 if name == "medium" else 1e-4) == {"b": 2.0}
    assert set(disagreements(results, lambda _: 1e-4)) == {"medium", "b"}
    # konv has no privilege where the others agree.
    assert set(disagreements({"konv": one, "a": other, "b": other}, lambda _: 1e-4)) == {"konv"}
    assert set(disagreements({"konv": one, "a": other}, lambda _: 1e-4)) == {"a"}
    assert set(disagreements({"konv": one, "a": one * np.nan}, lambda _: 1e-4)) == {"a"}
    # Nor has one that agrees with right and wrong alike.
    results = {"konv": one * 1.05, "medium": one * 1.02, "a": one, "b": one}
    assert set(disagreements(results, lambda name: 0.1 if name == "medium" else 1e-4)) == {"konv"}
    assert disagreements({}, lambda _: 0.0) == {}
    plain, medium = allowed_differences([(64, 3, 3, 3), (64,), (10, 64)])
    assert plain == pytest.approx(16 * 2.0**-23 * 91**0.5)
    assert medium == pytest.approx(4 * 2.0**-8 * 2**0.5)


def test_who_takes_part(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose(["konv", "konv_medium"], ["konv_medium"]) == ["konv", "konv_medium"]
    monkeypatch.setattr("konv.bench.registry.find_spec", lambda _: None)
    assert choose(list(RUNTIMES), None) == ["konv", "konv_medium"]
    assert choose(list(STEPS), None) == ["konv"]
    with pytest.raises(ImportError, match="pip install openvino"):
        choose(list(RUNTIMES), ["openvino"])
    monkeypatch.setattr("konv.bench.nets.find_spec", lambda _: None)
    assert main(["nets"]) == 2
    assert "made with onnx: pip install 'konv[onnx]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alexnet2"], "alexnet"),
        (["--training", "alexnet"], "mnist_cnn"),
        (["--contenders", "ncnn"], "left out: its Python package does not read ONNX"),
        (["--contenders", "nmupy"], "openvino"),
        (["--training", "--contenders", "openvino"], "torch_channels_last"),
        (["--training", "--precision", "medium"], "--precision"),
        (["--json", "missing/x.json"], "missing"),
    ],
)
def test_arguments_without_sense(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    assert main(["nets", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("konv bench nets:")
    assert message in error


def test_training_against_torch() -> None:
    pytest.importorskip("torch")
    row = NetworkRow("mnist_cnn", 4, 1)
    measure_training(row, list(STEPS), rounds=1)
    assert (row.wrong, row.failed) == ({}, {})
    assert set(row.timings) == set(STEPS)
    assert set(row.peak_bytes) == (set(STEPS) if sys.platform == "linux" else set())
    assert row.best_peer == "torch_channels_last"


def test_training_with_other_steps_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "torch_channels_last", steps_without_update)
    row = NetworkRow("mnist_cnn", 4, 1)
    measure_training(row, list(STEPS), rounds=1)
    assert set(row.wrong) == {"torch_channels_last"}
    assert set(row.timings) == {"konv"}


def steps_without_update(name: str, batch: int, weights: str, threads: int) -> Prepared:
    """The loss of the first step, for ever."""
    loss = STEPS["konv"](name, batch, weights, threads).run()
    return Prepared(lambda: loss)


def test_training_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--threads", "1", "--rounds", "1", "--contenders", "konv", "--json", str(file)]
    assert main(["nets", "mnist_cnn", "--training", *arguments]) == 0
    assert "steps of training, float32, isa, CPU" in capsys.readouterr().out
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["network"], row["batch"], row["threads"]) == ("mnist_cnn", 64, 1)


def test_failing_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "konv", not_made)
    row = NetworkRow("mnist_cnn", 4, 1)
    measure_training(row, list(STEPS), rounds=1)  # without konv's weights nobody else can start
    assert (row.failed, row.timings) == ({"konv": "ValueError: no memory"}, {})


class TestTorchNetworks:
    @pytest.mark.parametrize(("name", "count"), [("ResNet50", 25_636_712), ("MobileNet", 4_253_864)])
    def test_parameters_are_the_published_ones(self, name: str, count: int) -> None:
        torch = pytest.importorskip("torch")
        from konv.bench import torch_networks

        network = getattr(torch_networks, name)()
        assert sum(v.numel() for v in network.state_dict().values() if v.is_floating_point()) == count
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 1000)

    def test_weights_by_name(self) -> None:
        torch = pytest.importorskip("torch")
        from konv.bench.torch_networks import MobileNet, copy_weights

        rng = np.random.default_rng(0)
        network = MobileNet().eval()
        weights: dict[str, list[Array]] = {"relu": []}
        for name, module in network.layers.items():
            shape = module.weight.shape
            if isinstance(module, torch.nn.BatchNorm2d):
                weights[name] = [rng.uniform(0.5, 1, shape).astype(np.float32) for _ in range(4)]
            else:
                k, c, r, s = shape
                turned = (r, s, k, c) if module.groups > 1 else (r, s, c, k)
                weights[name] = [rng.standard_normal(turned, np.float32)]
        weights["conv_preds"].append(np.zeros(1000, np.float32))
        copy_weights(network, weights)
        # Padding below and to the right, as Keras does it.
        x = rng.standard_normal((1, 3, 12, 12), np.float32)
        expected = konv.conv2d(x, weights["conv1"][0].transpose(3, 2, 0, 1), None, 2, ((0, 1), (0, 1)))
        with torch.no_grad():
            found = network.layers["conv1"](torch.from_numpy(x[..., ::-1, ::-1].copy())).numpy()
        assert np.allclose(found[..., ::-1, ::-1], expected, atol=1e-5)
        with torch.no_grad():
            norm = network.layers["conv1_bn"](torch.from_numpy(expected)).numpy()
        gamma, beta, mean, variance = (v.reshape(-1, 1, 1).astype(np.float64) for v in weights["conv1_bn"])
        assert np.allclose(norm, (expected - mean) / np.sqrt(variance + 1e-3) * gamma + beta, atol=1e-5)
        with pytest.raises(ValueError, match=r"weights: expected those of \['conv1'"):
            copy_weights(network, {})
