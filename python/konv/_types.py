"""Names for what the public functions accept."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
ByteArray = NDArray[np.int8] | NDArray[np.uint8]
ZeroPoint = int | np.integer[Any] | NDArray[np.integer[Any]]
Scale = float | np.floating[Any] | NDArray[np.floating[Any]]
Size2D = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | Literal["valid", "same", "same_lower"]
AnySize = int | tuple[int, ...]
AnyPadding = AnySize | tuple[tuple[int, int], ...] | Literal["valid", "same", "same_lower"]
DType = Literal["float32", "float64"]
Layout1D = Literal["NCW", "NWC"]
Layout2D = Literal["NCHW", "NHWC"]
Layout3D = Literal["NCDHW", "NDHWC"]
AnyLayout = Layout1D | Layout2D | Layout3D
ActivationName = Literal["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish"]
Activation = ActivationName | tuple[Literal["leaky_relu"], float]
