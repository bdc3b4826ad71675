"""Overlaps and suppression, beside definitions in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from konv.vision import box_iou, nms

# Few different coordinates and scores, so that overlaps, equal scores and empty boxes are frequent.
corner = st.integers(0, 6)
box = st.tuples(corner, corner, corner, corner).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
proposals = st.lists(st.tuples(box, st.integers(0, 5), st.integers(0, 2)), max_size=12)


def cells(b: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])}


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over union by counting unit squares."""
    both, either = len(cells(a) & cells(b)), len(cells(a) | cells(b))
    return both / either if either else 0.0


@given(st.lists(box, max_size=5), st.lists(box, max_size=5))
def test_iou(a: list[Any], b: list[Any]) -> None:
    expected = np.array([[overlap(x, y) for y in b] for x in a]).reshape(len(a), len(b))
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=1e-15)


@given(proposals, st.sampled_from([0.0, 0.3, 0.45, 0.99, 1.0]))
def test_nms(given_: list[Any], iou: float) -> None:
    """A box stays unless a kept one of its class, which comes before it, overlaps it too much."""
    order = sorted(range(len(given_)), key=lambda i: (-given_[i][1], i))
    kept: list[int] = []
    for i in order:
        if all(given_[i][2] != given_[k][2] or overlap(given_[i][0], given_[k][0]) <= iou for k in kept):
            kept.append(i)
    boxes, scores, classes = ([p[n] for p in given_] for n in range(3))
    assert nms(boxes, scores, classes, iou=iou).tolist() == kept


def test_without_classes_all_are_one() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9]]
    assert nms(boxes, [0.5, 0.9]).tolist() == [1]
    assert nms(boxes, [0.5, 0.9], [0, 1]).tolist() == [1, 0]
    assert nms(np.zeros((0, 4)), []).dtype == np.intp


def test_many_boxes() -> None:
    """Boxes on a grid that do not touch all stay; each twice, half of them go."""
    corners = np.stack(np.meshgrid(np.arange(0, 300, 10), np.arange(0, 300, 10)), -1).reshape(-1, 2)
    boxes = np.concatenate([corners, corners + 8], 1)
    scores = np.random.default_rng(0).permutation(len(boxes) * 2)
    kept = nms(np.tile(boxes, (2, 1)), scores)
    assert sorted(kept % len(boxes)) == list(range(len(boxes)))
    assert (np.diff(scores[kept]) < 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": [[0, 0, 1]]}, r"boxes: expected shape \(n, 4\), got \(1, 3\)"),
        ({"boxes": [[0, 0, -1, 1]]}, "boxes: expected left <= right"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "boxes: expected left <= right"),
        ({"scores": [1, 2]}, r"scores: expected shape \(1,\), one a box, got \(2,\)"),
        ({"scores": [np.nan]}, "scores: expected numbers, got NaN"),
        ({"classes": [1, 2]}, r"classes: expected shape \(1,\)"),
        ({"iou": 1.5}, "iou: expected a number from 0 to 1, got 1.5"),
        ({"iou": np.nan}, "iou: expected a number from 0 to 1, got nan"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nms(**{"boxes": [[0, 0, 1, 1]], "scores": [1], **changes})
