"""Boxes that overlap, and the suppression of all but the best of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def box_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the intersection over union of all pairs of boxes.

    Parameters
    ----------
    a, b : array_like
        (n, 4) and (m, 4): left, top, right, bottom.

    Returns
    -------
    ndarray
        (n, m), float64; 0 for pairs without any area.

    Raises
    ------
    ValueError
        If the shapes are others, or a box ends before it begins.

    Examples
    --------
    >>> from konv import vision
    >>> vision.box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]])
    array([[0.33333333, 0.        ]])
    """
    return _iou(_boxes(a, "a"), _boxes(b, "b"))


def nms(boxes: ArrayLike, scores: ArrayLike, classes: ArrayLike | None = None, *, iou: float = 0.5) -> NDArray[np.intp]:
    """Return which boxes remain when each suppresses those below it that overlap it: non-maximum suppression.

    The box of the highest score stays, and those of its class whose intersection over union with it is above `iou`
    go; then the same with the best of the rest. Equal scores keep their order.

    Parameters
    ----------
    boxes : array_like
        (n, 4): left, top, right, bottom.
    scores : array_like
        (n,)
    classes : array_like, optional
        (n,): boxes of different classes leave each other alone. By default all are of one.
    iou : float
        From 0 to 1.

    Returns
    -------
    ndarray
        Indices of the boxes that stay, best first.

    Raises
    ------
    ValueError
        If shapes do not agree, a score is NaN, a box ends before it begins, or `iou` is not from 0 to 1.

    Notes
    -----
    Greedy suppression as in P. Felzenszwalb et al., "Object Detection with Discriminatively Trained Part-Based Models",
    IEEE PAMI 32 (2010), section 5.2. The result is that of `torchvision.ops.batched_nms`.

    Examples
    --------
    >>> from konv import vision
    >>> boxes = [[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]]
    >>> vision.nms(boxes, [0.6, 0.9, 0.8])
    array([1, 2])
    """
    found, values = _boxes(boxes, "boxes"), np.asarray(scores, np.float64)
    labels = np.zeros(len(found)) if classes is None else np.asarray(classes)
    for name, array in (("scores", values), ("classes", labels)):
        if array.shape != (len(found),):
            raise ValueError(f"{name}: expected shape ({len(found)},), one a box, got {array.shape}")
    if np.isnan(values).any():
        raise ValueError("scores: expected numbers, got NaN")
    if not 0 <= iou <= 1:
        raise ValueError(f"iou: expected a number from 0 to 1, got {iou}")
    left: NDArray[np.intp] = np.argsort(-values, kind="stable")
    kept = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(best)
        overlap = _iou(found[best : best + 1], found[left])[0]
        left = left[(overlap <= iou) | (labels[left] != labels[best])]
    return np.array(kept, np.intp)


def _boxes(given: ArrayLike, name: str) -> Array:
    boxes = np.asarray(given, np.float64)
    if boxes.shape == (0,):
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name}: expected shape (n, 4), got {boxes.shape}")
    if not (boxes[:, :2] <= boxes[:, 2:]).all():
        raise ValueError(f"{name}: expected left <= right and top <= bottom in every box")
    return boxes


def _iou(a: Array, b: Array) -> Array:
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    common: Array = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - common
    ratio = np.zeros_like(common)
    np.divide(common, union, out=ratio, where=union > 0)
    return ratio
