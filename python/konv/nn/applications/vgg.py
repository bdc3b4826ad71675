"""VGG-16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..layers import Conv2D, Dense, Flatten, MaxPooling2D
from ..model import Model
from ..symbolic import SymbolicTensor
from .common import ImageShape, finished, image_input, pooled

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg_block(x: SymbolicTensor, block: int) -> Any:
    """Add the convolutions of a block, counted from 1, without the pooling behind them."""
    filters, count = BLOCKS[block - 1]
    for i in range(1, count + 1):
        x = Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv{i}")(x)
    return x


def VGG16(  # noqa: N802 - named like a class, as in Keras
    include_top: bool = True,
    weights: str | Path | None = None,
    input_shape: ImageShape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "vgg16",
) -> Model:
    """Make VGG-16.

    Parameters
    ----------
    include_top : bool
        Whether to end in the classifier rather than in features.
    weights : str or Path, optional
        A file to read them from.
    input_shape : tuple, optional
        (height, width, channels); (224, 224, 3) by default, without the top of any size.
    pooling : {"avg", "max"}, optional
        Without the top: how to pool the features.
    classes : int
        Number of outputs.
    classifier_activation : str, optional
        Of the output.
    name : str
        Of the model.

    Returns
    -------
    Model
        138,357,544 parameters, 14,714,688 without the top; layers have Keras's names.

    Raises
    ------
    ValueError
        If an argument does not fit.

    References
    ----------
    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015,
    configuration D.

    Examples
    --------
    >>> from konv.nn.applications import VGG16
    >>> VGG16(include_top=False, pooling="avg").output_shape
    (None, 512)
    """
    inputs = image_input(input_shape, size=224, include_top=include_top)
    x = inputs
    for block in range(1, 6):
        x = vgg_block(x, block)
        x = MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    if not include_top:
        return finished(inputs, pooled(x, pooling), name, weights)
    x = Flatten(name="flatten")(x)
    x = Dense(4096, activation="relu", name="fc1")(x)
    x = Dense(4096, activation="relu", name="fc2")(x)
    return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)
