"""The command line: each command runs, prints what it should, and refuses what makes no sense."""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import konv
from konv._words import counted
from konv.cli import COMMANDS, main

pytestmark = pytest.mark.usefixtures("restore_threads")


@pytest.fixture
def mnist_like(tmp_path) -> Path:
    """A folder of IDX files whose images say their class at once."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 60)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 60, (count, 28, 28))
        for i, label in enumerate(labels):
            images[i, 2 * label : 2 * label + 6, 4:24] = 255
        header = bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.astype("u1").tobytes())
        header = bytes([0, 0, 8, 1]) + struct.pack(">I", count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.astype("u1").tobytes())
    return folder


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    info = konv.info()
    assert konv.__version__ in out
    assert info["cpu"] in out
    assert f"{info['isa']} (active)" in out
    for word in ("threads", "CUDA", *info["isa_levels"]):
        assert word in out


def test_explain(capsys):
    shapes = ["--input", "1,64,56,56", "--weight", "64,64,3,3"]
    assert main(["explain", *shapes, "--padding", "1", "--stride", "2,1"]) == 0
    expected = konv.explain(
        "conv2d", input_shape=(1, 64, 56, 56), weight_shape=(64, 64, 3, 3), padding=1, stride=(2, 1)
    )
    assert capsys.readouterr().out.strip() == str(expected).strip()
    assert main(["explain", *shapes, "--padding", "same"]) == 0
    assert main(["explain", "--input", "1,3,5,5", "--weight", "4,2,3,3"]) == 1
    assert "konv explain: " in capsys.readouterr().err
    assert main(["explain", *shapes, "--stride", "0"]) == 1
    assert "konv explain: --stride: expected an integer from 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["explain", *shapes, "--padding", "sam"])
    assert "--padding: expected same, valid, or one or two whole numbers, got 'sam'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", "--input", "1,2,3", "--weight", "1,1,1,1"],
        ["explain", "--input", "1,2,3,4", "--weight", "a,b,c,d"],
        ["explain", "--input", "1,2,3,4", "--weight", "1,2,1,1", "--stride", "1,2,3"],
        ["explain", "--input", "1,2,3,4"],
        ["train"],
        ["train", "--data", ".", "--epochs", "0"],
        ["train", "--data", ".", "--model", "gpt"],
        ["demo", "--threads", "none"],
        ["fly"],
    ],
)
def test_arguments_without_sense(arguments, capsys):
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
    assert "usage: konv" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_options_show_the_usage_of_the_command(command, capsys):
    needed = {"train": ["--data", "."], "run": ["m.onnx", "a.png"], "explain": ["--input=1,1,1,1", "--weight=1,1,1,1"]}
    with pytest.raises(SystemExit) as info:
        main([*command.split(), *needed.get(command, []), "--wing"])
    assert info.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: konv {command} [-h]")
    assert f"konv {command}: error: unrecognized arguments: --wing" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_explained(command):
    parser = argparse.ArgumentParser()
    import_module(f"konv.cli.{command.replace(' ', '_')}").add_arguments(parser)
    assert [action.dest for action in parser._actions if not action.help] == []


def test_counted():
    assert [counted(n, "thread") for n in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]


def test_help_and_version(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"konv {konv.__version__}\n"
    for name in COMMANDS:
        with pytest.raises(SystemExit) as info:
            main([name, "--help"])
        assert info.value.code == 0


def test_python_m_konv():
    done = subprocess.run([sys.executable, "-m", "konv", "info"], capture_output=True, text=True, check=True)
    assert "ISA levels" in done.stdout


@pytest.mark.parametrize("model", ["softmax", "mlp", "cnn"])
def test_train(model, mnist_like, tmp_path, capsys):
    safetensors = pytest.importorskip("safetensors.numpy")
    weights = tmp_path / "weights.safetensors"
    arguments = ["train", "--data", str(mnist_like), "--model", model, "--epochs", "3"]
    arguments += ["--batch-size", "16", "--threads", "1", "--seed", "4"]
    assert main([*arguments, "--save", str(weights)]) == 0
    out = capsys.readouterr().out
    assert f'Model: "{model}"' in out
    assert "Epoch 3/3" in out
    assert konv.get_num_threads() == 1
    accuracy = float(out.split("test accuracy ")[1].split("%")[0])
    assert accuracy > 90
    assert "0/kernel" in safetensors.load_file(weights)
    assert out.endswith(f" s for 3 epochs\nweights written to {weights}\n")
    main([*arguments])
    again = capsys.readouterr().out
    assert f"test accuracy {accuracy:.2f}%" in again


def test_train_without_data(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"konv train: --data: {tmp_path} holds none of ")
    assert "train-images-idx3-ubyte" in error
    assert main(["train", "--data", "nowhere"]) == 1
    assert "--data: nowhere is not a directory; expected one that holds the four IDX files" in capsys.readouterr().err


def test_train_into_a_missing_folder_fails_before_training(mnist_like, tmp_path, capsys):
    code = main(["train", "--data", str(mnist_like), "--save", str(tmp_path / "no" / "w")])
    assert code == 1
    assert f"--save: cannot write {tmp_path}/no/w: there is no folder {tmp_path}/no\n" in capsys.readouterr().err


def test_train_says_before_the_training_how_to_install_safetensors(mnist_like, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["train", "--data", str(mnist_like), "--save", str(tmp_path / "w")]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error == "konv train: models are saved with safetensors: pip install 'konv[save]'\n"


def test_files_that_cannot_be_written(tmp_path, monkeypatch):
    from konv.cli.arguments import check_target

    check_target("--out", tmp_path / "new")
    with pytest.raises(ValueError, match=r"^--out: cannot write .*: it is a folder$"):
        check_target("--out", tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ValueError, match=r"^--out: cannot write .*/new: permission denied$"):
        check_target("--out", tmp_path / "new")


def test_errors_of_the_system_are_said_plainly(monkeypatch, capsys):
    def full(_: object) -> int:
        raise OSError(28, "No space left on device", "x.png")

    monkeypatch.setattr("konv.cli.info.run", full)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == "konv info: x.png: No space left on device\n"


def test_demo(mnist_like, tmp_path, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    from konv.cli import demo

    monkeypatch.setattr(demo, "LAYERS", {"mnv1_dw14": "a small layer"})
    picture = tmp_path / "demo.png"
    arguments = ["demo", "--data", str(mnist_like), "--epochs", "2", "--threads", "1"]
    assert main([*arguments, "--out", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "unseen digits recognised" in out
    assert "a small layer" in out
    assert "numpy" in out
    assert str(picture) in out.replace("\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert ", 1 thread\n" in out
    assert "One image forward, 1 thread: " in out
    assert main([*arguments, "--out", "demo.doc"]) == 1
    assert "--out: expected a name that ends in .png, .svg or .pdf, got demo.doc" in capsys.readouterr().err


def test_demo_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr("konv.cli.demo.find_spec", lambda _: None)
    assert main(["demo"]) == 1
    assert "pip install 'konv[demo]'" in capsys.readouterr().err


def test_tables_without_rich(monkeypatch, capsys):
    from konv.cli.table import print_table

    monkeypatch.setitem(sys.modules, "rich.console", None)
    print_table("Title", ["a", "b\nc"], [["x", "1"], ["long name", "22"], ["all", "3"]])
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "a           b",
        "            c",
        "---------  --",
        "x           1",
        "long name  22",
        "---------  --",
        "all         3",
    ]
