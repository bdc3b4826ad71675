"""Pooling problems as the tests state them: windows, data, and how konv is called for them.

Arrays are channels-first here. `layout` says how konv sees them: "first" as they are, "last" as channels-last arrays
with `layout=`, and "memory" in channels-first shapes whose memory is channels-last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

import konv
from tests.pool.reference import Array, Windows

LAYOUTS = ("first", "last", "memory")
FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64", "bool")
NAMES = {1: "NWC", 2: "NHWC", 3: "NDHWC"}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@dataclass(frozen=True)
class Pool:
    """One pooling of an (n, c, *size) input; dilation is left out for averages, all but `parts` where it is given."""

    shape: tuple[int, ...]
    kernel: Any = 1
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False
    parts: Any = None  # the output size of an adaptive pooling

    def __str__(self) -> str:
        parts = ["x".join(map(str, self.shape)), f"k{self.kernel}", f"s{self.stride}"]
        parts += [f"p{self.padding}", f"d{self.dilation}", "ceil" if self.ceil_mode else "floor"]
        if self.parts is not None:
            parts = [parts[0], f"to{self.parts}"]
        return "-".join(parts).replace(" ", "")

    @property
    def dims(self) -> int:
        return len(self.shape) - 2

    @property
    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}

    def windows(self, include: bool = True) -> Windows:
        """The same object each time."""
        return windows_of(self, include)

    @property
    def window(self) -> int:
        """Elements of the largest window."""
        return int(np.prod([max(len(meets) for meets, _ in axis) for axis in self.windows().axes]))

    def function(self, kind: str, module: Any = konv) -> Any:
        name = f"{kind}_pool{self.dims}d"
        return getattr(module, f"adaptive_{name}" if self.parts is not None else name)

    def data(self, dtype: str = "float32", seed: int = 0) -> Array:
        """Few distinct values, so that windows hold ties."""
        rng = np.random.default_rng(seed)
        if dtype in INTEGERS:
            return rng.integers(0 if dtype == "uint8" else -8, 9, self.shape).astype(dtype)
        return (rng.integers(-8, 9, self.shape) / 4).astype(dtype_of(dtype))

    def gradient(self, dtype: str = "float32") -> Array:
        shape = (*self.shape[:2], *self.windows().out)
        return np.random.default_rng(1).standard_normal(shape).astype(dtype_of(dtype))


@cache
def windows_of(pool: Pool, include: bool) -> Windows:
    size = pool.shape[2:]
    if pool.parts is not None:
        return Windows.adaptive(size, pool.parts)
    return Windows.regular(size, pool.kernel, pool.stride, pool.padding, pool.dilation, pool.ceil_mode, include)


POOLS_1D = (
    Pool((2, 3, 16), 2),
    Pool((1, 35, 67), 3, 2, 1),
    Pool((3, 1, 40), 3, 1, 1),
    Pool((1, 5, 100), 4, 3, 2, 1, True),
    Pool((2, 19, 50), 50),
    Pool((1, 2, 90), 70, 1, 3),
    Pool((1, 1, 3000), 2),
    Pool((2, 18, 61), 40, 7),
)
POOLS_2D = (
    Pool((2, 3, 8, 8), 2),
    Pool((1, 19, 13, 15), 2),
    Pool((1, 64, 14, 14), 2),
    Pool((2, 5, 9, 11), 3, 2, 1),
    Pool((1, 17, 12, 12), 3, 1, 1),
    Pool((1, 4, 10, 13), (3, 2), (2, 3), (1, 0)),
    Pool((2, 3, 9, 9), 2, 2, 0, 1, True),
    Pool((1, 7, 10, 11), 3, 2, 1, 1, True),
    Pool((1, 3, 7, 7), 3, 3, 1, 1, True),
    Pool((2, 21, 13, 34), 3, 3, 1),
    Pool((1, 2, 5, 5), 5),
    Pool((2, 33, 7, 7), 7),
    Pool((1, 3, 6, 6), 1, 2),
    Pool((1, 1, 1, 33), (1, 4), (1, 1)),
    Pool((2, 2, 33, 1), (2, 1), (2, 1)),
    Pool((1, 35, 6, 7), 2, 1),
    Pool((1, 6, 40, 70), 3, 2, 1),
    Pool((1, 2, 40, 80), (8, 40), (8, 40)),
    Pool((1, 4, 9, 30), 3, 2, "same"),
    Pool((1, 4, 9, 30), (2, 5), (3, 4), "same_lower"),
    Pool((1, 20, 9, 8), 4, 3, ((2, 0), (1, 2))),
)
POOLS_3D = (
    Pool((2, 3, 4, 6, 8), 2),
    Pool((1, 18, 5, 7, 9), 3, 2, 1),
    Pool((1, 2, 6, 9, 21), 3, 1, 1),
    Pool((1, 3, 5, 6, 7), (2, 3, 1), (1, 2, 3), (1, 1, 0), 1, True),
    Pool((2, 17, 2, 3, 4), (2, 3, 4)),
    Pool((1, 1, 9, 5, 40), (3, 2, 2), 2, (1, 0, 1)),
    Pool((1, 2, 3, 4, 35), (2, 2, 33), (1, 2, 1)),
)
POOLS = (*POOLS_1D, *POOLS_2D, *POOLS_3D)
DILATED = (
    Pool((1, 5, 12, 13), 3, 1, 1, 2),
    Pool((2, 3, 12, 12), 2, 2, 1, (3, 1)),
    Pool((1, 4, 11, 11), 3, 2, 1, 2, True),
    Pool((2, 3, 40), 3, 2, 1, 3),
    Pool((1, 17, 40), 3, 5, 1, 4),
    Pool((1, 2, 7, 8, 9), 2, 1, 1, (2, 1, 3)),
    Pool((1, 2, 5, 6), 2, 1, 1, 6),
)
ADAPTIVE = (
    Pool((2, 3, 10), parts=4),
    Pool((2, 20, 77), parts=2),
    Pool((1, 3, 500), parts=1),
    Pool((2, 5, 8, 8), parts=1),
    Pool((2, 33, 7, 7), parts=1),
    Pool((1, 18, 13, 11), parts=(6, 5)),
    Pool((1, 3, 9, 70), parts=(None, 2)),
    Pool((2, 4, 6, 5), parts=(9, 7)),
    Pool((1, 3, 12, 9), parts=(4, 3)),
    Pool((1, 2, 3, 40), parts=(20, 1)),
    Pool((1, 3, 5, 131), parts=(3, 7)),
    Pool((2, 19, 5, 6, 7), parts=(2, 4, 3)),
    Pool((1, 3, 4, 5, 6), parts=(1, 1, 1)),
    Pool((1, 2, 3, 5, 90), parts=(2, None, 2)),
)


def arranged(x: Array, layout: str) -> tuple[Array, dict[str, Any]]:
    """The array and keywords that call konv in `layout`."""
    if layout == "first":
        return x, {}
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    return (last, {"layout": NAMES[x.ndim - 2]}) if layout == "last" else (np.moveaxis(last, -1, 1), {})


def channels_first(x: Array, layout: str) -> Array:
    return np.moveaxis(x, -1, 1) if layout == "last" else x


def sized(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if layout == "last" else shape
