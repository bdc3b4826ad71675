"""`konv run`: real models on real photographs, made-up detectors, and what it says of arguments without sense."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("PIL")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from konv import vision  # noqa: E402
from konv.cli import main  # noqa: E402
from konv.datasets import load_mnist  # noqa: E402

pytestmark = pytest.mark.usefixtures("restore_threads")

CAFFE = ["--order", "BGR", "--scale", "1", "--mean", "104,117,123"]
ULTRAFACE = ["--scale", "1", "--mean", "127", "--std", "128"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def models(data_dir: Path) -> Path:
    return data_dir / "models"


@pytest.fixture
def images(data_dir: Path) -> Path:
    return data_dir / "images"


def results(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    assert main(["run", *map(str, arguments), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["run", *map(str, arguments)]) == 1
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("konv run: ")
    assert caught.err.count("\n") == 1
    return caught.err


def save_model(path: Path, shape: list[Any], outputs: dict[str, np.ndarray[Any, Any]], **metadata: str) -> Path:
    """Write a model that gives the same arrays for every picture."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
    ]
    nodes += [helper.make_node("Add", ["zero", f"{name}_value"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, a.shape) for name, a in outputs.items()],
        [numpy_helper.from_array(a.astype(np.float32), f"{name}_value") for name, a in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


def test_animals(models: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photographs = [images / name for name in ("kitten_224.png", "winml_cat.jpg", "winml_dog.jpg")]
    kitten, cat, dog = results(capsys, models / "SqueezeNet_fp32.onnx", *photographs, *CAFFE, "--threads", 1)
    cats = {281, 282, 285}
    assert {c["class"] for c in kitten["classes"]} & cats
    assert kitten["classes"][0]["class"] in cats
    assert cat["classes"][0]["class"] in cats
    assert dog["classes"][0]["class"] == 207
    assert dog["classes"][0]["probability"] > 0.9
    assert dog["classes"][0]["label"] is None
    assert [result["picture"] for result in (kitten, cat, dog)] == [f"{photo.stem}_konv.png" for photo in photographs]
    assert vision.read_image("winml_dog_konv.png").shape[1:] == (1080, 3)


def test_labels(models: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"name of {i}" for i in range(1000)) + "\n")
    arguments = [models / "SqueezeNet_fp32.onnx", images / "kitten_224.png", *CAFFE, "--top", 2, "--output", "cat.jpg"]
    assert main(["run", *map(str, arguments), "--labels", "labels.txt"]) == 0
    name, first, second, drawn = capsys.readouterr().out.splitlines()
    assert name == str(images / "kitten_224.png")
    assert first.endswith("%  name of 281 (class 281)")
    assert second.endswith("%  name of 285 (class 285)")
    assert drawn == "  drawn: cat.jpg"
    assert vision.read_image("cat.jpg").shape[1] == 448
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    refused = refusal(capsys, *arguments, "--labels", "few.txt")
    assert "labels: expected 1000 names, as the model has so many classes; got 2" in refused


def test_digits(models: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Digits of MNIST, also as dark ink on white paper, which `(pixel - 255) * -1` turns round."""
    data = load_mnist(data_dir / "mnist")
    dark, light = [], []
    for i in range(20):
        picture = data.x_test[i][:, :, None].repeat(3, 2)
        light.append(f"light{i}.png")
        dark.append(f"dark{i}.png")
        vision.write_image(light[-1], picture)
        vision.write_image(dark[-1], 255 - picture)
    for names, options in ((light, []), (dark, ["--scale", "-1", "--mean=-255"])):
        found = results(capsys, models / "mnist.onnx", *names, *options, "--no-picture")
        right = sum(result["classes"][0]["class"] == label for result, label in zip(found, data.y_test, strict=False))
        assert right >= 19
        assert found[0]["picture"] is None


# Where the faces are in the picture that `portraits` makes, by eye.
FACES = [(170, 115, 365, 345), (685, 157, 782, 272)]


def portraits() -> np.ndarray[Any, Any]:
    """Two portraits of different sizes on one picture."""
    cbook = pytest.importorskip("matplotlib.cbook")
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = vision.read_image(file.name)
    wide = np.full((600, 900, 3), 200, np.uint8)
    wide[:, :512] = portrait
    wide[100:400, 600:856] = vision.resize_image(portrait, (300, 256))
    return wide


def test_faces(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = portraits()
    vision.write_image(tmp_path / "two.png", picture)
    (tmp_path / "labels.txt").write_text("face\n")
    (found,) = results(
        capsys, models / "ultraface_RFB-320.onnx", "two.png", *ULTRAFACE, "--labels", "labels.txt", "--output", "seen"
    )
    assert found["task"] == "detect"
    assert [face["label"] for face in found["found"]] == ["face", "face"]
    assert [face["class"] for face in found["found"]] == [1, 1]
    overlaps = vision.box_iou([face["box"] for face in found["found"]], FACES)
    assert (overlaps.max(0) > 0.7).all()
    drawn = vision.read_image(tmp_path / "seen" / "two_konv.png")
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_faces_beside_onnx_runtime(models: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kitten and a puppy have faces too: the same ones, wherever the network runs."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(models / "ultraface_RFB-320.onnx", options, providers=["CPUExecutionProvider"])
    prepare = vision.Preprocessing(size=(240, 320), scale=1, mean=127, std=128, fit="stretch")
    names = ["kitten_224.png", "winml_dog.jpg", "darknet_dog.jpg"]
    found = results(
        capsys, models / "ultraface_RFB-320.onnx", *(images / name for name in names), *ULTRAFACE, "--no-picture"
    )
    assert [len(result["found"]) > 0 for result in found] == [True, True, False]
    for name, result in zip(names, found, strict=True):
        tensor, frame = prepare(vision.read_image(images / name))
        expected = vision.detect(session.run(None, {"input": tensor}), frame)
        boxes = np.array([face["box"] for face in result["found"]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, expected.boxes, atol=0.06)  # JSON has a tenth of a pixel
        np.testing.assert_allclose([face["score"] for face in result["found"]], expected.scores, atol=1e-5)


def luma_error(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """Mean squared difference in brightness, without the border."""
    weights = np.array([0.299, 0.587, 0.114])
    return float((((a.astype(float) - b) @ weights)[6:-6, 6:-6] ** 2).mean())


@pytest.mark.parametrize("shrink", ["bilinear", "bicubic"])
@pytest.mark.parametrize("name", ["winml_cat.jpg", "winml_dog.jpg"])
def test_enlarged_better_than_bicubic(name: str, shrink: str, models: Path, images: Path) -> None:
    original = vision.read_image(images / name)[200:620, 240:660]
    small = vision.resize_image(original, (140, 140), shrink)
    vision.write_image("small.png", small)
    assert main(["run", str(models / "super_resolution_std.onnx"), "small.png"]) == 0
    enlarged = vision.read_image("small_konv.png")
    assert enlarged.shape == original.shape
    bicubic = vision.resize_image(small, (420, 420), "bicubic")
    assert luma_error(enlarged, original) < luma_error(bicubic, original)
    # The colours are the picture's own.
    assert np.abs(enlarged.mean((0, 1)) - small.mean((0, 1))).max() < 2


def test_compare_and_size(models: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = models / "super_resolution_std.onnx"
    assert main(["run", str(model), str(images / "darknet_dog.jpg"), "--size", "40,60", "--compare", "bicubic"]) == 0
    out = capsys.readouterr().out
    assert "60 x 40 to 180 x 120" in out
    assert "768 x 576 made to fit (crop)" in out
    assert vision.read_image("darknet_dog_konv.png").shape[1] == 360


def test_explain_and_profile(models: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [models / "mnist.onnx", images / "kitten_224.png", "--no-picture", "--explain", "--profile", "t.json"]
    assert main(["run", *map(str, arguments)]) == 0
    out = capsys.readouterr().out
    assert "Convolution110" in out
    assert "MFLOP" in out
    assert " ms" in out
    assert "trace: t.json" in out
    events = json.loads(Path("t.json").read_text())["traceEvents"]
    assert {"Convolution28", "Pooling66"} <= {event["name"] for event in events}
    assert all(event["ph"] == "X" and event["dur"] >= 0 for event in events)
    assert main(["run", *map(str, arguments), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["task"] == "classify"


@pytest.mark.parametrize("head", ["yolov5", "yolov8"])
def test_yolo(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A 64 x 64 network on a picture of 200 x 100: with the border above and below, 3.125 pixels an input pixel."""
    rows = np.zeros((40, 7))
    rows[:, :4] = (5, 5, 2, 2)
    rows[3] = (32, 32, 16, 16, 1, 0.9, 0.1)
    rows[4] = (33, 32, 16, 16, 1, 0.8, 0.1)  # the same thing again
    rows[5] = (16, 32, 8, 12, 0.8, 0.1, 0.9)
    if head == "yolov8":
        rows = np.concatenate([rows[:, :4], rows[:, 5:] * rows[:, 4:5]], 1).T
    model = save_model(tmp_path / "m.onnx", [1, 3, 64, 64], {"y": rows[None]}, names="{0: 'dog', 1: 'bicycle'}")
    vision.write_image("a.png", np.zeros((100, 200, 3), np.uint8))
    (found,) = results(capsys, model, "a.png")
    assert [(f["class"], f["label"], pytest.approx(f["score"])) for f in found["found"]] == [
        (0, "dog", 0.9),
        (1, "bicycle", 0.72),
    ]
    np.testing.assert_allclose(found["found"][0]["box"], [75, 25, 125, 75], atol=0.1)
    np.testing.assert_allclose(found["found"][1]["box"], [37.5, 31.2, 62.5, 68.8], atol=0.1)
    drawn: list[list[str]] = []
    monkeypatch.setattr(vision, "draw_boxes", lambda image, _, texts, __: drawn.append(texts) or image)
    assert main(["run", str(model), "a.png"]) == 0
    assert drawn == [["dog: 90%", "bicycle: 72%"]]
    assert "   90.0%  dog (class 0): x 75 to 125, y 25 to 75\n" in capsys.readouterr().out
    (none,) = results(capsys, model, "a.png", "--threshold", 0.95)
    assert none["found"] == []
    (twice,) = results(capsys, model, "a.png", "--iou", 0.99)
    assert len(twice["found"]) == 3


def test_nothing_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_model(tmp_path / "m.onnx", [1, 3, 8, 8], {"y": np.zeros((1, 30, 7))}, names="of no use")
    vision.write_image("a.png", np.zeros((10, 20, 3), np.uint8))
    assert main(["run", str(model), "a.png"]) == 0
    assert "nothing found with a score of 0.5 or more" in capsys.readouterr().out


def test_files_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_model(tmp_path / "m.onnx", [1, 3, 8, 8], {"y": np.eye(1, 10)})
    (tmp_path / "text").write_text("neither a model nor a picture")
    vision.write_image("a.png", np.zeros((9, 9, 3), np.uint8))
    assert "no.onnx is not a file" in refusal(capsys, "no.onnx", "a.png")
    for name in ("text", "a.png"):
        assert f"{name} is not an ONNX model that can be run" in refusal(capsys, name, "a.png")
    assert "no.png is not a file" in refusal(capsys, model, "no.png")
    assert "text is not a picture that Pillow reads" in refusal(capsys, model, "text")
    missing = "--labels: cannot read no.txt: No such file or directory; expected a text file with one name a line"
    assert missing in refusal(capsys, model, "a.png", "--labels", "no.txt")
    assert "a.png is not a text file" in refusal(capsys, model, "a.png", "--labels", "a.png")
    (tmp_path / "empty").write_text("\n\n")
    assert "empty is empty; expected one name a line" in refusal(capsys, model, "a.png", "--labels", "empty")
    assert not list(tmp_path.glob("*_konv.png"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--iou 0.3", "--iou is for detect; the task is classify"),
        ("--compare bicubic", "--compare is for transform; the task is classify"),
        ("--task transform --labels a.png", "--labels is for classify and detect; the task is transform"),
        ("--task detect", "--task detect: outputs: (1, 10) is not what the head 'yolov8' gives"),
        ("--task transform", "--task transform: tensor: expected one picture with four sizes, got shape (1, 10)"),
        ("--size 9", "konv run: --size: the model takes 8 x 8, got 9 x 9"),
        ("--order gray", "konv run: --order: the model takes 3 channels"),
        ("--mean 1,2", "konv run: --mean: expected one number or 3 for RGB"),
        ("--profile no/t.json", "--profile: cannot write no/t.json: there is no folder no"),
        ("--output no/b.png", "--output: cannot write no/b.png: there is no folder no"),
        ("--output no/b", "--output: cannot write no/b: there is no folder no"),
        ("--output m.onnx", "m.onnx: expected a name that ends as pictures do"),
        ("--output a.png", "--output: a.png would be written over another picture"),
        ("--output b.onnx", "b.onnx: expected a name that ends as pictures do"),
        ("--no-picture --output b", "--no-picture: expected neither --output nor --compare"),
        ("sub/a.png", "--output: a_konv.png would be written over another picture"),
        ("sub/a.png --output b.png", "--output: expected a folder for 2 pictures, got b.png"),
    ],
)
def test_options_that_do_not_fit(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path / "m.onnx", [1, 3, 8, 8], {"y": np.eye(1, 10)})
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/a.png"):
        vision.write_image(name, np.zeros((9, 9, 3), np.uint8))
    assert message in refusal(capsys, model, "a.png", *options.split())
    assert not list(tmp_path.glob("*_konv.png"))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "options", ["--threshold 2", "--scale x", "--scale 1/0", "--mean 1,,2", "--top 0", "--size a", "--task fly"]
)
def test_arguments_without_sense(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["run", "m.onnx", "a.png", *options.split()])
    assert info.value.code == 2
    assert "usage: konv run" in capsys.readouterr().err


def test_models_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vision.write_image("a.png", np.zeros((9, 9, 3), np.uint8))
    unclear = save_model(tmp_path / "unclear.onnx", [1, 3, 8, 8], {"y": np.zeros((1, 21, 8, 8))})
    assert "task: the outputs (1, 21, 8, 8) do not say" in refusal(capsys, unclear, "a.png")
    two = save_model(tmp_path / "two.onnx", [1, 3, 8, 8], {"y": np.eye(1, 10), "z": np.eye(1, 10)})
    for task in ("classify", "transform"):
        expected = f"konv run: --task {task}: expected a model with one output, this one has 2"
        assert expected in refusal(capsys, two, "a.png", "--task", task)
    vector = save_model(tmp_path / "vector.onnx", [1, 8], {"y": np.eye(1, 10)})
    assert "the model's input has shape (1, 8); expected four sizes" in refusal(capsys, vector, "a.png")
    any_size = save_model(tmp_path / "any.onnx", [1, 3, "H", "W"], {"y": np.eye(1, 10)})
    assert "--size: the model takes pictures of any size" in refusal(capsys, any_size, "a.png")
    assert results(capsys, any_size, "a.png", "--size", 8)[0]["classes"][0]["class"] == 0


@pytest.mark.parametrize(("library", "module"), [("onnx", "onnx"), ("Pillow", "PIL")])
def test_without_an_extra(
    library: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("konv.cli.run.find_spec", lambda name: None if name == module else sys)
    assert f"konv run: needs {library}: pip install 'konv[run]'" in refusal(capsys, "m.onnx", "a.png")
