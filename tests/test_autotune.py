"""Algorithms chosen by the clock, and what is remembered of it. No test asserts a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
from konv.explain import Explanation
from tests.cases import CASES, DIRECTIONS, ISA_LEVELS, Case
from tests.views import VIEWS

SHAPE: dict[str, Any] = {"input_shape": (1, 32, 20, 21), "weight_shape": (32, 32, 3, 3), "padding": 1}


def timed(explanation: Explanation) -> dict[str, float]:
    return {c.algorithm: c.seconds for c in explanation.candidates if c.seconds is not None}


def in_a_child(code: str, *arguments: str) -> str:
    program = "import json, sys, numpy as np, konv\n" + code
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("plan", [False, True])
def test_the_fastest_is_chosen_and_remembered(plan: bool) -> None:
    assert konv.config.autotune is False
    assert not timed(konv.explain("conv2d", **SHAPE, plan=plan))
    with konv.config(autotune=True):
        assert konv.config.autotune is True
        first = konv.explain("conv2d", **SHAPE, plan=plan)
        times = timed(first)
        assert len(times) > 1
        assert "reference" not in times
        assert first.chosen == min(times, key=times.__getitem__)
        assert f"{times[first.chosen] * 1e6:.4g} microseconds measured" in str(first)
        assert konv.explain("conv2d", **SHAPE, plan=plan) == first
    assert konv.config.autotune is False
    assert not timed(konv.explain("conv2d", **SHAPE, plan=plan))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_results_are_right(case: Case, direction: str) -> None:
    data, truth, magnitude = case.known(direction, "float32", 0)
    op = "conv2d" if direction == "forward" else f"conv2d_{direction}"
    with konv.config(autotune=True):
        chosen = konv.explain(op, input_shape=case.input_shape, weight_shape=case.weight_shape, **case.options).chosen
        out = case.compute(direction, data)
        case.compare(direction, out, truth, magnitude, algorithm=chosen)
        np.testing.assert_array_equal(case.compute(direction, data), out)


@pytest.mark.parametrize("view", VIEWS)
def test_unusual_strides(view: str) -> None:
    case = Case(2, 19, (15, 14), 18, padding=((1, 1), (1, 1)))
    data, truth, magnitude = case.known("forward", "float64", 0)
    x, w = VIEWS[view](data.x), VIEWS[view](data.w)
    out = VIEWS["sliced" if view == "read_only" else view](np.full(truth.shape, np.nan))
    with konv.config(autotune=True, precision="strict"):
        konv.conv2d(x, w, data.b, **case.options, out=out)
    case.compare("forward", out, truth, magnitude, algorithm="implicit_gemm")


def test_nothing_of_the_caller_is_touched_beyond_the_result() -> None:
    """The first call, which times, adds its residual once, in place."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 24, 17, 18), np.float32), rng.standard_normal((24, 24, 3, 3), np.float32)
    memory = rng.standard_normal((2, 24, 17, 36), np.float32)
    kept = memory.copy()
    out = memory[..., ::2]
    with konv.config(autotune=True):
        konv.conv2d(x, w, padding=1, residual=out, activation="relu", out=out)
        got = out.copy()
        out[...] = kept[..., ::2]
        konv.conv2d(x, w, padding=1, residual=out, activation="relu", out=out)
    np.testing.assert_array_equal(out, got)
    np.testing.assert_array_equal(memory[..., 1::2], kept[..., 1::2])
    with konv.config(precision="strict"):
        expected = konv.conv2d(x, w, padding=1, residual=kept[..., ::2], activation="relu")
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


def test_plans() -> None:
    case = Case(1, 32, (20, 21), 32, padding=((1, 1), (1, 1)))
    data, truth, magnitude = case.known("forward", "float32", 0)
    with konv.config(autotune=True):
        plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options)
        chosen = konv.explain(
            "conv2d", input_shape=case.input_shape, weight_shape=case.weight_shape, **case.options, plan=True
        ).chosen
    assert plan.algorithm == chosen
    case.compare("forward", plan(data.x), truth, magnitude, algorithm=chosen)


def test_strict_precision_is_kept() -> None:
    with konv.config(autotune=True, precision="strict"):
        for plan in (False, True):
            assert not {"winograd", "winograd_2x2"} & timed(konv.explain("conv2d", **SHAPE, plan=plan)).keys()


