"""The digit classifiers that the commands train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import nn
from ..datasets import Dataset, load_mnist

MODELS = ("softmax", "mlp", "cnn")


def mnist(folder: Path) -> Dataset:
    """Read the files in the folder that --data names."""
    try:
        return load_mnist(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"--data: {error}") from None


def digit_classifier(kind: str, image_shape: Sequence[int]) -> nn.Sequential:
    """Return a compiled model for ten classes.

    Parameters
    ----------
    kind : {"softmax", "mlp", "cnn"}
        One dense layer; one with 128 hidden units; or two 3x3 convolutions with pooling.
    image_shape : (int, int)
        Height and width. Images below 16 pixels are padded in the convolutions.
    """
    layers: list[nn.Layer] = []
    if kind == "cnn":
        padding = "same" if min(image_shape) < 16 else "valid"
        layers += [
            nn.Conv2D(32, 3, padding=padding, activation="relu"),
            nn.MaxPooling2D(2),
            nn.Conv2D(64, 3, padding=padding, activation="relu"),
            nn.MaxPooling2D(2),
        ]
    layers.append(nn.Flatten())
    if kind != "softmax":
        layers.append(nn.Dense(128, activation="relu"))
    layers.append(nn.Dense(10, activation="softmax"))
    model = nn.Sequential([nn.Input((*image_shape, 1)), *layers], name=kind)
    model.compile(nn.Adam(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
