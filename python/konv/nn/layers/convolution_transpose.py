"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import initializers, regularizers
from ..activations import describe_activation
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..variable import Shape, Variable
from .arguments import activation_name, channels_last, not_negative_int, one_of, positive_int, sizes
from .base import Layer, check_rank, known_channels


class _ConvolutionTranspose(Layer):
    """Transposed convolutions over `rank` axes between the batch and the channels."""

    rank: int
    kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | AnyInitializer = "glorot_uniform",
        bias_initializer: str | AnyInitializer = "zeros",
        kernel_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = positive_int(filters, "filters")
        self.kernel_size = sizes(kernel_size, "kernel_size", self.rank)
        self.strides = sizes(strides, "strides", self.rank)
        self.padding = one_of(padding, "padding", ("valid", "same"))
        self.output_padding = None if output_padding is None else self._output_padding(output_padding)
        self.data_format = channels_last(data_format)
        self.dilation_rate = sizes(dilation_rate, "dilation_rate", self.rank)
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")

    def _output_padding(self, value: int | Sequence[int]) -> tuple[int, ...]:
        given = [value] * self.rank if isinstance(value, int) else list(value)
        found = tuple(not_negative_int(size, "output_padding") for size in given)
        if len(found) != self.rank or any(a >= b for a, b in zip(found, self.strides, strict=True)):
            raise ValueError(f"output_padding must be below strides={self.strides}, got {value}")
        return found

    def make_weights(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        check_rank(self, input_shape, self.rank + 2)
        shape = (*self.kernel_size, self.filters, known_channels(self, input_shape))
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer, regularizer=self.kernel_regularizer)
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", (self.filters,), self.bias_initializer, regularizer=self.bias_regularizer
            )

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node, and one more for an activation."""
        check_rank(self, graph.values[inputs[0]].shape, self.rank + 2)
        attributes = {
            "stride": self.strides,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation_rate,
        }
        y = graph.add_node("conv_transpose", inputs, attributes, self.weights, self.name)
        return [describe_activation(graph, y, self.activation, self.name)]


class Conv1DTranspose(_ConvolutionTranspose):
    """A transposed 1-D convolution of signals: the gradient of a convolution, as a layer that enlarges.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int
        Length of the kernel.
    strides : int
        Steps between windows, by which the output is larger.
    padding : {"valid", "same"}
        "same" gives size * stride.
    output_padding : int, optional
        How much longer than the least the output is, below `strides`; None gives Keras's length.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int
        Distance of kernel elements.
    activation : str, optional
        A name that `Activation` takes; None is "linear".
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or callable
        How weights start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Input (batch, steps, channels), output (batch, new steps, filters);
    kernel (kernel length, filters, channels). Lengths are Keras's: size * stride for "same",
    and (size - 1) * stride + max(kernel, stride) for "valid".

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv1DTranspose(3, 2, strides=2)
    >>> layer(np.zeros((1, 4, 2), np.float32)).shape, layer.count_params()
    ((1, 8, 3), 15)
    """

    rank = 1


class Conv2DTranspose(_ConvolutionTranspose):
    """A transposed 2-D convolution of images: the gradient of a convolution, as a layer that enlarges.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or pair of int
        Height and width of the kernel.
    strides : int or pair of int
        Steps between windows, by which the output is larger.
    padding : {"valid", "same"}
        "same" gives size * stride.
    output_padding : int or pair of int, optional
        How much longer than the least the output is, below `strides`; None gives Keras's length.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or pair of int
        Distance of kernel elements.
    activation : str, optional
        A name that `Activation` takes; None is "linear".
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or callable
        How weights start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Input (batch, height, width, channels), output (batch, new height, new width, filters);
    kernel (kernel height, kernel width, filters, channels). Lengths are Keras's: size * stride for "same",
    and (size - 1) * stride + max(kernel, stride) for "valid".

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv2DTranspose(3, 2, strides=2)
    >>> layer(np.zeros((1, 4, 5, 2), np.float32)).shape, layer.count_params()
    ((1, 8, 10, 3), 27)
    """

    rank = 2


class Conv3DTranspose(_ConvolutionTranspose):
    """A transposed 3-D convolution of volumes: the gradient of a convolution, as a layer that enlarges.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or triple of int
        Depth, height and width of the kernel.
    strides : int or triple of int
        Steps between windows, by which the output is larger.
    padding : {"valid", "same"}
        "same" gives size * stride.
    output_padding : int or triple of int, optional
        How much longer than the least the output is, below `strides`; None gives Keras's length.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or triple of int
        Distance of kernel elements.
    activation : str, optional
        A name that `Activation` takes; None is "linear".
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or callable
        How weights start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights.
    **kwargs
        `name`, `dtype`, `trainable`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    Input (batch, depth, height, width, channels), output (batch, new depth, new height, new width, filters);
    kernel (kernel depth, height and width, filters, channels). Lengths are Keras's: size * stride for "same",
    and (size - 1) * stride + max(kernel, stride) for "valid".

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv3DTranspose(3, 2, strides=2)
    >>> layer(np.zeros((1, 2, 3, 4, 2), np.float32)).shape, layer.count_params()
    ((1, 4, 6, 8, 3), 51)
    """

    rank = 3
