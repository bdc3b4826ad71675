"""MobileNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    ReLU,
    Reshape,
    ZeroPadding2D,
)
from ..model import Model
from .common import ImageShape, finished, image_input, pooled

# Filters and stride of each depthwise block, in front of alpha.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


def _block(x: Any, filters: int, depth_multiplier: int, stride: int, number: int) -> Any:
    if stride == 2:
        x = ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
    x = DepthwiseConv2D(
        3,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        depth_multiplier=depth_multiplier,
        use_bias=False,
        name=f"conv_dw_{number}",
    )(x)
    x = ReLU(6.0, name=f"conv_dw_{number}_relu")(BatchNormalization(name=f"conv_dw_{number}_bn")(x))
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{number}")(x)
    return ReLU(6.0, name=f"conv_pw_{number}_relu")(BatchNormalization(name=f"conv_pw_{number}_bn")(x))


def MobileNet(  # noqa: N802 - named like a class, as in Keras
    input_shape: ImageShape | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: str | Path | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
) -> Model:
    """Make MobileNet, the first version.

    Parameters
    ----------
    input_shape : tuple, optional
        (height, width, channels); (224, 224, 3) by default, without the top of any size.
    alpha : float
        Factor of all numbers of filters.
    depth_multiplier : int
        Outputs of each channel of the depthwise convolutions.
    dropout : float
        Rate in front of the classifier.
    include_top : bool
        Whether to end in the classifier rather than in features.
    weights : str or Path, optional
        A file to read them from.
    pooling : {"avg", "max"}, optional
        Without the top: how to pool the features.
    classes : int
        Number of outputs.
    classifier_activation : str, optional
        Of the output.
    name : str, optional
        Of the model; by default with alpha and the height, as in Keras: "mobilenet_1.00_224".

    Returns
    -------
    Model
        4,253,864 parameters with alpha=1; layers have Keras's names.

    Raises
    ------
    ValueError
        If an argument does not fit.

    References
    ----------
    Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017.

    Examples
    --------
    >>> from konv.nn.applications import MobileNet
    >>> MobileNet(alpha=0.25).count_params()
    475544
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    inputs = image_input(input_shape, size=224, include_top=include_top)
    x = Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(inputs)
    x = ReLU(6.0, name="conv1_relu")(BatchNormalization(name="conv1_bn")(x))
    for number, (filters, stride) in enumerate(BLOCKS, 1):
        x = _block(x, int(filters * alpha), depth_multiplier, stride, number)
    name = name or f"mobilenet_{alpha:.2f}_{inputs.shape[1] or 'any'}"
    if not include_top:
        return finished(inputs, pooled(x, pooling), name, weights)
    x = GlobalAveragePooling2D(keepdims=True, name="global_average_pooling2d")(x)
    x = Dropout(dropout, name="dropout")(x)
    x = Conv2D(classes, 1, padding="same", name="conv_preds")(x)
    x = Reshape((classes,), name="reshape")(x)
    return finished(inputs, Activation(classifier_activation or "linear", name="predictions")(x), name, weights)
