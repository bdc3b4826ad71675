"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import Graph
from .arguments import channels_last, one_of, pair
from .base import Layer, check_rank


class _Pooling2D(Layer):
    op: str

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        channels_last(data_format)
        self.pool_size = pair(pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else pair(strides, "strides")
        self.padding = one_of(padding, "padding", ("valid", "same"))

    def describe(self, graph: Graph, x: int) -> int:
        """One node."""
        check_rank(self, graph.values[x].shape, 4)
        attributes = {
            "kernel_size": self.pool_size,
            "stride": self.strides,
            "padding": self.padding,
        }
        return graph.add_node(self.op, [x], attributes, name=self.name)


class MaxPooling2D(_Pooling2D):
    """The largest value of each window.

    Parameters
    ----------
    pool_size : int or pair of int
        Height and width of the window.
    strides : int or pair of int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) pixels; what is padded never wins.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.MaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).item()
    3.0
    """

    op = "max_pool2d"


class AveragePooling2D(_Pooling2D):
    """The mean of each window.

    Parameters
    ----------
    pool_size : int or pair of int
        Height and width of the window.
    strides : int or pair of int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) pixels; what is padded does not count.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.AveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1)).item()
    1.5
    """

    op = "avg_pool2d"
