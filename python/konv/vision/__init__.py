"""Pictures in and out of networks: preprocessing, what outputs mean, non-maximum suppression, drawing.

Pictures are uint8 arrays (height, width, 3), red first; a box is (left, top, right, bottom) in pixels of its picture.
Functions that read, resize or draw use Pillow (`pip install 'konv[run]'`); the others need NumPy only.
"""

from .boxes import box_iou, nms
from .classify import Guess, classify
from .detect import HEADS, Detections, decode_boxes, detect
from .draw import draw_boxes, draw_guesses
from .images import read_image, resize_image, write_image
from .preprocess import Frame, Preprocessing
from .task import TASKS, guess_task
from .transform import transform

__all__ = [
    "HEADS",
    "TASKS",
    "Detections",
    "Frame",
    "Guess",
    "Preprocessing",
    "box_iou",
    "classify",
    "decode_boxes",
    "detect",
    "draw_boxes",
    "draw_guesses",
    "guess_task",
    "nms",
    "read_image",
    "resize_image",
    "transform",
    "write_image",
]
