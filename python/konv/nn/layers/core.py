"""Dense layers, and those that only rearrange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import initializers
from ..graph import Graph
from ..initializers import Initializer
from ..variable import Shape, Variable
from .arguments import activation_name, channels_last, describe_activation, positive_int
from .base import Layer, SymbolicTensor, float_dtype, unique_name


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None],
    batch_size: int | None = None,
    dtype: DTypeLike = np.float32,
    name: str | None = None,
) -> SymbolicTensor:
    """Declare what a model takes.

    Parameters
    ----------
    shape : sequence of int or None
        Without the batch; channels last. None leaves a size open.
    batch_size : int, optional
        A fixed batch, shown by `summary`.
    dtype : {"float32", "float64"}
        What the model computes in. Arrays of other types are converted batch by batch.
    name : str, optional
        Only for display.

    Examples
    --------
    >>> from konv import nn
    >>> nn.Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    if isinstance(shape, (int, str)):
        raise TypeError(f"shape must be a tuple without the batch, got {shape!r}")
    sizes = tuple(None if size is None else positive_int(size, "shape") for size in shape)
    batch = None if batch_size is None else positive_int(batch_size, "batch_size")
    return SymbolicTensor((batch, *sizes), float_dtype(dtype), name or unique_name("InputLayer"))


class Dense(Layer):
    """A matrix product with the last axis, plus bias and activation.

    Parameters
    ----------
    units : int
        Number of outputs.
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
    Input (batch, ..., features), output (batch, ..., units); kernel (features, units).

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> layer = nn.Dense(3, activation="relu")
    >>> layer(np.ones((2, 5), np.float32)).shape, layer.count_params()
    ((2, 3), 18)
    """

    kernel: Variable
    bias: Variable | None = None

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: str | Initializer = "glorot_uniform",
        bias_initializer: str | Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_int(units, "units")
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"layer {self.name!r} expects (batch, ..., features) with a known number of "
                f"features, got shape {input_shape}"
            )
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.bias_initializer)

    def describe(self, graph: Graph, x: int) -> int:
        """One node, and one more for an activation other than relu."""
        fused = "relu" if self.activation == "relu" else None
        y = graph.add_node("dense", [x], {"activation": fused}, self.weights, self.name)
        return y if fused else describe_activation(graph, y, self.activation, self.name)


class Flatten(Layer):
    """Make one axis of all but the batch.

    Parameters
    ----------
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Flatten()(np.zeros((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels_last(data_format)

    def describe(self, graph: Graph, x: int) -> int:
        """One node."""
        return graph.add_node("flatten", [x], name=self.name)
