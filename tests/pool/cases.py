"""Pooling problems as the tests state them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests import reference
from tests.cases import channels_last
from tests.reference import Array, Pair


@dataclass(frozen=True)
class Pool:
    """One pooling of an (n, c, *size) input; `max_only` options are left out for averages."""

    shape: tuple[int, int, int, int]
    kernel: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False

    def __str__(self) -> str:
        parts = ["x".join(map(str, self.shape)), f"k{self.kernel}", f"s{self.stride}"]
        parts += [f"p{self.padding}", f"d{self.dilation}", "ceil" if self.ceil_mode else "floor"]
        return "-".join(parts).replace(" ", "")

    @property
    def options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}

    @property
    def kernel_pair(self) -> Pair:
        return reference.pair(self.kernel)

    @property
    def window(self) -> int:
        return self.kernel_pair[0] * self.kernel_pair[1]

    def data(self, dtype: str = "float32", seed: int = 0) -> Array:
        """Few distinct values, so that windows hold ties."""
        rng = np.random.default_rng(seed)
        return rng.integers(-8, 9, self.shape).astype(dtype) / 4

    def gradient(self, out_shape: tuple[int, ...], dtype: str = "float32") -> Array:
        return np.random.default_rng(1).standard_normal(out_shape).astype(dtype)


POOLS = (
    Pool((2, 3, 8, 8), 2),
    Pool((1, 19, 13, 15), 2),
    Pool((1, 64, 14, 14), 2),
    Pool((2, 5, 9, 11), 3, 2, 1),
    Pool((1, 17, 12, 12), 3, 1, 1),
    Pool((1, 4, 10, 13), (3, 2), (2, 3), (1, 0)),
    Pool((2, 3, 9, 9), 2, 2, 0, 1, True),
    Pool((1, 7, 10, 11), 3, 2, 1, 1, True),
    Pool((1, 3, 7, 7), 3, 3, 1, 1, True),
    Pool((1, 2, 5, 5), 5),
    Pool((1, 3, 6, 6), 1, 2),
    Pool((1, 1, 1, 33), (1, 4), (1, 1)),
    Pool((2, 2, 33, 1), (2, 1), (2, 1)),
    Pool((1, 35, 6, 7), 2, 1),
    Pool((1, 6, 40, 70), 3, 2, 1),
)
DILATED = (
    Pool((1, 5, 12, 13), 3, 1, 1, 2),
    Pool((2, 3, 12, 12), 2, 2, 1, (3, 1)),
    Pool((1, 4, 11, 11), 3, 2, 1, 2, True),
)


def arranged(x: Array, layout: str) -> tuple[Array, dict[str, Any]]:
    """The array and keywords that call konv in `layout`; see tests/cases.py for the names."""
    if layout == "NHWC":
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)), {"layout": "NHWC"}
    return (channels_last(x) if layout == "NCHW-last" else x), {}


def channels_first(x: Array, layout: str) -> Array:
    return x.transpose(0, 3, 1, 2) if layout == "NHWC" else x
