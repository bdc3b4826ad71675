"""Reading, resizing and drawing pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from konv.vision import draw_boxes, draw_guesses, read_image, resize_image, write_image  # noqa: E402

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".PNG"])
def test_written_and_read(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", PICTURE)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), PICTURE)


def test_jpeg(tmp_path: Path) -> None:
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    write_image(tmp_path / "a.jpg", picture)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - picture).max() <= 3


def test_orientation_of_cameras(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    Image.fromarray(PICTURE).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(PICTURE, -1))


def test_modes(tmp_path: Path) -> None:
    alpha = np.zeros((6, 8, 1), np.uint8)
    alpha[:3] = 255
    Image.fromarray(np.concatenate([PICTURE, alpha], 2)).save(tmp_path / "rgba.png")
    expected = np.where(alpha, PICTURE, 255)
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), expected)
    grey = PICTURE[:, :, 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    for name, values in {"grey": grey, "deep": grey, "bits": np.where(grey > 127, 255, 0)}.items():
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), values[:, :, None].repeat(3, 2))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"text.png is not a picture that Pillow reads"):
        read_image(tmp_path / "text.png")
    write_image(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with pytest.raises(OSError, match=r"cut.png: "):
        read_image(tmp_path / "cut.png")
    for path in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(FileNotFoundError, match=f"{path} is not a file"):
            read_image(path)


def test_too_large_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", PICTURE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match=r"a.png: Image size \(48 pixels\) exceeds limit"):
        read_image(tmp_path / "a.png")


def test_suffixes_that_are_none(tmp_path: Path) -> None:
    for name in ("a", "a.onnx", "a.pdfx"):
        with pytest.raises(ValueError, match="expected a name that ends as pictures do"):
            write_image(tmp_path / name, PICTURE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0, 5),), "size: expected a height and width above zero"),
        (((4, 5), "cubic"), "filter: expected one of nearest, bilinear, bicubic, lanczos, got 'cubic'"),
        (((4, 5), "nearest", (0, 0, 9, 6)), "box: expected .* within 8 x 6"),
        (((4, 5), "nearest", (3, 0, 3, 6)), "box: expected"),
    ],
)
def test_resizing_without_sense(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resize_image(PICTURE, *arguments)


def test_boxes_are_drawn_where_they_are() -> None:
    grey = np.full((400, 600, 3), 128, np.uint8)
    drawn = draw_boxes(grey, [[100, 150, 300, 350]], ["thing"], [1])
    changed = (drawn != 128).any(-1)
    assert drawn.shape == grey.shape
    assert (grey == 128).all()
    for row, column in [(150, 200), (350, 200), (250, 100), (250, 300)]:
        assert changed[row, column]
    assert not changed[160:340, 110:290].any()  # nothing within
    assert changed[132:150, 102:138].all()  # the label above


@pytest.mark.parametrize(("height", "width"), [(1, 1), (40, 700), (700, 40), (28, 28), (330, 320), (1, 5000)])
def test_any_size_of_picture(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    boxes = [[0, 0, width, height], [width / 2, height / 2, width / 2, height / 2], [0, 0, width / 3, height]]
    drawn = draw_boxes(picture, boxes, ["a long name of a class " * 5, "", "b"])
    assert min(drawn.shape[:2]) >= 320 or max(drawn.shape[:2]) > 3000
    assert drawn.shape[0] % height == drawn.shape[1] % width == 0
    told = draw_guesses(picture, ["a long name of a class " * 9, "b"], [1.0, 0.0])
    assert told.shape[1] == drawn.shape[1]
    assert told.shape[0] > drawn.shape[0]


def test_labels_stay_apart() -> None:
    """Two boxes at one place: their labels lie in different ones."""
    grey = np.full((400, 400, 3), 128, np.uint8)
    box = [100, 150, 300, 350]
    one, two = draw_boxes(grey, [box], ["thing"]), draw_boxes(grey, [box, box], ["thing", "other"])
    rows = (one != two).any((1, 2))
    assert not rows[:150].any()
    assert rows[352:].any()


def test_arguments_that_do_not_agree() -> None:
    with pytest.raises(ValueError, match="expected one for each of the 1 boxes, got 2 texts"):
        draw_boxes(PICTURE, [[0, 0, 1, 1]], ["a", "b"])
    with pytest.raises(ValueError, match="probabilities: expected 1, one a text, got 2"):
        draw_guesses(PICTURE, ["a"], [0.5, 0.5])


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"with Pillow: pip install 'konv\[run\]'"):
        read_image("a.png")
