"""What outputs of classifiers, detectors and picture networks are taken to mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from konv.vision import Frame, Preprocessing, classify, decode_boxes, detect, guess_task, transform

RNG = np.random.default_rng(0)
WHOLE = Frame(0, 0, 200, 100, picture_size=(100, 200), input_size=(64, 64))


def test_probabilities_stay_and_others_are_normalised() -> None:
    logits = RNG.standard_normal(10) * 5
    powers = np.exp(logits)
    expected = sorted(enumerate(powers / powers.sum()), key=lambda pair: -pair[1])
    for shape in [(10,), (1, 10), (1, 10, 1, 1), (1, 1, 1, 10)]:
        for scores in (logits, powers / powers.sum(), logits + 1e4):
            found = classify(scores.reshape(shape), top=3)
            assert [guess.number for guess in found] == [number for number, _ in expected[:3]]
            np.testing.assert_allclose([g.probability for g in found], [p for _, p in expected[:3]], rtol=1e-9)
    assert len(classify([0.5, 0.5], top=5)) == 2


@pytest.mark.parametrize(
    ("scores", "top", "message"),
    [
        (np.zeros((2, 5)), 5, r"scores: expected those of two or more classes for one picture, got shape \(2, 5\)"),
        ([[1.0]], 5, r"scores: .* got shape \(1, 1\)"),
        ([np.nan, 1], 5, "scores: expected finite numbers"),
        ([0, 1], 0, "top: expected a number above zero, got 0"),
    ],
)
def test_scores_without_sense(scores: Any, top: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classify(scores, top)


def heads(boxes: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> dict[str, list[np.ndarray[Any, Any]]]:
    """Boxes as corners in fractions and scores of classes, as each kind of network would say it for 64 x 64 inputs."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    middle = np.concatenate([centre, size], 1) * 64
    sure = scores.max(1, keepdims=True)
    return {
        "corners": [scores[None], boxes[None]],
        "yolov5": [np.concatenate([middle, sure, scores / sure], 1)[None]],
        "yolov8": [np.concatenate([middle, scores], 1).T[None]],
    }


@pytest.mark.parametrize("head", ["corners", "yolov5", "yolov8"])
@pytest.mark.parametrize("named", [True, False])
def test_heads_say_the_same(head: str, named: bool) -> None:
    low = RNG.uniform(0, 0.5, (40, 2))
    boxes = np.concatenate([low, low + RNG.uniform(0.01, 0.5, (40, 2))], 1)
    scores = RNG.uniform(0.1, 0.9, (40, 3))
    found, likely, first = decode_boxes(heads(boxes, scores)[head], (64, 64), head if named else None)
    np.testing.assert_allclose(found, boxes, atol=1e-12)
    np.testing.assert_allclose(likely, scores, atol=1e-12)
    assert first == 0


def test_order_of_boxes_and_scores_and_pixels() -> None:
    boxes, scores = np.array([[[16.0, 8, 48, 24]]]), np.array([[[0.5, 0.9]]])
    for outputs in ([boxes, scores], [scores, boxes]):
        found, likely, _ = decode_boxes(outputs, (32, 64))
        np.testing.assert_array_equal(found, [[0.25, 0.25, 0.75, 0.75]])
        np.testing.assert_array_equal(likely, scores[0])


def test_a_softmax_has_a_background() -> None:
    scores = np.array([[[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.3, 0.6, 0.1]]])
    boxes = np.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1]]])
    found = detect([scores, boxes], WHOLE)
    assert found.known == range(1, 3)
    assert found.classes.tolist() == [2, 1]
    np.testing.assert_allclose(found.scores, [0.7, 0.6])
    np.testing.assert_allclose(found.boxes, [[100, 50, 200, 100]] * 2)


