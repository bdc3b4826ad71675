"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import initializers, regularizers
from ..activations import describe_activation
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..variable import Shape, Variable
from .arguments import activation_name, channels_last, one_of, positive_int, sizes
from .base import Layer, check_rank, known_channels


class _Convolution(Layer):
    """Convolutions over `rank` axes between the batch and the channels."""

    rank: int
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
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
        self.padding = one_of(padding, "padding", self.paddings)
        self.data_format = channels_last(data_format)
        self.dilation_rate = sizes(dilation_rate, "dilation_rate", self.rank)
        self.groups = positive_int(groups, "groups")
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups={groups}, got {filters}")

    def make_weights(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        check_rank(self, input_shape, self.rank + 2)
        channels = known_channels(self, input_shape)
        if channels % self.groups:
            raise ValueError(
                f"channels of the input of layer {self.name!r} must be a multiple of groups={self.groups}, "
                f"got shape {input_shape}"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
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
            "dilation": self.dilation_rate,
            "groups": self.groups,
        }
        y = graph.add_node("conv", inputs, attributes, self.weights, self.name)
        return [describe_activation(graph, y, self.activation, self.name)]


class Conv1D(_Convolution):
    """A 1-D convolution of signals (the kernel is not flipped) with bias and activation.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int
        Length of the kernel.
    strides : int
        Steps between windows.
    padding : {"valid", "same", "causal"}
        "same" keeps ceil(length / stride) steps, the odd one padded at the end; "causal" pads at the beginning
        alone, so that no output depends on later inputs.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int
        Distance of kernel elements.
    groups : int
        Divides the input's channels and `filters`.
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
    kernel (kernel length, channels / groups, filters).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv1D(8, 3, padding="causal")
    >>> layer(np.zeros((1, 20, 4), np.float32)).shape, layer.count_params()
    ((1, 20, 8), 104)
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(_Convolution):
    """A 2-D convolution of images (the kernel is not flipped) with bias and activation.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or pair of int
        Height and width of the kernel.
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
    kernel (kernel height, kernel width, channels / groups, filters).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv2D(64, 3, activation="relu")
    >>> layer(np.zeros((1, 28, 28, 1), np.float32)).shape, layer.count_params()
    ((1, 26, 26, 64), 640)
    """

    rank = 2


class Conv3D(_Convolution):
    """A 3-D convolution of volumes (the kernel is not flipped) with bias and activation.

    Parameters
    ----------
    filters : int
        Number of output channels.
    kernel_size : int or triple of int
        Depth, height and width of the kernel.
    strides : int or triple of int
        Steps between windows.
    padding : {"valid", "same"}
        "same" keeps ceil(size / stride) voxels, the odd one padded at the end.
    data_format : {"channels_last"}, optional
        Only this one.
    dilation_rate : int or triple of int
        Distance of kernel elements.
    groups : int
        Divides the input's channels and `filters`.
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
    kernel (kernel depth, height and width, channels / groups, filters).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Conv3D(4, 3)
    >>> layer(np.zeros((1, 5, 6, 7, 2), np.float32)).shape, layer.count_params()
    ((1, 3, 4, 5, 4), 220)
    """

    rank = 3
