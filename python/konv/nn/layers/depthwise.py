"""Depthwise and separable convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import initializers, regularizers
from ..activations import describe_activation
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..variable import Attributes, Shape, Variable
from .arguments import activation_name, channels_last, one_of, positive_int, sizes
from .base import Layer, check_rank, known_channels


class DepthwiseConv2D(Layer):
    """A 2-D convolution of each channel by itself, with bias and activation.

    Parameters
    ----------
    kernel_size : int or pair of int
        Height and width of the kernels.
    strides : int or pair of int
        Steps between windows.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) pixels, the odd one padded at the end.
    depth_multiplier : int
        Number of outputs of each channel.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or pair of int
        Distance of kernel elements.
    activation : str, optional
        A name that `Activation` takes; None is "linear".
    use_bias : bool
        Whether to add a bias.
    depthwise_initializer, bias_initializer : str or callable
        How weights start.
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, new height, new width, channels * depth_multiplier), the
    outputs of a channel side by side; kernel (kernel height, kernel width, channels, depth_multiplier).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.DepthwiseConv2D(3, padding="same")
    >>> layer(np.zeros((1, 8, 8, 16), np.float32)).shape, layer.count_params()
    ((1, 8, 8, 16), 160)
    """

    kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | AnyInitializer = "glorot_uniform",
        bias_initializer: str | AnyInitializer = "zeros",
        depthwise_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = sizes(kernel_size, "kernel_size", 2)
        self.strides = sizes(strides, "strides", 2)
        self.padding = one_of(padding, "padding", ("valid", "same"))
        self.depth_multiplier = positive_int(depth_multiplier, "depth_multiplier")
        self.data_format = channels_last(data_format)
        self.dilation_rate = sizes(dilation_rate, "dilation_rate", 2)
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer, "depthwise_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")

    def make_weights(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        check_rank(self, input_shape, 4)
        channels = known_channels(self, input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self.add_weight(
            "kernel", shape, self.depthwise_initializer, regularizer=self.depthwise_regularizer
        )
        if self.use_bias:
            outputs = channels * self.depth_multiplier
            self.bias = self.add_weight("bias", (outputs,), self.bias_initializer, regularizer=self.bias_regularizer)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node, and one more for an activation."""
        check_rank(self, graph.values[inputs[0]].shape, 4)
        attributes = {"stride": self.strides, "padding": self.padding, "dilation": self.dilation_rate}
        y = graph.add_node("depthwise_conv", inputs, attributes, self.weights, self.name)
        return [describe_activation(graph, y, self.activation, self.name)]


class SeparableConv2D(Layer):
    """A depthwise 2-D convolution and a 1x1 convolution of its outputs, with bias and activation.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or pair of int
        Height and width of the depthwise kernels.
    strides : int or pair of int
        Steps between windows.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) pixels, the odd one padded at the end.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or pair of int
        Distance of kernel elements.
    depth_multiplier : int
        Number of depthwise outputs of each channel.
    activation : str, optional
        A name that `Activation` takes; None is "linear".
    use_bias : bool
        Whether to add a bias after the 1x1 convolution; the depthwise one has none.
    depthwise_initializer, pointwise_initializer, bias_initializer : str or callable
        How weights start.
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, new height, new width, filters); kernels
    (kernel height, kernel width, channels, depth_multiplier) and (1, 1, channels * depth_multiplier, filters).

    References
    ----------
    Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.SeparableConv2D(32, 3)
    >>> layer(np.zeros((1, 8, 8, 16), np.float32)).shape, layer.count_params()
    ((1, 6, 6, 32), 688)
    """

    depthwise_kernel: Variable
    pointwise_kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        depth_multiplier: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: str | AnyInitializer = "glorot_uniform",
        pointwise_initializer: str | AnyInitializer = "glorot_uniform",
        bias_initializer: str | AnyInitializer = "zeros",
        depthwise_regularizer: str | Regularizer | None = None,
        pointwise_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = positive_int(filters, "filters")
        self.kernel_size = sizes(kernel_size, "kernel_size", 2)
        self.strides = sizes(strides, "strides", 2)
        self.padding = one_of(padding, "padding", ("valid", "same"))
        self.data_format = channels_last(data_format)
        self.dilation_rate = sizes(dilation_rate, "dilation_rate", 2)
        self.depth_multiplier = positive_int(depth_multiplier, "depth_multiplier")
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.depthwise_initializer = initializers.get(depthwise_initializer)
        self.pointwise_initializer = initializers.get(pointwise_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.depthwise_regularizer = regularizers.get(depthwise_regularizer, "depthwise_regularizer")
        self.pointwise_regularizer = regularizers.get(pointwise_regularizer, "pointwise_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")

    def make_weights(self, input_shape: Shape) -> None:
        """Make both kernels and the bias."""
        check_rank(self, input_shape, 4)
        channels = known_channels(self, input_shape)
        self.depthwise_kernel = self.add_weight(
            "depthwise_kernel",
            (*self.kernel_size, channels, self.depth_multiplier),
            self.depthwise_initializer,
            regularizer=self.depthwise_regularizer,
        )
        self.pointwise_kernel = self.add_weight(
            "pointwise_kernel",
            (1, 1, channels * self.depth_multiplier, self.filters),
            self.pointwise_initializer,
            regularizer=self.pointwise_regularizer,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", (self.filters,), self.bias_initializer, regularizer=self.bias_regularizer
            )

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """Two nodes, and one more for an activation."""
        check_rank(self, graph.values[inputs[0]].shape, 4)
        depthwise, *pointwise = self.weights
        attributes = {"stride": self.strides, "padding": self.padding, "dilation": self.dilation_rate}
        y = graph.add_node("depthwise_conv", inputs, attributes, [depthwise], self.name)
        plain: Attributes = {"stride": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1}
        y = graph.add_node("conv", [y], plain, pointwise, self.name)
        return [describe_activation(graph, y, self.activation, self.name)]
