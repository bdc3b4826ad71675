"""LeNet-5."""

from __future__ import annotations

from pathlib import Path

from ..layers import AveragePooling2D, Conv2D, Dense, Flatten
from ..model import Model
from .common import ImageShape, finished, image_input


def LeNet5(  # noqa: N802 - named like a class, as in Keras
    weights: str | Path | None = None,
    input_shape: ImageShape = (32, 32, 1),
    classes: int = 10,
    activation: str = "tanh",
    classifier_activation: str | None = "softmax",
    name: str = "lenet5",
) -> Model:
    """Make LeNet-5, the network for handwritten digits.

    Parameters
    ----------
    weights : str or Path, optional
        A file to read them from.
    input_shape : tuple
        (height, width, channels); 32 x 32 pixels in the paper.
    classes : int
        Number of outputs.
    activation : str
        Of the hidden layers.
    classifier_activation : str, optional
        Of the output.
    name : str
        Of the model.

    Returns
    -------
    Model
        61,706 parameters.

    Notes
    -----
    As it is built today: the paper's third layer joins each map to some of the maps before it alone, its pooling has
    a factor and an offset, and its output is distances to given codes (60,000 parameters).

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998.

    Examples
    --------
    >>> from konv.nn.applications import LeNet5
    >>> LeNet5().count_params()
    61706
    """
    inputs = image_input(input_shape, size=32)
    x = Conv2D(6, 5, activation=activation, name="c1")(inputs)
    x = AveragePooling2D(name="s2")(x)
    x = Conv2D(16, 5, activation=activation, name="c3")(x)
    x = AveragePooling2D(name="s4")(x)
    x = Flatten(name="flatten")(x)
    x = Dense(120, activation=activation, name="c5")(x)
    x = Dense(84, activation=activation, name="f6")(x)
    return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)
