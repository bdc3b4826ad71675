"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import Graph
from .arguments import channels_last, one_of, sizes
from .base import Layer, check_rank


class _Pooling(Layer):
    """Windows over `rank` axes between the batch and the channels."""

    op: str
    rank: int

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = sizes(pool_size, "pool_size", self.rank)
        self.strides = self.pool_size if strides is None else sizes(strides, "strides", self.rank)
        self.padding = one_of(padding, "padding", ("valid", "same"))
        self.data_format = channels_last(data_format)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        check_rank(self, graph.values[inputs[0]].shape, self.rank + 2)
        attributes = {"kernel_size": self.pool_size, "stride": self.strides, "padding": self.padding}
        return [graph.add_node(self.op, inputs, attributes, name=self.name)]


class _GlobalPooling(Layer):
    """One window over `rank` axes between the batch and the channels."""

    op: str
    rank: int

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = channels_last(data_format)
        self.keepdims = bool(keepdims)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        check_rank(self, graph.values[inputs[0]].shape, self.rank + 2)
        return [graph.add_node(self.op, inputs, {"keepdims": self.keepdims}, name=self.name)]


class MaxPooling1D(_Pooling):
    """The largest value of each window of a signal.

    Parameters
    ----------
    pool_size : int
        Length of the window.
    strides : int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(length / stride) steps; what is padded never wins.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.MaxPooling1D()(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([1., 3.])
    """

    op, rank = "max_pool", 1


class MaxPooling2D(_Pooling):
    """The largest value of each window of an image.

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

    op, rank = "max_pool", 2


class MaxPooling3D(_Pooling):
    """The largest value of each window of a volume.

    Parameters
    ----------
    pool_size : int or triple of int
        Depth, height and width of the window.
    strides : int or triple of int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) voxels; what is padded never wins.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.MaxPooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).item()
    7.0
    """

    op, rank = "max_pool", 3


class AveragePooling1D(_Pooling):
    """The mean of each window of a signal.

    Parameters
    ----------
    pool_size : int
        Length of the window.
    strides : int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(length / stride) steps; what is padded does not count.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.AveragePooling1D()(np.arange(4.0).reshape(1, 4, 1)).ravel()
    array([0.5, 2.5])
    """

    op, rank = "avg_pool", 1


class AveragePooling2D(_Pooling):
    """The mean of each window of an image.

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

    op, rank = "avg_pool", 2


class AveragePooling3D(_Pooling):
    """The mean of each window of a volume.

    Parameters
    ----------
    pool_size : int or triple of int
        Depth, height and width of the window.
    strides : int or triple of int, optional
        Steps between windows; by default `pool_size`.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) voxels; what is padded does not count.
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.AveragePooling3D()(np.arange(8.0).reshape(1, 2, 2, 2, 1)).item()
    3.5
    """

    op, rank = "avg_pool", 3


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel of a whole signal.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, steps, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalAveragePooling1D()(np.arange(4.0).reshape(1, 4, 1))
    array([[1.5]])
    """

    op, rank = "global_avg_pool", 1


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel of a whole image.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalAveragePooling2D()(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[1.5]])
    """

    op, rank = "global_avg_pool", 2


class GlobalAveragePooling3D(_GlobalPooling):
    """The mean of each channel of a whole volume.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, depth, height, width, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalAveragePooling3D()(np.arange(4.0).reshape(1, 2, 2, 1, 1))
    array([[1.5]])
    """

    op, rank = "global_avg_pool", 3


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest value of each channel of a whole signal.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, steps, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalMaxPooling1D()(np.arange(4.0).reshape(1, 4, 1))
    array([[3.]])
    """

    op, rank = "global_max_pool", 1


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel of a whole image.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalMaxPooling2D()(np.arange(4.0).reshape(1, 2, 2, 1))
    array([[3.]])
    """

    op, rank = "global_max_pool", 2


class GlobalMaxPooling3D(_GlobalPooling):
    """The largest value of each channel of a whole volume.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    keepdims : bool
        Whether to keep the axes, with size 1.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, depth, height, width, channels), output (batch, channels).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.GlobalMaxPooling3D()(np.arange(4.0).reshape(1, 2, 2, 1, 1))
    array([[3.]])
    """

    op, rank = "global_max_pool", 3
