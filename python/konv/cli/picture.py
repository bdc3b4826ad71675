"""The demo's picture: digits with predictions, the learned kernels, and what they see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..nn import Conv2D, Sequential

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

Array = NDArray[Any]
_RIGHT, _WRONG = "#1a7f37", "#cf222e"
_COLUMNS = 8


def draw(path: Path, model: Sequential, images: Array, labels: Array, probabilities: Array) -> None:
    """Save the picture.

    Parameters
    ----------
    path : Path
        Its suffix says the format.
    model : Sequential
        Its first layer is a convolution of grey images.
    images, labels, probabilities : ndarray
        Test samples (n, height, width), their classes and the model's output.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.6), dpi=110, layout="constrained", facecolor="white")
    right = probabilities.argmax(axis=1) == labels
    figure.suptitle(f"{right.mean():.1%} of {len(labels)} unseen digits recognised", fontsize=17, weight="bold")
    above, below = cast("tuple[SubFigure, SubFigure]", figure.subfigures(2, 1, height_ratios=(1, 1.15)))
    _draw_digits(above, images, labels, probabilities, _choose(right, labels))
    example = int(np.flatnonzero(right & (labels == 3))[0]) if (right & (labels == 3)).any() else 0
    first = next(layer for layer in model.layers if isinstance(layer, Conv2D))
    _draw_layer(below, first, images[example], int(labels[example]))
    figure.savefig(path)


def _choose(right: Array, labels: Array) -> Array:
    """Return two samples of each class that went right, then up to four that went wrong."""
    fine = [np.flatnonzero(right & (labels == digit))[:2] for digit in range(10)]
    return np.concatenate([*fine, np.flatnonzero(~right)[:4]])


def _draw_digits(figure: SubFigure, images: Array, labels: Array, probabilities: Array, chosen: Array) -> None:
    from matplotlib.patches import Rectangle

    grid = figure.subplots(2, 12)
    for axes in grid.flat:
        axes.axis("off")
    for axes, i in zip(grid.T.flat, chosen, strict=False):
        guess = int(probabilities[i].argmax())
        fine = guess == labels[i]
        color = _RIGHT if fine else _WRONG
        axes.imshow(images[i], cmap="gray_r")
        text = f"{guess}" if fine else f"{guess}, not {labels[i]}"
        axes.set_title(f"{text}\n{probabilities[i, guess]:.0%}", fontsize=10, color=color, pad=4)
        height, width = images[i].shape
        box = Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=color, linewidth=1.5)
        box.set_clip_on(False)
        axes.add_patch(box)
    figure.suptitle("Predictions and how sure the network is; mistakes in red", fontsize=12)


def _draw_layer(figure: SubFigure, layer: Conv2D, image: Array, label: int) -> None:
    """Draw kernels, an image, and what the layer makes of it."""
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 0.2, 1))
    kernels = layer.kernel.numpy()[:, :, 0, :].transpose(2, 0, 1)
    limit = float(np.abs(kernels).max())
    shown = left.imshow(_mosaic(kernels), cmap="RdBu_r", vmin=-limit, vmax=limit)
    left.set_title(f"The {len(kernels)} learned kernels of the first convolution", fontsize=12)
    figure.colorbar(shown, ax=left, location="bottom", shrink=0.5, aspect=30, label="weight")

    middle.imshow(image, cmap="gray_r")
    middle.set_title(f"on this {label}", fontsize=12)

    maps = layer(image[None, :, :, None])[0].transpose(2, 0, 1)
    shown = right.imshow(_mosaic(maps), cmap="magma", vmin=0)
    right.set_title("give these feature maps, in the same order", fontsize=12)
    figure.colorbar(shown, ax=right, location="bottom", shrink=0.5, aspect=30, label="activation")
    for axes in (left, middle, right):
        axes.axis("off")


def _mosaic(tiles: Array) -> Array:
    """Lay tiles out in rows of eight, NaN between them."""
    count, height, width = tiles.shape
    rows = -(-count // _COLUMNS)
    gap = max(1, height // 8)
    canvas = np.full((rows * (height + gap) - gap, _COLUMNS * (width + gap) - gap), np.nan)
    for i, tile in enumerate(tiles):
        top, left = (i // _COLUMNS) * (height + gap), (i % _COLUMNS) * (width + gap)
        canvas[top : top + height, left : left + width] = tile
    return canvas
