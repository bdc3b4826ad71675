"""Network inputs, beside what other code makes of the same pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from konv.vision import Frame, Preprocessing

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (30, 50, 3), np.uint8)


def smooth(height: int, width: int) -> np.ndarray[Any, Any]:
    """A picture that any way of resizing leaves much alike."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * y / height, 255 * x / width
    return np.stack([red, green, (red + green) / 2], -1).astype(np.uint8)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_normalisation(order: str, layout: str) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    tensor, frame = Preprocessing(order=order, mean=mean, std=std, layout=layout)(PICTURE)
    channels = PICTURE.astype(np.float64) / 255
    if order == "BGR":
        channels = channels[..., [2, 1, 0]]
    expected = (channels - mean) / std
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    found = tensor[0] if layout == "NHWC" else np.moveaxis(tensor[0], 0, -1)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert frame == Frame(0, 0, 50, 30, (30, 50), (30, 50))


def test_grey_is_the_luma_of_bt601() -> None:
    tensor, _ = Preprocessing(order="gray", scale=1)(PICTURE)
    expected = PICTURE @ np.array([0.299, 0.587, 0.114])
    assert tensor.shape == (1, 1, 30, 50)
    assert np.abs(tensor[0, 0] - expected).max() <= 0.51  # rounded to whole numbers


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16, np.float64])
def test_dtypes(dtype: Any) -> None:
    mean = 128 if dtype is np.int8 else 0
    tensor, _ = Preprocessing(scale=1, mean=mean, dtype=dtype)(PICTURE)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0).astype(int), PICTURE.astype(int) - mean)


def test_integers_are_rounded_and_clipped() -> None:
    picture = np.array([[[0, 101, 255]]], np.uint8)
    tensor, _ = Preprocessing(scale=0.5, mean=10, dtype=np.uint8)(picture)
    assert tensor.ravel().tolist() == [0, 40, 118]


