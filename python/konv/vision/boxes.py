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
    return _iou(_boxes(a, "a").T, _boxes(b, "b").T)


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
    order: NDArray[np.intp] = np.argsort(-values, kind="stable")
    kept = np.zeros(len(found), bool)
    for label in np.unique(labels):
        left = order[labels[order] == label]
        rest = found.T[:, left]
        while left.size:
            kept[left[0]] = True
            stay = _iou(rest[:, :1], rest[:, 1:])[0] <= iou
            left, rest = left[1:][stay], rest[:, 1:][:, stay]
    return order[kept[order]]


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
    """Overlaps (n, m) of boxes (4, n) and (4, m): the edges side by side, as NumPy is quickest on them."""
    left, top, right, bottom = a[:, :, None]
    across = np.minimum(right, b[2]) - np.maximum(left, b[0])
    down = np.minimum(bottom, b[3]) - np.maximum(top, b[1])
    common: Array = np.maximum(across, 0) * np.maximum(down, 0)
    union = (right - left) * (bottom - top) + (b[2] - b[0]) * (b[3] - b[1]) - common
    ratio = np.zeros_like(common)
    np.divide(common, union, out=ratio, where=union > 0)
    return ratio
