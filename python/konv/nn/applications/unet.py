"""U-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..layers import Concatenate, Conv2D, Conv2DTranspose, Dropout, MaxPooling2D
from ..model import Model
from .common import ImageShape, finished, image_input


def _pair(x: Any, filters: int, name: str) -> Any:
    for i in (1, 2):
        x = Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"{name}_conv{i}"
        )(x)
    return x


def UNet(  # noqa: N802 - named like a class, as in Keras
    input_shape: ImageShape = (256, 256, 1),
    classes: int = 1,
    filters: int = 64,
    depth: int = 4,
    weights: str | Path | None = None,
    classifier_activation: str | None = "sigmoid",
    name: str = "unet",
) -> Model:
    """Make U-Net, which gives each pixel its classes.

    Parameters
    ----------
    input_shape : tuple
        (height, width, channels); sizes that 2**depth divides, None leaves them open.
    classes : int
        Number of outputs a pixel.
    filters : int
        Of the first level; each one down has twice as many.
    depth : int
        How often the image is halved.
    weights : str or Path, optional
        A file to read them from.
    classifier_activation : str, optional
        Of the output; "softmax" for classes that exclude each other.
    name : str
        Of the model.

    Returns
    -------
    Model
        Output (batch, height, width, classes); 31,030,593 parameters as by default.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    The paper's convolutions have no padding, so that its output is smaller than its input and what is joined from
    the left is cropped; these keep the size. The weights are of the same shapes.

    References
    ----------
    Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015.

    Examples
    --------
    >>> from konv.nn.applications import UNet
    >>> UNet(input_shape=(64, 96, 3), classes=5, filters=8).output_shape
    (None, 64, 96, 5)
    """
    inputs = image_input(input_shape, size=256, multiple=2**depth)
    x, skipped = inputs, []
    for level in range(depth):
        x = _pair(x, filters * 2**level, f"down{level + 1}")
        if level == depth - 1:
            x = Dropout(0.5, name=f"down{level + 1}_drop")(x)
        skipped.append(x)
        x = MaxPooling2D(2, name=f"down{level + 1}_pool")(x)
    x = Dropout(0.5, name="bottom_drop")(_pair(x, filters * 2**depth, "bottom"))
    for level in reversed(range(depth)):
        x = Conv2DTranspose(filters * 2**level, 2, strides=2, name=f"up{level + 1}_conv_transpose")(x)
        x = Concatenate(name=f"up{level + 1}_concat")([skipped[level], x])
        x = _pair(x, filters * 2**level, f"up{level + 1}")
    outputs = Conv2D(classes, 1, activation=classifier_activation, name="predictions")(x)
    return finished(inputs, outputs, name, weights)