@pytest.mark.parametrize(("height", "width", "size"), [(60, 100, (20, 20)), (100, 60, (20, 30)), (40, 40, (80, 52))])
def test_crop_takes_the_middle(height: int, width: int, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    picture = smooth(height, width)
    placed, frame = Preprocessing(size=size).place(picture)
    factor = min(height / size[0], width / size[1])
    rows, columns = round(size[0] * factor), round(size[1] * factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    part = picture[top : top + rows, left : left + columns]
    planes = torch.from_numpy(part.astype(np.float32)).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=factor > 1)
    expected = resized[0].permute(1, 2, 0).numpy()
    assert np.abs(placed - expected).max() <= 3
    assert (frame.width, frame.height) == pytest.approx((columns, rows), abs=1)
    assert (frame.left, frame.top) == pytest.approx((left, top), abs=1)


def test_stretch_takes_all() -> None:
    placed, frame = Preprocessing(size=(20, 20), fit="stretch").place(smooth(60, 100))
    assert frame == Frame(0, 0, 100, 60, (60, 100), (20, 20))
    assert np.abs(placed[:, :, 0].astype(int) - 255 * (np.arange(20) + 0.3)[:, None] / 20).max() <= 6


@pytest.mark.parametrize(("height", "width"), [(60, 100), (100, 60), (41, 100), (100, 3)])
def test_pad_keeps_proportions(height: int, width: int) -> None:
    """The corners of the picture are found in the frame where the input has them."""
    picture = np.full((height, width, 3), 255, np.uint8)
    placed, frame = Preprocessing(size=(50, 50), fit="pad").place(picture)
    rows, columns = (np.flatnonzero((placed == 255).all(-1).any(axis)) for axis in (1, 0))
    assert (placed[[0, -1]][:, [0, -1]] == 114).all() or height == width
    inside = [columns[0] / 50, rows[0] / 50, (columns[-1] + 1) / 50, (rows[-1] + 1) / 50]
    np.testing.assert_allclose(frame.to_picture([inside]), [[0, 0, width, height]], atol=1e-9)


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
def test_a_mark_is_found_where_it_is(fit: str) -> None:
    """A square in the picture, seen in the input, leads back to its place."""
    picture = np.zeros((90, 150, 3), np.uint8)
    picture[30:60, 60:90] = 255
    tensor, frame = Preprocessing(size=(60, 60), fit=fit, order="gray")(picture)
    rows, columns = (np.flatnonzero((tensor[0, 0] > 0.5).any(axis)) for axis in (1, 0))
    seen = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 60
    np.testing.assert_allclose(frame.to_picture([seen]), [[60, 30, 90, 60]], atol=1.6)


def test_boxes_beyond_the_picture_end_at_it() -> None:
    frame = Frame(-10, 0, 120, 100, picture_size=(80, 100), input_size=(50, 60))
    assert frame.to_picture([[0, 0, 1, 1]]).tolist() == [[0, 0, 100, 80]]


@pytest.mark.parametrize("order", ["RGB", "BGR", "gray"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_decode_undoes_encode(order: str, layout: str) -> None:
    mean, std = ((3, 5, 7), (2, 3, 4)) if order != "gray" else (3, 2)
    prepare = Preprocessing(order=order, layout=layout, scale=0.5, mean=mean, std=std)
    picture = PICTURE if order != "gray" else PICTURE[:, :, :1].repeat(3, 2)
    expected = picture[:, :, : prepare.channels]
    np.testing.assert_array_equal(prepare.decode(prepare.encode(picture)), expected)


def test_what_a_model_says() -> None:
    for_input = Preprocessing.for_input
    assert for_input((1, 3, 224, 192)) == Preprocessing(size=(224, 192))
    assert for_input((None, 224, 192, 3)) == Preprocessing(size=(224, 192), layout="NHWC")
    assert for_input(("N", 1, "H", "W")) == Preprocessing(order="gray")
    assert for_input(("N", 3, "H", "W"), size=(64, 32)).size == (64, 32)
    assert for_input((1, 3, 8, 8), np.uint8).scale == 1
    assert for_input((1, "C", "H", "W"), layout="NCHW", order="BGR").order == "BGR"


def test_what_a_model_remarks() -> None:
    remarks = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    assert Preprocessing.for_input((1, 3, 8, 8), metadata=remarks) == Preprocessing(size=(8, 8), order="BGR", scale=1)
    given = Preprocessing.for_input((1, 3, 8, 8), metadata=remarks, order="RGB", mean=0.5)
    assert given == Preprocessing(size=(8, 8), mean=0.5)
    black_and_white = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    ranges = {"Normalized_0_1": (0, 1), "Normalized_1_1": (-1, 1), "NominalRange_16_235": (16, 235)}
    for remark, (low, high) in ranges.items():
        prepare = Preprocessing.for_input((1, 3, 1, 2), metadata={"Image.NominalPixelRange": remark})
        np.testing.assert_allclose(prepare(black_and_white)[0][0, 0], [[low, high]], atol=1e-5)
    with pytest.raises(ValueError, match=r"the model's Image.BitmapPixelFormat is 'Rgba8'; expected one of Gray8"):
        Preprocessing.for_input((1, 3, 8, 8), metadata={"Image.BitmapPixelFormat": "Rgba8"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "RBG"}, "order: expected one of RGB, BGR, gray, luma, got 'RBG'"),
        ({"fit": "squeeze"}, "fit: expected one of"),
        ({"layout": "CHW"}, "layout: expected one of"),
        ({"size": (0, 5)}, "size: expected a height and width above zero"),
        ({"mean": (1, 2)}, "mean: expected one number or 3 for RGB"),
        ({"order": "gray", "std": (1, 2, 3)}, "std: expected one number for gray"),
        ({"std": (1, 0, 1)}, "std: expected no zero"),
        ({"scale": 0}, "scale: expected no zero"),
    ],
)
def test_settings_without_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(**changes)
    with pytest.raises(ValueError, match=message):
        replace(Preprocessing(), **changes)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 1000), {}, r"the model's input has shape \(1, 1000\); expected four sizes"),
        ((8, 3, 4, 4), {}, "takes 8 pictures at a time"),
        ((1, 12, 8, 8), {}, r"layout: the model's input \(1, 12, 8, 8\) does not say it"),
        ((1, 3, 8, 3), {}, "layout: .* does not say it; expected NCHW or NHWC"),
        ((1, None, 8, 8), {"layout": "NCHW"}, r"order: the model's input \(1, \?, 8, 8\) does not say it"),
        ((1, 4, 8, 8), {"layout": "NCHW", "order": "RGB"}, "order: the model takes 4 channels"),
        ((1, 1, 8, 8), {"order": "RGB"}, "order: the model takes 1 channel,"),
        ((1, 3, 8, 8), {"size": (8, 9)}, "size: the model takes 8 x 8, got 8 x 9"),
        ((1, 3, 8, "W"), {}, "size: the model takes 8 x any; expected height and width"),
    ],
)
def test_models_that_do_not_fit(shape: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing.for_input(shape, **options)


def test_what_is_no_picture() -> None:
    with pytest.raises(TypeError, match="image: expected an array of uint8, got float64"):
        Preprocessing()(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"image: expected shape \(height, width, 3\), got \(4, 4\)"):
        Preprocessing()(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"tensor: expected 3 channels \(NCHW\), got shape \(1, 4, 4, 3\)"):
        Preprocessing().decode(np.zeros((1, 4, 4, 3)))
