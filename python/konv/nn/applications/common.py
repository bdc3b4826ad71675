"""What the builders share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..layers import GlobalAveragePooling2D, GlobalMaxPooling2D, Input
from ..model import Model
from ..symbolic import SymbolicTensor

ImageShape = Sequence[int | None]


def image_input(shape: ImageShape | None, *, size: int, multiple: int = 1, include_top: bool = True) -> SymbolicTensor:
    """Make the input: `shape`, else colour images of `size`, or of any size where there is no top.

    Raises
    ------
    ValueError
        If `shape` is not (height, width, channels), or a size is no multiple of `multiple`.
    """
    if shape is None:
        shape = (size, size, 3) if include_top else (None, None, 3)
    if len(shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels), got {tuple(shape)}")
    if any(length is not None and length % multiple for length in shape[:2]):
        raise ValueError(f"input_shape must have a height and width that {multiple} divides, got {tuple(shape)}")
    return Input(shape)


def pooled(x: SymbolicTensor, pooling: str | None) -> Any:
    """Return features as a network without its top gives them."""
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be None, 'avg' or 'max', got {pooling!r}")
    if pooling is None:
        return x
    layer = GlobalAveragePooling2D if pooling == "avg" else GlobalMaxPooling2D
    return layer(name=f"{pooling}_pool")(x)


def finished(inputs: SymbolicTensor, outputs: Any, name: str, weights: str | Path | None) -> Model:
    """Make the model, and read its weights where a file is given."""
    model = Model(inputs, outputs, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model
