"""Dense layers, inputs, and layers that only rearrange or rescale."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import initializers, regularizers
from ..activations import describe_activation
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..symbolic import SymbolicTensor
from ..variable import Shape, Variable
from .arguments import activation_name, channels_last, not_negative_int, number, one_of, positive_int, sizes
from .base import Layer, check_rank, float_dtype, known_channels, unique_name


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
        "input_layer", with a number, by default.

    Raises
    ------
    TypeError, ValueError
        If a size is no positive integer, or `dtype` another one.

    Examples
    --------
    >>> from konv import nn
    >>> nn.Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    if isinstance(shape, (int, str)):
        raise TypeError(f"shape must be a tuple without the batch, got {shape!r}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    inner = tuple(None if size is None else positive_int(size, "shape") for size in shape)
    batch = None if batch_size is None else positive_int(batch_size, "batch_size")
    return SymbolicTensor((batch, *inner), float_dtype(dtype), name or unique_name("InputLayer"))


class Dense(Layer):
    """A matrix product with the last axis, plus bias and activation.

    Parameters
    ----------
    units : int
        Number of outputs.
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
        kernel_initializer: str | AnyInitializer = "glorot_uniform",
        bias_initializer: str | AnyInitializer = "zeros",
        kernel_regularizer: str | Regularizer | None = None,
        bias_regularizer: str | Regularizer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = positive_int(units, "units")
        self.activation = activation_name(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer, "kernel_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, "bias_regularizer")

    def make_weights(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        shape = (known_channels(self, input_shape), self.units)
        self.kernel = self.add_weight("kernel", shape, self.kernel_initializer, regularizer=self.kernel_regularizer)
        if self.use_bias:
            self.bias = self.add_weight("bias", (self.units,), self.bias_initializer, regularizer=self.bias_regularizer)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node, and one more for an activation."""
        y = graph.add_node("dense", inputs, variables=self.weights, name=self.name)
        return [describe_activation(graph, y, self.activation, self.name)]


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
        self.data_format = channels_last(data_format)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        return [graph.add_node("flatten", inputs, name=self.name)]


class Reshape(Layer):
    """Give the samples another shape of as many elements.

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one size may be -1, which stands for what is left.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If a size is no positive integer, or several are -1.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Reshape((-1, 2))(np.zeros((5, 3, 4))).shape
    (5, 6, 2)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(target_shape, (int, str)):
            raise TypeError(f"target_shape must be a tuple without the batch, got {target_shape!r}")
        self.target_shape = tuple(-1 if size == -1 else positive_int(size, "target_shape") for size in target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"target_shape must have at most one -1, got {self.target_shape}")

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        return [graph.add_node("reshape", inputs, {"shape": self.target_shape}, name=self.name)]


class ZeroPadding2D(Layer):
    """Add rows and columns of zeros around images.

    Parameters
    ----------
    padding : int, pair of int, or pair of pairs
        On all sides; (rows, columns) on both sides each; or ((top, bottom), (left, right)).
    data_format : {"channels_last"}, optional
        Only this one.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If `padding` has another form or is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.ZeroPadding2D(((0, 1), (2, 2)))(np.ones((1, 4, 4, 3))).shape
    (1, 5, 8, 3)
    """

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]] = (1, 1),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = channels_last(data_format)
        self.padding = _margins(padding)

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        check_rank(self, graph.values[inputs[0]].shape, 4)
        return [graph.add_node("zero_padding", inputs, {"padding": self.padding}, name=self.name)]


def _margins(padding: Any) -> tuple[tuple[int, ...], ...]:
    sides = (padding, padding) if isinstance(padding, Integral) else padding
    if not isinstance(sides, (tuple, list)):
        raise TypeError(f"padding must be an integer, a pair, or a pair of pairs, got {padding!r}")
    pairs = [side if isinstance(side, (tuple, list)) else (side, side) for side in sides]
    if [len(pair) for pair in pairs] != [2, 2]:
        raise ValueError(f"padding must be an integer, a pair, or a pair of pairs, got {padding!r}")
    return tuple(tuple(not_negative_int(size, "padding") for size in pair) for pair in pairs)


class UpSampling2D(Layer):
    """Enlarge images by whole factors.

    Parameters
    ----------
    size : int or pair of int
        Factors of height and width.
    data_format : {"channels_last"}, optional
        Only this one.
    interpolation : {"nearest", "bilinear"}
        Repeat pixels, or weigh the four nearest, where pixels' centres lie at halves and borders are repeated.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.UpSampling2D((1, 2))(np.array([1.0, 2.0]).reshape(1, 1, 2, 1)).ravel()
    array([1., 1., 2., 2.])
    """

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = sizes(size, "size", 2)
        self.data_format = channels_last(data_format)
        self.interpolation = one_of(interpolation, "interpolation", ("nearest", "bilinear"))

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        check_rank(self, graph.values[inputs[0]].shape, 4)
        attributes = {"size": self.size, "interpolation": self.interpolation}
        return [graph.add_node("up_sampling", inputs, attributes, name=self.name)]


class Rescaling(Layer):
    """Multiply by a number and add another, as for pixels from 0 to 255.

    Parameters
    ----------
    scale : float
        The factor.
    offset : float
        Added afterwards.
    **kwargs
        `name`, `dtype`, `input_shape`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Rescaling(1 / 255)(np.array([[0.0, 255.0]]))
    array([[0., 1.]])
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = number(scale, "scale")
        self.offset = number(offset, "offset")

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        return [graph.add_node("rescaling", inputs, {"scale": self.scale, "offset": self.offset}, name=self.name)]
