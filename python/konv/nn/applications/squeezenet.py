"""SqueezeNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..layers import Activation, Concatenate, Conv2D, Dropout, GlobalAveragePooling2D, MaxPooling2D
from ..model import Model
from .common import ImageShape, finished, image_input, pooled

# Squeezed filters of each fire module, whose two expansions have four times as many; None is a pooling.
MODULES = {
    "1.0": (None, 16, 16, 32, None, 32, 48, 48, 64, None, 64),
    "1.1": (None, 16, 16, None, 32, 32, None, 48, 48, 64, 64),
}


def _fire(x: Any, squeezed: int, number: int) -> Any:
    name = f"fire{number}"
    x = Conv2D(squeezed, 1, activation="relu", name=f"{name}_squeeze")(x)
    narrow = Conv2D(4 * squeezed, 1, activation="relu", name=f"{name}_expand1x1")(x)
    wide = Conv2D(4 * squeezed, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return Concatenate(name=f"{name}_concat")([narrow, wide])


def _pool(x: Any, number: int) -> Any:
    """Pool so that no pixel is left out: an even size has one window more, which goes over the edge."""
    height, width = x.shape[1:3]
    if height is None or width is None or (height - width) % 2:
        raise ValueError(f"input_shape must lead to heights and widths that are known and alike, got {x.shape}")
    padding = "valid" if height % 2 else "same"
    return MaxPooling2D(3, strides=2, padding=padding, name=f"pool{number}")(x)


def SqueezeNet(  # noqa: N802 - named like a class, as in Keras
    version: str = "1.1",
    include_top: bool = True,
    weights: str | Path | None = None,
    input_shape: ImageShape = (224, 224, 3),
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "squeezenet",
) -> Model:
    """Make SqueezeNet.

    Parameters
    ----------
    version : {"1.1", "1.0"}
        The paper's is 1.0; 1.1 has as many parameters but needs 2.4 times fewer operations.
    include_top : bool
        Whether to end in the classifier rather than in features.
    weights : str or Path, optional
        A file to read them from.
    input_shape : tuple
        (height, width, channels).
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
        1,235,496 parameters, version 1.0 1,248,424, as torchvision's.

    Raises
    ------
    ValueError
        If an argument does not fit.

    References
    ----------
    Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters
    and <0.5MB model size", 2016.

    Examples
    --------
    >>> from konv.nn.applications import SqueezeNet
    >>> SqueezeNet().count_params()
    1235496
    """
    if version not in MODULES:
        raise ValueError(f"version must be one of {tuple(MODULES)}, got {version!r}")
    inputs = image_input(input_shape, size=224)
    filters, window = (96, 7) if version == "1.0" else (64, 3)
    x = Conv2D(filters, window, strides=2, activation="relu", name="conv1")(inputs)
    for number, squeezed in enumerate(MODULES[version], 1):
        x = _pool(x, number) if squeezed is None else _fire(x, squeezed, number)
    if not include_top:
        return finished(inputs, pooled(x, pooling), name, weights)
    x = Dropout(0.5, name="dropout")(x)
    x = Conv2D(classes, 1, activation="relu", name="classifier")(x)
    x = GlobalAveragePooling2D(name="avg_pool")(x)
    return finished(inputs, Activation(classifier_activation or "linear", name="predictions")(x), name, weights)
