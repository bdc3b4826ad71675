"""The command `konv bench`: tables, files, pictures, comparisons, and arguments without sense."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import konv
from konv.bench import DIRECTIONS, Report, Timing
from konv.bench.command import main
from konv.cli.table import print_table, table_width
from tests.bench.test_bench import SMALL

pytestmark = pytest.mark.usefixtures("restore_threads")


@pytest.fixture
def suite(tmp_path: Path) -> str:
    path = tmp_path / "small.txt"
    path.write_text(SMALL)
    return str(path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("konv.bench.timing.PAUSE", 0.0)
    monkeypatch.setattr("konv.bench.command.machine", machine)


def machine(threads: int, dtype: str) -> dict[str, Any]:
    return {"cpu": "CPU", "isa": "isa", "peak_gflops": 50.0 * threads, "bandwidth_gb": 20.0}


def bench(suite: str, *arguments: str, contenders: str = "numpy") -> int:
    return main([suite, "--rounds", "1", "--threads", "1", "--contenders", contenders, *arguments])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_table(direction: str, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(suite, "--direction", direction, "--only", "dense,dw") == 0
    shown = capsys.readouterr().out
    for text in ("dense", "dw", "1 thread, float32, NCHW, isa, CPU", "geometric mean", "lowest against the best peer"):
        assert text in shown
    assert "median of 1 round ±" in shown
    assert "first" not in shown
    assert "by count" not in shown


def test_everyone_and_every_direction(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds", "1", "--threads", "1", "--direction", "all"]
    assert main([suite, *arguments]) == 0
    shown = capsys.readouterr().out
    assert shown.count("geometric mean") == 3
    assert "all, by count" in shown
    assert sum(line.startswith("blur") for line in shown.splitlines()) == 1  # forward alone
    assert "WRONG" not in shown
    assert "failed" not in shown


@pytest.mark.parametrize("more", [["--layout", "NHWC"], ["--dtype", "float64"], ["--batch", "3"], ["--threads", "2"]])
def test_settings(more: list[str], suite: str, tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert bench(suite, *more, "--json", str(file)) == 0
    report = Report.load(file)
    value: Any = int(more[1]) if more[1].isdecimal() else more[1]
    assert report.method[more[0].removeprefix("--")] == value
    assert all(row.layer.N == 3 for row in report.rows) == (more[0] == "--batch")


def test_interrupted(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from konv.bench import measure

    calls = []

    def once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr("konv.bench.command.measure", once)
    file = tmp_path / "figures.json"
    assert bench(suite, "--json", str(file)) == 0
    assert "interrupted after 1 of 8 layers" in capsys.readouterr().err
    assert len(Report.load(file).rows) == 1


def test_with_numpy_alone(suite: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__

    def bare(name: str, *rest: Any, **keywords: Any) -> Any:
        if name.split(".")[0] in ("rich", "torch", "threadpoolctl", "matplotlib", "scipy", "cv2"):
            raise ImportError(name)
        return real(name, *rest, **keywords)

    monkeypatch.setattr(builtins, "__import__", bare)
    monkeypatch.setattr("konv.bench.registry.find_spec", lambda _: None)
    monkeypatch.setattr("konv.bench.command.find_spec", lambda _: None)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main([suite, "--rounds", "1", "--only", "dense"]) == 0
    shown, progress = capsys.readouterr()
    assert "numpy" in shown
    assert "torch" not in shown
    assert "1/1 small dense" in progress
    assert main([suite, "--plot", "x.png"]) == 2
    assert "pip install 'konv[bench]'" in capsys.readouterr().err


def test_progress_bar(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert bench(suite, "--only", "dense,dw") == 0


def test_narrow_terminal(suite: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    assert bench(suite, "--only", "dense") == 0
    assert "best peer" in capsys.readouterr().out.replace("\n", " ")


def test_json_round_trip(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert bench(suite, "--direction", "all", "--json", str(first)) == 0
    shown = capsys.readouterr().out
    assert main(["--load", str(first), "--json", str(second)]) == 0
    assert capsys.readouterr().out == shown
    assert first.read_text() == second.read_text()
    data = json.loads(first.read_text())
    assert data["versions"]["konv"] == konv.__version__
    assert data["method"]["contenders"] == ["konv", "numpy"]
    assert {row["direction"] for row in data["rows"]} == set(DIRECTIONS)
    assert all(row["us"]["konv"]["median"] > 0 and row["wrong"] == {} for row in data["rows"])
    assert data["rows"][0]["chosen"] == "implicit_gemm"


def changed(report: Report, factor: float, names: tuple[str, ...]) -> Report:
    """The same report with some contenders' times multiplied."""

    def scaled(name: str, t: Timing) -> Timing:
        by = factor if name in names else 1.0
        return Timing(t.median * by, t.low * by, t.high * by, t.rounds)

    rows = [replace(row, timings={name: scaled(name, t) for name, t in row.timings.items()}) for row in report.rows]
    return replace(report, rows=rows)


