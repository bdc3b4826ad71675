"""Every layer, in the settings that lead to different operations: input shapes, and what makes the layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from konv import nn
from konv.nn.graph import Graph

IMAGE, VOLUME, SIGNAL = [(9, 8, 4)], [(5, 6, 7, 2)], [(11, 3)]

LAYERS: dict[str, tuple[Sequence[tuple[int, ...]], Callable[[], nn.Layer]]] = {
    "conv1d": (SIGNAL, lambda: nn.Conv1D(4, 3)),
    "conv1d same": (SIGNAL, lambda: nn.Conv1D(4, 4, strides=2, padding="same")),
    "conv1d causal": (SIGNAL, lambda: nn.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu")),
    "conv1d causal stride": (SIGNAL, lambda: nn.Conv1D(4, 2, strides=2, padding="causal")),
    "conv2d": (IMAGE, lambda: nn.Conv2D(6, (3, 2), activation="tanh")),
    "conv2d same": (IMAGE, lambda: nn.Conv2D(6, 3, strides=2, padding="same", use_bias=False)),
    "conv2d groups": (IMAGE, lambda: nn.Conv2D(6, 3, dilation_rate=(2, 1), groups=2)),
    "conv3d": (VOLUME, lambda: nn.Conv3D(3, (3, 2, 1))),
    "conv3d same": (VOLUME, lambda: nn.Conv3D(3, 3, strides=(1, 2, 2), padding="same")),
    "transposed 1d": (SIGNAL, lambda: nn.Conv1DTranspose(4, 3, strides=2)),
    "transposed": (IMAGE, lambda: nn.Conv2DTranspose(5, 3)),
    "transposed same": (IMAGE, lambda: nn.Conv2DTranspose(5, 3, strides=2, padding="same", activation="relu")),
    "transposed same even": (IMAGE, lambda: nn.Conv2DTranspose(5, (4, 2), strides=(2, 1), padding="same")),
    "transposed sparse": (IMAGE, lambda: nn.Conv2DTranspose(5, (2, 1), strides=3, padding="same", use_bias=False)),
    "transposed valid": (IMAGE, lambda: nn.Conv2DTranspose(5, (2, 3), strides=3)),
    "transposed dilation": (IMAGE, lambda: nn.Conv2DTranspose(5, 3, dilation_rate=2, padding="same")),
    "transposed output padding": (IMAGE, lambda: nn.Conv2DTranspose(5, 3, strides=3, output_padding=(1, 2))),
    "transposed output padding same": (
        IMAGE,
        lambda: nn.Conv2DTranspose(5, (4, 3), strides=3, padding="same", output_padding=(2, 0)),
    ),
    "transposed 3d": (VOLUME, lambda: nn.Conv3DTranspose(3, 2, strides=2)),
    "depthwise": (IMAGE, lambda: nn.DepthwiseConv2D(3, activation="relu6")),
    "depthwise same": (IMAGE, lambda: nn.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3)),
    "separable": (IMAGE, lambda: nn.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", activation="silu")),
    "dense": ([(5,)], lambda: nn.Dense(3, activation="softmax")),
    "dense on images": (IMAGE, lambda: nn.Dense(3, use_bias=False)),
    "max 1d": (SIGNAL, lambda: nn.MaxPooling1D()),
    "max": (IMAGE, lambda: nn.MaxPooling2D((3, 2), strides=2)),
    "max same": (IMAGE, lambda: nn.MaxPooling2D(3, strides=2, padding="same")),
    "max 3d": (VOLUME, lambda: nn.MaxPooling3D(2, strides=1)),
    "average 1d": (SIGNAL, lambda: nn.AveragePooling1D(3, strides=2, padding="same")),
    "average": (IMAGE, lambda: nn.AveragePooling2D()),
    "average same": (IMAGE, lambda: nn.AveragePooling2D(3, strides=2, padding="same")),
    "average 3d": (VOLUME, lambda: nn.AveragePooling3D((2, 3, 2))),
    **{
        f"global {kind} {rank}d{' kept' * kept}": (
            {1: SIGNAL, 2: IMAGE, 3: VOLUME}[rank],
            lambda kind=kind, rank=rank, kept=kept: getattr(nn, f"Global{kind}Pooling{rank}D")(keepdims=kept),
        )
        for kind in ("Average", "Max")
        for rank in (1, 2, 3)
        for kept in (False, True)
    },
    "normalization": (IMAGE, lambda: nn.BatchNormalization()),
    "normalization of features": ([(5,)], lambda: nn.BatchNormalization(scale=False)),
    "normalization alone": (IMAGE, lambda: nn.BatchNormalization(center=False, scale=False, epsilon=0.1)),
    "relu with limits": (IMAGE, lambda: nn.ReLU(0.8, negative_slope=0.3, threshold=0.2)),
    "leaky relu": (IMAGE, lambda: nn.LeakyReLU()),
    "softmax": (IMAGE, lambda: nn.Softmax()),
    **{
        f"activation {name}": (SIGNAL, lambda name=name: nn.Activation(name))
        for name in (
            "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_sigmoid", "hard_silu", "elu",
            "selu", "softplus", "softsign", "exponential", "mish",
        )
    },
    "dropout": (IMAGE, lambda: nn.Dropout(0.5)),
    "flatten": (IMAGE, lambda: nn.Flatten()),
    "reshape": (IMAGE, lambda: nn.Reshape((6, -1, 3))),
    "add": (IMAGE * 3, lambda: nn.Add()),
    "multiply": (IMAGE * 2, lambda: nn.Multiply()),
    "concatenate": ([(4, 5, 2), (4, 5, 3)], lambda: nn.Concatenate()),
    "concatenate rows": ([(4, 5, 2), (3, 5, 2), (1, 5, 2)], lambda: nn.Concatenate(axis=1)),
    "zero padding": (IMAGE, lambda: nn.ZeroPadding2D(((0, 1), (2, 3)))),
    "up": (IMAGE, lambda: nn.UpSampling2D((3, 2))),
    "up bilinear": (IMAGE, lambda: nn.UpSampling2D((2, 4), interpolation="bilinear")),
    "rescaling": (IMAGE, lambda: nn.Rescaling(1 / 127.5, -1.0)),
}  # fmt: skip


def graph_of(layer: nn.Layer, shapes: Sequence[tuple[int | None, ...]], dtype: str = "float64") -> Graph:
    """The layer's graph, for inputs of these shapes without the batch."""
    graph = Graph()
    inputs = [graph.add_input((None, *shape), np.dtype(dtype)) for shape in shapes]
    graph.outputs = layer.add_to(graph, inputs)
    return graph
