"""Results drawn onto pictures, in sizes that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .images import Image, check_image, pillow, resize_image

# Okabe and Ito's colours, which people who see few colours tell apart, without black.
COLORS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
PAPER, INK, BAR = "#1b1f24", "#f6f8fa", "#2f6f9f"
Place = tuple[int, int, int, int]
SMALLEST, LARGEST = 320, 6000  # pixels of the shorter side, as text would hide smaller pictures, and of the longer


def draw_boxes(image: Image, boxes: ArrayLike, texts: Sequence[str], classes: Sequence[int] | None = None) -> Image:
    """Draw boxes with texts onto a picture.

    Parameters
    ----------
    image : ndarray
        (height, width, 3), uint8. Small ones are enlarged by a whole factor, so that the text can be read.
    boxes : array_like
        (n, 4): left, top, right, bottom, best first: those lie above the others.
    texts : sequence of str
        One a box.
    classes : sequence of int, optional
        One a box: each class has its colour.

    Returns
    -------
    ndarray
        A new picture.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import vision
    >>> vision.draw_boxes(np.zeros((100, 200, 3), np.uint8), [[10, 20, 90, 80]], ["a face"]).shape
    (400, 800, 3)
    """
    array = np.asarray(boxes, np.float64).reshape(-1, 4)
    if len(texts) != len(array) or (classes is not None and len(classes) != len(array)):
        raise ValueError(f"texts, classes: expected one for each of the {len(array)} boxes, got {len(texts)} texts")
    image, factor = _enlarged(image)
    shorter = min(image.shape[:2])
    line, font = max(2, round(shorter / 200)), _font(max(14, round(shorter / 28)))
    canvas = pillow("Image").fromarray(image)
    pen = pillow("ImageDraw").Draw(canvas)
    marks = [COLORS[(0 if classes is None else int(classes[i])) % len(COLORS)] for i in range(len(array))]
    scaled = [[round(float(edge) * factor) for edge in box] for box in array]
    for box, color in reversed(list(zip(scaled, marks, strict=True))):
        # A dark rim sets the line off from whatever lies behind it.
        pen.rectangle(_widened(box, 1), outline=PAPER, width=line + 2)
        pen.rectangle(box, outline=color, width=line)
    labels = [_Label(pen, text, font, image.shape[1]) for text in texts]
    taken: list[Place] = []
    for box, label in zip(scaled, labels, strict=True):
        taken.append(label.place(box, canvas.size, taken))
    for place, label, color in reversed(list(zip(taken, labels, marks, strict=True))):
        label.write(place, color)
    return np.asarray(canvas)


def draw_guesses(image: Image, texts: Sequence[str], probabilities: Sequence[float]) -> Image:
    """Write what a classifier sees below a picture, with a bar for each class.

    Parameters
    ----------
    image : ndarray
        (height, width, 3), uint8. Small ones are enlarged by a whole factor.
    texts : sequence of str
        Names of classes.
    probabilities : sequence of float
        One a class, from 0 to 1.

    Returns
    -------
    ndarray
        A new picture, higher by the lines.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import vision
    >>> vision.draw_guesses(np.zeros((400, 400, 3), np.uint8), ["cat", "dog"], [0.9, 0.1]).shape[1:]
    (400, 3)
    """
    if len(texts) != len(probabilities):
        raise ValueError(f"probabilities: expected {len(texts)}, one a text, got {len(probabilities)}")
    image, _ = _enlarged(image)
    height, width = image.shape[:2]
    size = max(16, round(width / 28))
    font, step, margin = _font(size), round(1.7 * size), size // 2
    pil = pillow("Image")
    canvas = pil.new("RGB", (width, height + step * len(texts) + 2 * margin), PAPER)
    canvas.paste(pil.fromarray(image), (0, 0))
    pen = pillow("ImageDraw").Draw(canvas)
    for i, (text, probability) in enumerate(zip(texts, probabilities, strict=True)):
        top = height + margin + i * step
        full = width - 2 * margin
        pen.rectangle((margin, top + 1, margin + round(full * min(1, probability)), top + step - 2), fill=BAR)
        middle, figure = top + step // 2, f"{probability:.1%}"
        pen.text((width - margin - size // 2, middle), figure, INK, font, anchor="rm")
        room = full - size - font.getlength(figure) - size
        pen.text((margin + size // 2, middle), _shortened(text, font, room), INK, font, anchor="lm")
    return np.asarray(canvas)


def draw_side_by_side(images: Sequence[Image], titles: Sequence[str]) -> Image:
    """Put pictures of one size beside each other, each with its title below."""
    height, width = images[0].shape[:2]
    size = max(12, round(width / 28))
    pil = pillow("Image")
    canvas = pil.new("RGB", (width * len(images), height + 2 * size), PAPER)
    pen = pillow("ImageDraw").Draw(canvas)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        canvas.paste(pil.fromarray(image), (i * width, 0))
        pen.text((i * width + width // 2, height + size), title, INK, _font(size), anchor="mm")
    return np.asarray(canvas)


def _enlarged(image: Image) -> tuple[Image, int]:
    check_image(image)
    height, width = image.shape[:2]
    factor = min(-(-SMALLEST // min(height, width)), LARGEST // max(height, width))
    if factor <= 1:
        return image, 1
    # The squares of tiny pictures are what one wants to see of them.
    return resize_image(image, (height * factor, width * factor), "nearest" if factor > 4 else "bicubic"), factor


def _font(size: int) -> Any:
    return pillow("ImageFont").load_default(size)


def _shortened(text: str, font: Any, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text.rstrip() + "..."


def _widened(box: Sequence[int], by: int) -> tuple[int, int, int, int]:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


class _Label:
    """A text with some room around it."""

    def __init__(self, pen: Any, text: str, font: Any, room: int) -> None:
        self.pen, self.font, self.margin = pen, font, max(2, round(font.size / 5))
        self.text = _shortened(text, font, room - 2 * self.margin)
        self.width = round(font.getlength(self.text)) + 2 * self.margin
        self.height = round(1.25 * font.size) + self.margin

    def place(self, box: Sequence[int], canvas: tuple[int, int], taken: Sequence[Place]) -> Place:
        """Above the box, below or within: the first of these where no other label is."""
        left = min(max(0, box[0]), canvas[0] - self.width)
        tops = (box[1] - self.height, box[3], box[1], box[3] - self.height)
        places = [
            (left, top, left + self.width, top + self.height) for top in tops if 0 <= top <= canvas[1] - self.height
        ] or [(left, 0, left + self.width, self.height)]
        return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])

    def write(self, place: Place, color: str) -> None:
        self.pen.rectangle(place, fill=color)
        middle = place[1] + self.height / 2
        self.pen.text((place[0] + self.margin, middle), self.text, _ink_on(color), self.font, anchor="lm")


def _overlap(a: Sequence[int], b: Sequence[int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ink_on(color: str) -> str:
    """Black or white, whichever stands out."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "#ffffff"
