"""Names for what the public functions accept."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
AnyArray = NDArray[Any]
Size1D = int | tuple[int]
Size2D = int | tuple[int, int]
Size3D = int | tuple[int, int, int]
OutputSize1D = int | None | tuple[int | None]
OutputSize2D = int | None | tuple[int | None, int | None]
OutputSize3D = int | None | tuple[int | None, int | None, int | None]
PaddingRule = Literal["valid", "same", "same_lower"]
Padding1D = Size1D | tuple[tuple[int, int]] | PaddingRule
Padding3D = Size3D | tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | PaddingRule
Padding = Size2D | tuple[tuple[int, int], tuple[int, int]] | PaddingRule
Padding2D = Padding
DType = Literal["float32", "float64"]
Convention = Literal["torch", "onnx", "tf"]
Layout1D = Literal["NCW", "NWC"]
Layout2D = Literal["NCHW", "NHWC"]
Layout3D = Literal["NCDHW", "NDHWC"]
ActivationName = Literal["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish"]
Activation = ActivationName | tuple[Literal["leaky_relu"], float]


class Options1D(TypedDict, total=False):
    """What every function of 1 dimension takes by keyword."""

    layout: Layout1D | None
    out: AnyArray | None
    threads: int | None
    max_workspace: int | None


class PoolOptions1D(Options1D, total=False):
    """What pooling takes besides."""

    convention: Convention


class Options2D(TypedDict, total=False):
    """What every function of 2 dimensions takes by keyword."""

    layout: Layout2D | None
    out: AnyArray | None
    threads: int | None
    max_workspace: int | None


class PoolOptions2D(Options2D, total=False):
    """What pooling takes besides."""

    convention: Convention


class Options3D(TypedDict, total=False):
    """What every function of 3 dimensions takes by keyword."""

    layout: Layout3D | None
    out: AnyArray | None
    threads: int | None
    max_workspace: int | None


class PoolOptions3D(Options3D, total=False):
    """What pooling takes besides."""

    convention: Convention