def test_compare(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now, then = tmp_path / "now.json", tmp_path / "then.json"
    assert bench(suite, "--only", "dense,dw,row", "--json", str(now)) == 0
    report = Report.load(now)

    def verdict(old: Report) -> str:
        old.save(then)
        capsys.readouterr()
        assert main(["--load", str(now), "--compare", str(then)]) == 0
        return capsys.readouterr().out

    assert "0 faster, 0 slower, 3 same" in verdict(report)
    assert "3 faster, 0 slower, 0 same" in verdict(changed(report, 1.5, ("konv",)))
    slower = verdict(changed(report, 0.5, ("konv",)))
    assert "0 faster, 3 slower, 0 same" in slower
    assert "+100.0%" in slower
    # The machine's own change is none of konv's.
    assert "0 faster, 0 slower, 3 same" in verdict(changed(report, 2.0, ("konv", "numpy")))
    wide = [
        replace(row, timings={n: Timing(t.median * 1.5, t.low, t.high * 2, 5) for n, t in row.timings.items()})
        for row in report.rows
    ]
    assert "3 same" in verdict(replace(report, rows=wide))
    other = replace(report, method={**report.method, "threads": 2}, rows=report.rows[:1])
    shown = verdict(other)
    assert "differ in threads: 2 then, 1 now" in shown
    assert "2 layers only in this run, 0 only in the old one" in shown
    assert "No layer is in both runs" in verdict(replace(report, rows=[]))
    assert "how the machine changed is unknown" in verdict(
        replace(report, rows=[replace(r, timings={"konv": r.timings["konv"]}) for r in report.rows])
    )


def test_choice(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "choice.json"
    assert bench(suite, "--choice", "--direction", "all", "--json", str(file)) == 0
    assert "of 21" in capsys.readouterr().out  # seven layers of one pass
    report = Report.load(file)
    assert "implicit_gemm" in report.names
    row = report.rows[0]
    row.timings = {"konv": Timing.of([3.0]), "good": Timing.of([1.0]), row.chosen: Timing.of([3.0])}
    replace(report, rows=[row], method={**report.method, "contenders": [*report.names, "good"]}).save(file)
    assert main(["--load", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "0 of 1" in shown
    assert "3.00x" in shown


def test_wrong_results(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    assert bench(suite, "--only", "dense,dw", "--json", str(file)) == 0
    report = Report.load(file)
    report.rows[0].wrong["numpy"] = 0.5
    report.rows[1].failed["numpy"] = "RuntimeError: no memory"
    del report.rows[1].timings["numpy"]
    report.save(file)
    assert main(["--load", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "WRONG: small dense, forward: numpy differs from konv by 5.0e-01" in shown
    assert "failed: small dw, forward: numpy: RuntimeError: no memory" in shown


@pytest.mark.parametrize("suffix", ["png", "svg"])
@pytest.mark.parametrize("most_bars", [70, 1])
def test_plot(suffix: str, most_bars: int, suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("konv.bench.plot.MOST_BARS", most_bars)
    path = tmp_path / f"picture.{suffix}"
    assert bench(suite, "--direction", "all", "--plot", str(path)) == 0
    assert path.stat().st_size > 10000


def test_plot_without_peers(suite: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert bench(suite, "--plot", str(tmp_path / "x.png"), contenders="konv") == 2
    assert "peer" in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert "resnet50" in shown
    assert "onnxruntime" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alexnet2"], "resnet50"),
        (["--only", "nothing"], "no layer"),
        (["--contenders", "nmupy"], "--contenders: expected some of konv, plan, numpy"),
        (["--load", "missing.json"], "--load: cannot read missing.json: No such file or directory; expected a file"),
        (["--compare", "missing.json"], "--compare: cannot read missing.json: No such file or directory"),
        (["--json", "missing/x.json"], "--json: cannot write missing/x.json: there is no folder missing"),
        (["--plot", "missing/x.png"], "--plot: cannot write missing/x.png: there is no folder missing"),
        (["--plot", "x.doc"], "--plot: expected a name that ends in .png, .svg or .pdf, got x.doc"),
        (["--choice", "--plot", "x.png"], "--choice"),
        (["layers", "--load", "x.json"], "--load"),
        (["filters", "--only", "sep", "--direction", "input"], "no layer"),
    ],
)
def test_arguments_without_sense(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("konv bench:")
    assert message in error


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"format": "konv bench 0"}'])
def test_files_that_are_no_report(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert main(["--load", str(path)]) == 2
    assert f"--load: {path}: expected a file that konv bench --json wrote" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--threads", "-1"], ["--direction", "up"], ["--batch", "x"]])
def test_refused_while_parsing(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_peak_of_the_machine() -> None:
    from konv.bench.machine import machine as real

    for isa in konv.info()["isa_levels"]:
        with konv.config(isa=isa):
            assert konv._core.multiply_add_gflops(False, 2) > 0
            assert konv._core.multiply_add_gflops(True, 1) > 0
    found = real(1, "float32")
    assert found["peak_gflops"] > 0
    assert found["bandwidth_gb"] > 0
    assert found["cpu"] == konv.info()["cpu"]
    with pytest.raises(ValueError, match="threads"):
        konv._core.multiply_add_gflops(False, 0)


def test_plain_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("title", ["a", "b\nc"], [["x", "1"], ["y", "22"]], summary=0)
    assert capsys.readouterr().out == "title\na   b\n    c\n-  --\nx   1\ny  22\n"
    assert table_width(["a", "b\nc"], [["x", "1"], ["y", "22"]]) == 10
