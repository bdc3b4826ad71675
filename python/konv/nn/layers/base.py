"""What all layers have in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..execution import Executor
from ..graph import Graph
from ..initializers import Initializer
from ..variable import Array, Shape, Variable

_names: Counter[str] = Counter()


def unique_name(class_name: str) -> str:
    """Return Keras's automatic name: conv2d, conv2d_1, conv2d_2, ..."""
    snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", class_name)
    snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
    number = _names[snake]
    _names[snake] += 1
    return f"{snake}_{number}" if number else snake


def clear_session() -> None:
    """Start the automatic names of layers and models from the beginning again."""
    _names.clear()


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if layers can compute in it."""
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {found}")
    return found


class SymbolicTensor(NamedTuple):
    """Stands for an array not there yet: a shape, None where a size is unknown, and a dtype."""

    shape: Shape
    dtype: np.dtype[Any]
    name: str


class Layer(ABC):
    """A layer: owns variables and describes itself as nodes of a graph.

    Parameters
    ----------
    name : str, optional
        By default the class's name with a number, as in Keras.
    dtype : {"float32", "float64"}, optional
        What to compute in; by default the dtype of the layer's input.
    trainable : bool
        Whether training changes the layer's weights.
    input_shape : tuple, optional
        For a model's first layer, in place of an `Input`: the shape without the batch.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        input_shape: Sequence[int | None] | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string, got {name!r}")
        self.name = name or unique_name(type(self).__name__)
        self.dtype = None if dtype is None else float_dtype(dtype)
        self.built = False
        self.weights: list[Variable] = []
        self.given_input_shape = None if input_shape is None else tuple(input_shape)
        self.input: SymbolicTensor | None = None
        self.output: SymbolicTensor | None = None
        self._trainable = trainable

    # What a layer defines.

    def build(self, input_shape: Shape) -> None:  # noqa: B027  (most layers have none)
        """Make the variables for inputs of this shape, batch included; a layer without any leaves it out."""

    @abstractmethod
    def describe(self, graph: Graph, x: int) -> int:
        """Add the layer's nodes, which read value `x`; returns the value they end in."""

    # What all layers do.

    def add_to(self, graph: Graph, x: int) -> int:
        """Build the layer where need be, and add it to a graph behind value `x`."""
        value = graph.values[x]
        if self.dtype is None:
            self.dtype = value.dtype
        elif self.dtype != value.dtype:
            raise ValueError(f"layer {self.name!r} computes in {self.dtype}, but its input is {value.dtype}")
        if not self.built:
            self.build(value.shape)
            self.built = True
        y = self.describe(graph, x)
        self.input = SymbolicTensor(value.shape, value.dtype, f"{self.name}_input")
        self.output = SymbolicTensor(graph.values[y].shape, graph.values[y].dtype, self.name)
        return y

    def __call__(self, inputs: ArrayLike, training: bool = False) -> Array:
        """Apply the layer to an array (batch first); builds the layer on first use."""
        if isinstance(inputs, SymbolicTensor):
            raise TypeError(f"inputs of layer {self.name!r} must be an array, got an Input")
        x = np.asarray(inputs)
        x = np.ascontiguousarray(x, self.dtype or (x.dtype if x.dtype.kind == "f" else np.float32))
        graph = Graph()
        number = graph.add_input((None, *x.shape[1:]), float_dtype(x.dtype))
        graph.outputs = [self.add_to(graph, number)]
        y = Executor(graph).forward(x, training)
        return y.copy() if np.may_share_memory(x, y) else y

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> Shape:
        """Return the shape that an input of `input_shape`, batch included, leads to."""
        graph = Graph()
        x = graph.add_input(tuple(input_shape), self.dtype or np.float32)
        return graph.values[self.add_to(graph, x)].shape

    def add_weight(self, name: str, shape: Sequence[int], initializer: Initializer) -> Variable:
        """Make a variable that belongs to the layer."""
        value = np.ascontiguousarray(initializer(tuple(shape), dtype=self.dtype))
        if value.shape != tuple(shape):
            raise ValueError(f"initializer of {self.name}/{name} must return shape {tuple(shape)}, got {value.shape}")
        variable = Variable(value, name, self._trainable)
        self.weights.append(variable)
        return variable

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; a change counts from the next compile on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for variable in self.weights:
            variable.trainable = self._trainable

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes."""
        return [variable for variable in self.weights if variable.trainable]

    def count_params(self) -> int:
        """Return the number of scalars in the weights.

        Raises
        ------
        ValueError
            If the layer is not built yet.
        """
        if not self.built:
            raise ValueError(f"layer {self.name!r} has no weights yet: call it or give the model an Input first")
        return sum(variable.value.size for variable in self.weights)

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras's order and layout."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Copy arrays, as `get_weights` returns them, into the weights.

        Raises
        ------
        ValueError
            If their number or a shape does not fit; nothing is changed then.
        """
        assign_all(f"layer {self.name!r}", self.weights, weights)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def assign_all(owner: str, variables: Sequence[Variable], weights: Sequence[ArrayLike]) -> None:
    """Copy arrays into variables, all or none."""
    arrays = [np.asarray(weight) for weight in weights]
    found, expected = [a.shape for a in arrays], [v.shape for v in variables]
    if found != expected:
        raise ValueError(f"weights of {owner} must have the shapes {expected}, got {found}")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def check_rank(layer: Layer, input_shape: Shape, rank: int) -> None:
    """Refuse an input of another rank, in Keras's words."""
    if len(input_shape) != rank:
        raise ValueError(
            f"layer {layer.name!r} expects an input of {rank} dimensions (batch first), "
            f"got {len(input_shape)}: shape {input_shape}"
        )
