"""A tiny detector after YOLO v2, and what reads boxes out of its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..layers import BatchNormalization, Conv2D, LeakyReLU, MaxPooling2D, Reshape
from ..model import Model
from ..variable import Array
from .common import ImageShape, finished, image_input

# Widths and heights of the boxes that the network for PASCAL VOC starts from, in cells of 32 pixels.
VOC_ANCHORS = ((1.08, 1.19), (3.42, 4.41), (6.63, 11.38), (9.42, 5.11), (16.62, 10.52))


class Detections(NamedTuple):
    """What was found in one image, best first.

    Attributes
    ----------
    boxes : ndarray
        (n, 4): left, top, right, bottom as shares of the image's width and height.
    scores : ndarray
        (n,): the probability that there is an object, times that of its class.
    classes : ndarray
        (n,): class numbers.
    """

    boxes: Array
    scores: Array
    classes: Array


def TinyYolo(  # noqa: N802 - named like a class, as in Keras
    input_shape: ImageShape = (416, 416, 3),
    classes: int = 20,
    anchors: int = len(VOC_ANCHORS),
    weights: str | Path | None = None,
    name: str = "tiny_yolo",
) -> Model:
    """Make the detector that is known as Tiny YOLO v2.

    Parameters
    ----------
    input_shape : tuple
        (height, width, channels); sizes that 32 divides.
    classes : int
        Number of kinds of objects.
    anchors : int
        Number of boxes a cell.
    weights : str or Path, optional
        A file to read them from.
    name : str
        Of the model.

    Returns
    -------
    Model
        Output (batch, height / 32, width / 32, anchors, 5 + classes), which `decode_predictions` reads; 15,867,885
        parameters as by default, as many as darknet's tiny-yolo-voc.weights holds.

    Raises
    ------
    ValueError
        If an argument does not fit.

    References
    ----------
    Redmon and Farhadi, "YOLO9000: better, faster, stronger", 2017.

    Examples
    --------
    >>> from konv.nn.applications import TinyYolo
    >>> TinyYolo(input_shape=(64, 96, 3), classes=3).output_shape
    (None, 2, 3, 5, 8)
    """
    inputs = image_input(input_shape, size=416, multiple=32)
    rows, columns = (None if size is None else size // 32 for size in inputs.shape[1:3])
    if rows is None or columns is None:
        raise ValueError(f"input_shape must have a known height and width, got {tuple(input_shape)}")
    x: Any = inputs
    for number, filters in enumerate((16, 32, 64, 128, 256, 512, 1024, 1024), 1):
        x = Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = LeakyReLU(0.1, name=f"leaky{number}")(BatchNormalization(name=f"bn{number}")(x))
        if number <= 6:
            x = MaxPooling2D(2, strides=1 if number == 6 else 2, padding="same", name=f"pool{number}")(x)
    x = Conv2D(anchors * (5 + classes), 1, name="conv9")(x)
    outputs = Reshape((rows, columns, anchors, 5 + classes), name="predictions")(x)
    return finished(inputs, outputs, name, weights)


def decode_predictions(
    predictions: ArrayLike,
    anchors: Sequence[Sequence[float]] = VOC_ANCHORS,
    score_threshold: float = 0.3,
    iou_threshold: float = 0.45,
) -> list[Detections]:
    """Read boxes out of the output of `TinyYolo`.

    Parameters
    ----------
    predictions : array_like
        (batch, rows, columns, anchors, 5 + classes): for each box of each cell two offsets, two logarithms of sizes,
        a score that there is an object, and one a class.
    anchors : sequence of pairs
        Widths and heights that the sizes multiply, in cells.
    score_threshold : float
        Boxes below it are left out.
    iou_threshold : float
        Of boxes of one class that overlap by more than this intersection over union, the best one stays.

    Returns
    -------
    list of Detections
        One an image.

    Raises
    ------
    ValueError
        If shapes do not agree or a threshold is not from 0 to 1.

    Notes
    -----
    A box's centre is (sigmoid(offset) + cell) / cells, its size anchor * exp(logarithm) / cells, its score
    sigmoid(object) * softmax(classes), of the best class.

    References
    ----------
    Redmon and Farhadi, "YOLO9000: better, faster, stronger", 2017, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.nn.applications import decode_predictions
    >>> predictions = np.zeros((1, 1, 1, 1, 6))
    >>> predictions[0, 0, 0, 0, 4] = 9.0
    >>> decode_predictions(predictions, anchors=[(0.5, 0.25)])[0].boxes
    array([[0.25 , 0.375, 0.75 , 0.625]])
    """
    values, sizes = np.asarray(predictions), np.asarray(anchors, float)
    if values.ndim != 5 or values.shape[-1] < 6:
        raise ValueError(
            f"predictions must have the shape (batch, rows, columns, anchors, 5 + classes), got {values.shape}"
        )
    if sizes.shape != (values.shape[3], 2):
        raise ValueError(f"anchors must be {values.shape[3]} pairs, got shape {sizes.shape}")
    for threshold, argument in ((score_threshold, "score_threshold"), (iou_threshold, "iou_threshold")):
        if not 0 <= threshold <= 1:
            raise ValueError(f"{argument} must be from 0 to 1, got {threshold}")
    return [_decoded(image, sizes, score_threshold, iou_threshold) for image in values]


def _decoded(image: Array, anchors: Array, score_threshold: float, iou_threshold: float) -> Detections:
    from ...vision import nms

    rows, columns = image.shape[:2]
    cells = np.array([columns, rows])
    corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    centre = (_sigmoid(image[..., :2]) + corner) / cells
    half = anchors * np.exp(image[..., 2:4]) / cells / 2
    likely = np.exp(image[..., 5:] - image[..., 5:].max(axis=-1, keepdims=True))
    likely *= _sigmoid(image[..., 4:5]) / likely.sum(axis=-1, keepdims=True)
    classes, scores = likely.argmax(axis=-1), likely.max(axis=-1)
    wanted = scores >= score_threshold
    boxes = np.concatenate([centre - half, centre + half], axis=-1)[wanted]
    kept = nms(boxes, scores[wanted], classes[wanted], iou=iou_threshold)
    return Detections(boxes[kept], scores[wanted][kept], classes[wanted][kept])


def _sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0, -x))
