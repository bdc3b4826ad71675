"""MobileNet v2."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    ReLU,
    ZeroPadding2D,
)
from ..model import Model
from .common import ImageShape, finished, image_input, pooled

# Expansion, filters in front of alpha, repetitions and the first one's stride: table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

_normalized = partial(BatchNormalization, momentum=0.999, epsilon=1e-3)


def _filters(wanted: float) -> int:
    """Return a multiple of 8 near a number, never more than a tenth below it."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


def _margins(x: Any) -> tuple[tuple[int, int], ...]:
    """Return the zeros that a 3x3 window of stride 2 needs, fewer in front of an even size."""
    return tuple((1 - (size is not None and size % 2 == 0), 1) for size in x.shape[1:3])


def _block(x: Any, expansion: int, filters: int, stride: int, prefix: str) -> Any:
    channels, y = x.shape[-1], x
    if expansion > 1:
        y = Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{prefix}_expand")(y)
        y = ReLU(6.0, name=f"{prefix}_expand_relu")(_normalized(name=f"{prefix}_expand_BN")(y))
    if stride == 2:
        y = ZeroPadding2D(_margins(y), name=f"{prefix}_pad")(y)
    padding = "same" if stride == 1 else "valid"
    y = DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False, name=f"{prefix}_depthwise")(y)
    y = ReLU(6.0, name=f"{prefix}_depthwise_relu")(_normalized(name=f"{prefix}_depthwise_BN")(y))
    y = Conv2D(filters, 1, padding="same", use_bias=False, name=f"{prefix}_project")(y)
    y = _normalized(name=f"{prefix}_project_BN")(y)
    return Add(name=f"{prefix}_add")([x, y]) if stride == 1 and channels == filters else y


def MobileNetV2(  # noqa: N802 - named like a class, as in Keras
    input_shape: ImageShape | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: str | Path | None = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
) -> Model:
    """Make MobileNet v2: residual blocks that are narrow at their ends.

    Parameters
    ----------
    input_shape : tuple, optional
        (height, width, channels); (224, 224, 3) by default, without the top of any size.
    alpha : float
        Factor of all numbers of filters, which stay multiples of 8.
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
        Of the model; by default with alpha and the height, as in Keras: "mobilenetv2_1.00_224".

    Returns
    -------
    Model
        3,538,984 parameters with alpha=1; layers have Keras's names.

    Raises
    ------
    ValueError
        If an argument does not fit.

    References
    ----------
    Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", 2018.

    Examples
    --------
    >>> from konv.nn.applications import MobileNetV2
    >>> MobileNetV2(include_top=False, pooling="avg").output_shape
    (None, 1280)
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    inputs = image_input(input_shape, size=224, include_top=include_top)
    x = Conv2D(_filters(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(inputs)
    x = ReLU(6.0, name="Conv1_relu")(_normalized(name="bn_Conv1")(x))
    number = 0
    for expansion, filters, count, first_stride in STAGES:
        for i in range(count):
            prefix = f"block_{number}" if number else "expanded_conv"
            x = _block(x, expansion, _filters(filters * alpha), first_stride if i == 0 else 1, prefix)
            number += 1
    last = _filters(1280 * alpha) if alpha > 1 else 1280
    x = Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    x = ReLU(6.0, name="out_relu")(_normalized(name="Conv_1_bn")(x))
    name = name or f"mobilenetv2_{alpha:.2f}_{inputs.shape[1] or 'any'}"
    if not include_top:
        return finished(inputs, pooled(x, pooling), name, weights)
    x = GlobalAveragePooling2D(name="global_average_pooling2d")(x)
    return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)
