"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import initializers
from ..graph import Graph
from ..initializers import Initializer
from ..variable import Shape, Variable
from .arguments import (
    activation_name,
    channels_last,
    describe_activation,
    one_of,
    pair,
    positive_int,
)
from .base import Layer, check_rank


class Conv2D(Layer):
    """A 2-D convolution (the kernel is not flipped) with bias and activation.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or pair of int
        Height and width.
    strides : int or pair of int
        Steps between windows.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) pixels, the odd one padded at the end.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or pair of int
        Distance of kernel elements.
    groups : int
        Divides the input's channels and `filters`.
    activation : {"linear", "relu", "sigmoid", "softmax", "tanh"}, optional
        None is "linear".
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or callable
        How weights start.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, new height, new width, filters); kernel
    (kernel height, kernel width, channels / groups, filters).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv2D(64, 3, activation="relu")
    >>> layer(np.zeros((1, 28, 28, 1), np.float32)).shape, layer.count_params()
    ((1, 26, 26, 64), 640)
    """

    kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        channels_last(data_format)
        self.filters = positive_int(filters, "filters")
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.strides = pair(strides, "strides")
        self.padding = one_of(padding, "padding", ("valid", "same"))
        self.dilation_rate = pair(dilation_rate, "dilation_rate")
        self.groups = positive_int(groups, "groups")
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups={groups}, got {filters}")

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        check_rank(self, input_shape, 4)
        channels = input_shape[3]
        if channels is None or channels % self.groups:
            raise ValueError(
                f"channels of the input of layer {self.name!r} must be known and a multiple of "
                f"groups={self.groups}, got shape {input_shape}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.filters,), self.bias_initializer)

    def describe(self, graph: Graph, x: int) -> int:
        """One node, and one more for an activation other than relu."""
        check_rank(self, graph.values[x].shape, 4)
        fused = "relu" if self.activation == "relu" else None
        attributes = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation_rate,
            "groups": self.groups,
            "activation": fused,
        }
        y = graph.add_node("conv2d", [x], attributes, self.weights, self.name)
        return y if fused else describe_activation(graph, y, self.activation, self.name)
