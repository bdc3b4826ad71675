"""Weights in a NumPy .npz file: one array a variable, named by its layer's place in the model."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .layers import Layer
from .variable import Variable


def _by_key(layers: Sequence[Layer]) -> dict[str, Variable]:
    owners = [layer for layer in layers if layer.weights]
    return {f"{i}/{v.name}": v for i, layer in enumerate(owners) for v in layer.weights}


def save(path: Path, layers: Sequence[Layer]) -> None:
    """Write the weights of layers; the file appears only once it is complete."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            arrays: dict[str, Any] = {k: v.value for k, v in _by_key(layers).items()}
            np.savez(file, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, layers: Sequence[Layer]) -> None:
    """Read what `save` wrote for the same layers; changes all weights or none."""
    variables = _by_key(layers)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a file of weights: {error}") from None
    found = {key: array.shape for key, array in arrays.items()}
    expected = {key: variable.shape for key, variable in variables.items()}
    if found != expected:
        raise ValueError(f"{path} must hold weights of shapes {expected}, got {found}")
    for key, variable in variables.items():
        variable.assign(arrays[key])
