"""Residual networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    GlobalAveragePooling2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from ..model import Model
from .common import ImageShape, finished, image_input, pooled

Block = Callable[[Any, int, int, bool, str], Any]


def _basic(x: Any, filters: int, stride: int, widens: bool, name: str) -> Any:
    """Two 3x3 convolutions; the first takes the stride, padded by one pixel on every side."""
    make = partial(Conv2D, use_bias=False)
    normalized = partial(BatchNormalization, momentum=0.9, epsilon=1e-5)
    shortcut = x
    if widens and stride > 1:
        shortcut = make(filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = normalized(name=f"{name}_0_bn")(shortcut)
    y = ZeroPadding2D(1, name=f"{name}_1_pad")(x)
    y = make(filters, 3, strides=stride, name=f"{name}_1_conv")(y)
    y = Activation("relu", name=f"{name}_1_relu")(normalized(name=f"{name}_1_bn")(y))
    y = make(filters, 3, padding="same", name=f"{name}_2_conv")(y)
    y = normalized(name=f"{name}_2_bn")(y)
    return Activation("relu", name=f"{name}_out")(Add(name=f"{name}_add")([shortcut, y]))


def _bottleneck(x: Any, filters: int, stride: int, widens: bool, name: str) -> Any:
    """1x1, 3x3 and 1x1 convolutions with biases; the first takes the stride."""
    normalized = partial(BatchNormalization, epsilon=1.001e-5)
    shortcut = x
    if widens:
        shortcut = Conv2D(4 * filters, 1, strides=stride, name=f"{name}_0_conv")(x)
        shortcut = normalized(name=f"{name}_0_bn")(shortcut)
    y = Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(x)
    y = Activation("relu", name=f"{name}_1_relu")(normalized(name=f"{name}_1_bn")(y))
    y = Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(y)
    y = Activation("relu", name=f"{name}_2_relu")(normalized(name=f"{name}_2_bn")(y))
    y = Conv2D(4 * filters, 1, name=f"{name}_3_conv")(y)
    y = normalized(name=f"{name}_3_bn")(y)
    return Activation("relu", name=f"{name}_out")(Add(name=f"{name}_add")([shortcut, y]))


def _resnet(
    block: Block,
    repeats: Sequence[int],
    include_top: bool,
    weights: str | Path | None,
    input_shape: ImageShape | None,
    pooling: str | None,
    classes: int,
    classifier_activation: str | None,
    name: str,
) -> Model:
    is_basic = block is _basic
    inputs = image_input(input_shape, size=224, include_top=include_top)
    x = ZeroPadding2D(3, name="conv1_pad")(inputs)
    x = Conv2D(64, 7, strides=2, use_bias=not is_basic, name="conv1_conv")(x)
    momentum, epsilon = (0.9, 1e-5) if is_basic else (0.99, 1.001e-5)
    x = BatchNormalization(momentum=momentum, epsilon=epsilon, name="conv1_bn")(x)
    x = Activation("relu", name="conv1_relu")(x)
    x = MaxPooling2D(3, strides=2, name="pool1_pool")(ZeroPadding2D(1, name="pool1_pad")(x))
    for stage, count in enumerate(repeats):
        for i in range(count):
            stride = 2 if stage and not i else 1
            x = block(x, 64 * 2**stage, stride, i == 0, f"conv{stage + 2}_block{i + 1}")
    if not include_top:
        return finished(inputs, pooled(x, pooling), name, weights)
    x = GlobalAveragePooling2D(name="avg_pool")(x)
    return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)


def ResNet18(  # noqa: N802 - named like a class, as in Keras
    include_top: bool = True,
    weights: str | Path | None = None,
    input_shape: ImageShape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet18",
) -> Model:
    """Make ResNet-18.

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
        11,689,512 trainable parameters, as torchvision's resnet18.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    The layers are those of torchvision: convolutions without biases, strides in the 3x3 convolutions.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.

    Examples
    --------
    >>> from konv.nn.applications import ResNet18
    >>> ResNet18(include_top=False, pooling="avg").output_shape
    (None, 512)
    """
    return _resnet(
        _basic, (2, 2, 2, 2), include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet34(  # noqa: N802 - named like a class, as in Keras
    include_top: bool = True,
    weights: str | Path | None = None,
    input_shape: ImageShape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet34",
) -> Model:
    """Make ResNet-34.

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
        21,797,672 trainable parameters, as torchvision's resnet34.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    The layers are those of torchvision: convolutions without biases, strides in the 3x3 convolutions.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.

    Examples
    --------
    >>> from konv.nn.applications import ResNet34
    >>> ResNet34(include_top=False, pooling="avg").output_shape
    (None, 512)
    """
    return _resnet(
        _basic, (3, 4, 6, 3), include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )


def ResNet50(  # noqa: N802 - named like a class, as in Keras
    include_top: bool = True,
    weights: str | Path | None = None,
    input_shape: ImageShape | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str = "resnet50",
) -> Model:
    """Make ResNet-50.

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
        25,636,712 parameters, of which training changes 25,583,592; layers have Keras's names.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    The layers are those of Keras: convolutions with biases, strides in the first 1x1 convolution of a block.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.

    Examples
    --------
    >>> from konv.nn.applications import ResNet50
    >>> ResNet50(include_top=False, pooling="avg").output_shape
    (None, 2048)
    """
    return _resnet(
        _bottleneck, (3, 4, 6, 3), include_top, weights, input_shape, pooling, classes, classifier_activation, name
    )