def test_a_forced_algorithm_is_not_timed() -> None:
    with konv.config(autotune=True):
        assert not timed(konv.explain("conv2d", **SHAPE, algorithm="implicit_gemm"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    with konv.config(autotune=path):
        assert konv.config.autotune == str(path)
        explanation = konv.explain("conv2d", **SHAPE)
        konv.explain("conv2d", **SHAPE)
    (record,) = records(path)
    assert record["konv"] == konv.__version__
    assert record["cpu"] == konv.info()["cpu"]
    assert record["problem"].startswith("forward float32 ")
    assert record["seconds"].keys() == timed(explanation).keys()


CHOSEN = f"""
with konv.config(autotune=sys.argv[1]):
    print(konv.explain("conv2d", **{SHAPE!r}).chosen)
"""


def test_another_process_uses_what_a_file_remembers(tmp_path: Path) -> None:
    path = tmp_path / "times"
    with konv.config(autotune=str(path)):
        konv.explain("conv2d", **SHAPE)
    (record,) = records(path)
    for name in record["seconds"]:
        record["seconds"][name] = 1e-9
        # An algorithm that this machine found otherwise, and records of other machines and versions.
        others = [record | {"cpu": "Z80", "seconds": {"depthwise": 1e-12}}, record | {"konv": "0.0.1"}]
        path.write_text("".join(json.dumps(r) + "\n\n" for r in (*others, record, *others)))
        before = path.read_bytes()
        assert in_a_child(CHOSEN, str(path)).split() == [name]
        assert path.read_bytes() == before
        record["seconds"][name] = 1


def test_records_that_others_added_are_read(tmp_path: Path) -> None:
    with konv.config(autotune=tmp_path / "other"):
        konv.explain("conv2d", **SHAPE)
    (record,) = records(tmp_path / "other")
    slowest = max(record["seconds"], key=record["seconds"].__getitem__)
    path = tmp_path / "times"
    with konv.config(autotune=path):
        konv.explain("conv2d", **{**SHAPE, "padding": 0})
    with path.open("a") as file:
        for name in (slowest, *record["seconds"]):  # of several records of a problem the first counts
            file.write(json.dumps(record | {"seconds": {name: 1e-9}}) + "\n")
    for _ in range(2):
        with konv.config(autotune=path):
            assert konv.explain("conv2d", **SHAPE).chosen == slowest


def test_two_files_know_nothing_of_each_other(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with konv.config(autotune=tmp_path / name):
            konv.explain("conv2d", **SHAPE)
    assert len(records(tmp_path / "a")) == len(records(tmp_path / "b")) == 1


def test_a_file_that_went_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "times"
    with konv.config(autotune=path):
        konv.explain("conv2d", **SHAPE)
        path.unlink()
        konv.explain("conv2d", **{**SHAPE, "padding": 0})
    assert len(records(path)) == 1


MANY = """
with konv.config(autotune=sys.argv[1]):
    for size in range(3, 40):
        x = np.ones((1, 4, size, size), np.float32)
        konv.conv2d(x, np.ones((4, 4, 3, 3), np.float32))
print("done")
"""


def test_several_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "times"
    with ThreadPoolExecutor(4) as pool:
        assert [s.split() for s in pool.map(lambda _: in_a_child(MANY, str(path)), range(4))] == [["done"]] * 4
    found = records(path)
    assert len({r["problem"] for r in found}) == 37
    with konv.config(autotune=path):
        konv.conv2d(np.ones((1, 4, 5, 5), np.float32), np.ones((4, 4, 3, 3), np.float32))


BAD = {
    "text": b"hello\n",
    "text without an end": b"hello",
    "another object": b'{"konv": "0.1"}\n',
    "a list": b"[1, 2]\n",
    "times that are none": b'{"konv": "a", "cpu": "b", "problem": "c", "seconds": {"x": "fast"}}\n',
    "negative times": b'{"konv": "a", "cpu": "b", "problem": "c", "seconds": {"x": -1}}\n',
    "bytes": bytes(range(256)),
}


@pytest.mark.parametrize("kind", BAD)
def test_foreign_files_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    good = b'{"konv": "a", "cpu": "b", "problem": "c", "seconds": {"x": 1}}\n'
    path.write_bytes(good + BAD[kind])
    for attempt in (lambda: konv.config(autotune=path), lambda: setattr(konv.config, "autotune", path)):
        with pytest.raises(ValueError, match=r"autotune: .*file', line 2, is no record of konv's autotuner"):
            attempt()
    assert konv.config.autotune is False
    assert path.read_bytes() == good + BAD[kind]


def test_a_record_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{"konv": "a", "cpu": "b", "problem": "c", "seconds": {"x": 1}}\n{"konv": "a", "cp')
    with konv.config(autotune=path):
        assert konv.config.autotune == str(path)


@pytest.mark.parametrize("value", [None, 0, 1, 1.5, ["path"], {}])
def test_wrong_settings(value: Any) -> None:
    with pytest.raises(TypeError, match="autotune: expected False, True or a path"):
        konv.config(autotune=value)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="autotune: there is no folder"):
        konv.config(autotune=tmp_path / "none" / "times")
    with pytest.raises(OSError, match="directory"):
        konv.config(autotune=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "times"
    x, w = np.ones((1, 4, 9, 9), np.float32), np.ones((4, 4, 3, 3), np.float32)
    with konv.config(autotune=path):
        path.symlink_to("/dev/full")
        with pytest.raises(RuntimeError, match="autotune: cannot write to"):
            konv.conv2d(x, w)
        assert np.allclose(konv.conv2d(x, w), 36)  # the times are in memory


def test_settings_of_process_and_thread(tmp_path: Path) -> None:
    konv.config.autotune = True
    try:
        assert konv.config.autotune is True
        with konv.config(autotune=False):
            assert konv.config.autotune is False
            with konv.config(autotune=tmp_path / "times"), ThreadPoolExecutor(1) as pool:
                assert pool.submit(lambda: konv.config.autotune).result() is True
    finally:
        konv.config.autotune = False
    assert "autotune=False" in repr(konv.config)


def test_many_threads_meet_problems_at_once() -> None:
    rng = np.random.default_rng(0)
    w = rng.standard_normal((16, 16, 3, 3), np.float32)
    inputs = [rng.standard_normal((1, 16, size, 23), np.float32) for size in range(23, 31)]

    def work(_: int) -> list[bytes]:
        with konv.config(autotune=True):
            return [konv.conv2d(x, w, threads=2).tobytes() for x in inputs]

    with ThreadPoolExecutor(8) as pool:
        assert len({tuple(r) for r in pool.map(work, range(8))}) == 1


FORK = """
import os, signal
x, w = np.ones((1, 16, 30, 30), np.float32), np.ones((16, 16, 3, 3), np.float32)
konv.config.autotune = True
konv.conv2d(x, w, threads=2)
child = os.fork()
if child == 0:
    signal.alarm(20)
    ok = all(np.allclose(konv.conv2d(x[:, :, i:], w, threads=2), 144) for i in (0, 1))
    os._exit(0 if ok else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_child_of_a_fork() -> None:
    assert in_a_child(FORK).split() == ["0"]


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", [c for c in CASES if c.supported_by("winograd", "forward")], ids=str)
def test_strict_precision_is_that_of_the_direct_convolution(case: Case, isa: str) -> None:
    """Whatever else computes the problem is refused, by name too."""
    for direction in ("forward", "input", "weight"):
        data, truth, magnitude = case.known(direction, "float32", 0)
        op = "conv2d" if direction == "forward" else f"conv2d_{direction}"
        with konv.config(isa=isa, precision="strict"):
            e = konv.explain(op, input_shape=case.input_shape, weight_shape=case.weight_shape, **case.options)
            for candidate in e.candidates:
                if candidate.reason:
                    with pytest.raises(ValueError, match=candidate.algorithm):
                        case.compute(direction, data, algorithm=candidate.algorithm)
                else:
                    out = case.compute(direction, data, algorithm=candidate.algorithm)
                    case.compare(direction, out, truth, magnitude, algorithm="implicit_gemm")
            reasons = {c.algorithm: c.reason for c in e.candidates}
            if direction == "forward":
                assert "precision 'strict'" in reasons["winograd"]


def test_precision_is_part_of_the_key() -> None:
    x, w = np.ones((1, 32, 24, 24), np.float32), np.ones((32, 32, 3, 3), np.float32)
    konv.conv2d(x, w)
    before = konv.info()["plan_cache"]["misses"]
    with konv.config(precision="strict"):
        konv.conv2d(x, w)
    with konv.config(autotune=True):
        konv.conv2d(x, w)
    assert konv.info()["plan_cache"]["misses"] == before + 2


def test_explain_a_plan() -> None:
    """Weights that are packed beforehand cost nothing in a call."""
    call = konv.explain("conv2d", input_shape=(1, 512, 7, 7), weight_shape=(512, 512, 3, 3), padding=1)
    plan = konv.explain("conv2d", input_shape=(1, 512, 7, 7), weight_shape=(512, 512, 3, 3), padding=1, plan=True)
    costs = [{c.algorithm: c.cost for c in e.candidates} for e in (call, plan)]
    assert costs[1]["implicit_gemm"] < costs[0]["implicit_gemm"]
    w = np.ones((512, 512, 3, 3), np.float32)
    assert konv.plan_conv2d(w, input_shape=(1, 512, 7, 7), padding=1).algorithm == plan.chosen
    with pytest.raises(TypeError, match="plan: expected a bool"):
        konv.explain("conv2d", **SHAPE, plan=1)
