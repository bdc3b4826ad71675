"""Names for what the public functions accept."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.int8] | NDArray[np.uint8]
ZeroPoint = int | np.integer[Any] | NDArray[np.integer[Any]]
Scale = float | np.floating[Any] | NDArray[np.floating[Any]]
Size1D = int | tuple[int]
Size2D = int | tuple[int, int]
Size3D = int | tuple[int, int, int]
Size = int | tuple[int, ...]
Pair = tuple[int, int]
PaddingName = Literal["valid", "same", "same_lower"]
Padding1D = int | tuple[int] | tuple[Pair] | PaddingName | Literal["causal"]
Padding2D = int | tuple[int, int] | tuple[Pair, Pair] | PaddingName
Padding3D = int | tuple[int, int, int] | tuple[Pair, Pair, Pair] | PaddingName
Padding = Padding1D | Padding2D | Padding3D
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
DType = Literal["float32", "float64", "float16", "bfloat16"]
Layout1D = Literal["NCW", "NWC"]
Layout2D = Literal["NCHW", "NHWC"]
Layout3D = Literal["NCDHW", "NDHWC"]
Layout = Layout1D | Layout2D | Layout3D
AnyArray = NDArray[Any]
OutputSize1D = int | None | tuple[int | None]
OutputSize2D = int | None | tuple[int | None, int | None]
OutputSize3D = int | None | tuple[int | None, int | None, int | None]
PoolPadding1D = int | tuple[int] | tuple[Pair] | PaddingName
Convention = Literal["torch", "onnx", "tf"]
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
