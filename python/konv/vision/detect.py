"""What a detector's outputs say.

Three forms of output are read; n boxes are proposed in each, most of them with low scores:

- "corners": boxes (1, n, 4) as corners and scores (1, n, classes), as SSD networks and UltraFace give them. Scores that
  sum to one are a softmax whose class 0 is the background.
- "yolov5": one array (1, n, 5 + classes): centre, size, how sure it is that there is something, what it is then.
- "yolov8": one array (1, 4 + classes, n): centre, size, scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .boxes import nms
from .preprocess import Frame

Array = NDArray[Any]

HEADS = ("corners", "yolov5", "yolov8")


class Detections(NamedTuple):
    """What a detector found in a picture, best first.

    Attributes
    ----------
    boxes : ndarray
        (n, 4): left, top, right, bottom in pixels of the picture, within it.
    scores : ndarray
        (n,)
    classes : ndarray
        (n,): the numbers that the network has for its classes.
    known : range
        The numbers of all classes that it knows; from 1 where 0 is the background.
    """

    boxes: Array
    scores: Array
    classes: NDArray[np.intp]
    known: range


def detect(
    outputs: Sequence[Array],
    frame: Frame,
    *,
    threshold: float = 0.5,
    iou: float = 0.5,
    head: str | None = None,
) -> Detections:
    """Return what a detector found.

    Parameters
    ----------
    outputs : sequence of ndarray
        What the network gave for one picture.
    frame : Frame
        Which part of the picture the network saw, as `Preprocessing` returns it.
    threshold : float
        Boxes of lower scores are left out.
    iou : float
        Of boxes of one class that overlap more than this, only the best stays: see `nms`.
    head : {"corners", "yolov5", "yolov8"}, optional
        The form of the outputs; by default their shapes say it.

    Returns
    -------
    Detections

    Raises
    ------
    ValueError
        If the outputs do not have that form, or an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.vision import Frame, detect
    >>> scores = np.array([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]])
    >>> boxes = np.array([[[0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.6], [0.8, 0.8, 0.9, 0.9]]])
    >>> found = detect([scores, boxes], Frame(0, 0, 200, 100, picture_size=(100, 200), input_size=(240, 320)))
    >>> found.boxes, found.scores, found.classes
    (array([[ 20.,  10., 100.,  50.]]), array([0.9]), array([1]))
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected a number from 0 to 1, got {threshold}")
    boxes, scores, first = decode_boxes(outputs, frame.input_size, head)
    known = range(first, first + scores.shape[1])
    likely = scores.max(1) >= threshold
    boxes, scores = frame.to_picture(boxes[likely].astype(np.float64)), scores[likely]
    seen = (boxes[:, 2:] > boxes[:, :2]).all(1)  # the others lie in the border around the picture
    boxes, scores = boxes[seen], scores[seen]
    classes, best = scores.argmax(1) + first, scores.max(1)
    kept = nms(boxes, best, classes, iou=iou)
    return Detections(boxes[kept], best[kept], classes[kept], known)


def decode_boxes(
    outputs: Sequence[Array], input_size: tuple[int, int], head: str | None = None
) -> tuple[Array, Array, int]:
    """Return all boxes that a detector proposes.

    Parameters
    ----------
    outputs : sequence of ndarray
        What the network gave for one picture.
    input_size : (int, int)
        Height and width of its input. Where a coordinate is above 2 they are pixels of that, else fractions of it.
    head : {"corners", "yolov5", "yolov8"}, optional
        The form of the outputs; by default their shapes say it.

    Returns
    -------
    boxes : ndarray
        (n, 4): left, top, right, bottom in fractions of the input.
    scores : ndarray
        (n, classes), without that of the background.
    first : int
        The network's number for the first class: 1 where there is a background, else 0.

    Raises
    ------
    ValueError
        If the outputs do not have that form, or hold NaN or infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.vision import decode_boxes
    >>> output = np.array([[32.0, 16, 32, 16, 0.9, 0.2]]).reshape(1, 6, 1)  # (1, 4 + classes, n)
    >>> decode_boxes([output], (32, 64), "yolov8")
    (array([[0.25, 0.25, 0.75, 0.75]]), array([[0.9, 0.2]]), 0)
    """
    arrays = [_one(output, outputs) for output in outputs]
    head = head or _head(arrays, outputs)
    if head not in HEADS:
        raise ValueError(f"head: expected one of {', '.join(HEADS)}, got {head!r}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("outputs: expected finite numbers, got NaN or infinity")
    first = 0
    if head == "corners":
        boxes, scores = _corners(arrays, outputs)
        if scores.shape[1] > 1 and scores.min(initial=0) >= 0 and np.allclose(scores.sum(1), 1, atol=1e-2):
            scores, first = scores[:, 1:], 1
    else:
        columns = arrays[0].T if head == "yolov8" else arrays[0]
        skipped = 4 if head == "yolov8" else 5
        if len(arrays) != 1 or columns.shape[1] <= skipped:
            raise ValueError(f"outputs: {_shapes(outputs)} is not what the head {head!r} gives")
        centre, half = columns[:, :2], np.maximum(columns[:, 2:4], 0) / 2
        boxes, scores = np.concatenate([centre - half, centre + half], 1), columns[:, skipped:]
        if head == "yolov5":
            scores = scores * columns[:, 4:5]
    if boxes.max(initial=0) > 2:
        boxes = boxes / (input_size[1], input_size[0], input_size[1], input_size[0])
    return boxes, scores, first


def _one(output: Array, outputs: Sequence[Array]) -> Array:
    """An output without its batch of one."""
    if output.ndim not in (2, 3) or output.shape[:-2] not in ((), (1,)):
        raise ValueError(f"outputs: expected shapes (1, n, columns) for one picture, got {_shapes(outputs)}")
    return output.reshape(output.shape[-2:])


def _head(arrays: Sequence[Array], outputs: Sequence[Array]) -> str:
    if len(arrays) == 2:
        return "corners"
    if len(arrays) == 1:
        rows, columns = arrays[0].shape
        return "yolov8" if rows < columns else "yolov5"
    raise ValueError(f"outputs: expected one array, or scores and boxes; got {_shapes(outputs)}")


def _corners(arrays: Sequence[Array], outputs: Sequence[Array]) -> tuple[Array, Array]:
    """Boxes and scores, in whichever order they came."""
    fours = [i for i, array in enumerate(arrays) if array.shape[1] == 4]
    if len(arrays) != 2 or len(fours) != 1 or len(arrays[0]) != len(arrays[1]):
        raise ValueError(f"outputs: expected boxes (1, n, 4) and scores (1, n, not 4 classes), got {_shapes(outputs)}")
    boxes, scores = arrays[fours[0]], arrays[1 - fours[0]]
    return np.concatenate([boxes[:, :2], np.maximum(boxes[:, :2], boxes[:, 2:])], 1), scores


def _shapes(outputs: Sequence[Array]) -> str:
    return ", ".join(str(output.shape) for output in outputs)