def test_threshold_suppression_and_border() -> None:
    boxes = np.array([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.45], [0, 0.5, 0.4, 0.9], [0, 0, 1, 0.05]]])
    scores = np.array([[[0.6], [0.9], [0.3], [0.8]]])
    padded = Frame(0, -50, 200, 200, picture_size=(100, 200), input_size=(64, 64))
    assert detect([scores, boxes], WHOLE).scores.tolist() == [0.9, 0.8]
    assert detect([scores, boxes], WHOLE, iou=0.95).scores.tolist() == [0.9, 0.8, 0.6]
    assert detect([scores, boxes], WHOLE, threshold=0.2).scores.tolist() == [0.9, 0.8, 0.3]
    found = detect([scores, boxes], padded, threshold=0.95)
    assert found.boxes.shape == (0, 4)
    assert detect([scores, boxes], padded).boxes.tolist() == [[0, 0, 100, 40]]  # the last one is all border


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([(1, 5, 4), (1, 5, 2), (1, 3)], {}, "outputs: expected one array, or scores and boxes"),
        ([(1, 5, 4), (1, 6, 2)], {}, r"outputs: expected boxes \(1, n, 4\)"),
        ([(1, 5, 4), (1, 5, 4)], {}, "not 4 classes"),
        ([(2, 5, 4), (2, 5, 2)], {}, "for one picture"),
        ([(1, 20, 4)], {}, "is not what the head 'yolov5' gives"),
        ([(1, 20, 9)], {"head": "corners"}, "outputs: expected boxes"),
        ([(1, 20, 9)], {"head": "yolo"}, "head: expected one of corners, yolov5, yolov8, got 'yolo'"),
        ([(1, 20, 9)], {"threshold": 2}, "threshold: expected a number from 0 to 1, got 2"),
    ],
)
def test_outputs_without_sense(shapes: list[tuple[int, ...]], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detect([np.zeros(shape) for shape in shapes], WHOLE, **options)


def test_boxes_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="outputs: expected finite numbers"):
        detect([np.full((1, 9, 6), np.inf)], WHOLE)


@pytest.mark.parametrize(
    ("shapes", "task"),
    [
        ([(1, 1000)], "classify"),
        ([("N", 1000, 1, 1)], "classify"),
        ([(1, 1, 1, 1001)], "classify"),
        ([(1, 4420, 2), (1, 4420, 4)], "detect"),
        ([("N", 84, None)], "detect"),
        ([(1, 3, 224, 224)], "transform"),
        ([(None, None, None, 3)], "transform"),
    ],
)
def test_tasks(shapes: list[tuple[Any, ...]], task: str) -> None:
    assert guess_task(shapes) == task


@pytest.mark.parametrize("shapes", [[], [(1, 21, 64, 64)], [(1, 10), (1, 10)], [(5,)], [(None,) * 4]])
def test_outputs_that_do_not_say(shapes: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ValueError, match=r"task: the outputs .* do not say what the model does"):
        guess_task(shapes)


def test_transform_of_luma_keeps_the_colours() -> None:
    pytest.importorskip("PIL")
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, :15], picture[:, 15:] = (180, 60, 60), (60, 60, 180)
    same = transform(lambda y: y.repeat(2, 2).repeat(2, 3), picture, Preprocessing(order="luma"))
    assert same.shape == (40, 60, 3)
    inner = [np.r_[4:22, 38:56]]  # bicubic rings at the edge
    np.testing.assert_allclose(same[:, inner].astype(int), picture.repeat(2, 0).repeat(2, 1)[:, inner], atol=3)
    brighter = transform(lambda y: y + np.float32(0.1), picture, Preprocessing(order="luma"))
    np.testing.assert_allclose(brighter.astype(int) - picture, 25.5, atol=3)
    grey = transform(lambda y: y, picture, Preprocessing(order="gray"))
    assert (grey == grey[:, :, :1]).all()


def test_a_result_that_is_no_picture() -> None:
    pytest.importorskip("PIL")
    with pytest.raises(ValueError, match=r"tensor: expected one picture with four sizes, got shape \(1, 10\)"):
        transform(lambda _: np.zeros((1, 10)), np.zeros((4, 4, 3), np.uint8), Preprocessing())
