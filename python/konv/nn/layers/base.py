"""What all layers have in common."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..._graph.target import target_of
from ...cuda._arrays import on_device
from ...cuda._target import device_of, shape_and_dtype
from ..execution import Executor
from ..graph import Graph
from ..initializers import AnyInitializer
from ..regularizers import Regularizer
from ..serialization import Config, CustomObjects, arguments_of, revived
from ..symbolic import LayerCall, SymbolicTensor
from ..variable import Array, Shape, Variable

_names: Counter[str] = Counter()
_budget: ContextVar[list[int] | None] = ContextVar("budget", default=None)
Self = TypeVar("Self", bound="Layer")


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


@contextmanager
def blank_weights(limit: int) -> Iterator[None]:
    """Within, layers make weights of zeros, up to `limit` scalars in all, for a reader who fills them in."""
    token = _budget.set([limit])
    try:
        yield
    finally:
        _budget.reset(token)


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` if layers can compute in it."""
    found = np.dtype(dtype)
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {found}")
    return found


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

    Notes
    -----
    A subclass writes `describe`, and `make_weights` where it has any. Kept as attributes of the same names, the
    arguments of its constructor are what `get_config` returns.
    """

    takes_several = False  # whether the layer is called on a list

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
        self.given_input_shape = None if input_shape is None else tuple(input_shape)
        self.calls: list[LayerCall] = []
        self._variables: list[Variable] = []
        self._statistics: list[Variable] = []
        self._trainable = bool(trainable)

    # What a layer defines.

    def make_weights(self, input_shape: Shape) -> None:  # noqa: B027  (most layers have none)
        """Make the variables for a first input of this shape, batch included."""

    @abstractmethod
    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """Add the layer's nodes, which read the values `inputs`; returns the values they end in."""

    # What all layers do.

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for a first input of this shape, batch included; a layer is built once."""
        if not self.built:
            if self.dtype is None:
                self.dtype = np.dtype(np.float32)
            self.make_weights(tuple(input_shape))
            self.built = True

    def add_to(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """Build the layer where need be, and add it to a graph behind the values `inputs`."""
        if len(inputs) != 1 and not self.takes_several:
            raise ValueError(f"layer {self.name!r} takes one input, got {len(inputs)}")
        for value in (graph.values[i] for i in inputs):
            if self.dtype is None:
                self.dtype = value.dtype
            elif self.dtype != value.dtype:
                raise ValueError(f"layer {self.name!r} computes in {self.dtype}, but its input is {value.dtype}")
        if inputs:
            self.build(graph.values[inputs[0]].shape)
        return self.describe(graph, inputs)

    def __call__(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the layer; builds it on first use.

        Parameters
        ----------
        inputs : array_like or SymbolicTensor, or a list of them
            Batch first; a list for a layer with several inputs. Arrays give arrays, on a CUDA device where they are
            there; an `Input`, or what layers made of one, gives a symbolic tensor.
        training : bool, optional
            Whether arrays pass as in training: dropout drops, and statistics move. False by default.

        Returns
        -------
        ndarray or SymbolicTensor, or a list of them
            A list where the layer has several outputs.
        """
        parts = list(inputs) if self._are_several(inputs) else [inputs]
        symbols = [part for part in parts if isinstance(part, SymbolicTensor)]
        if not symbols:
            return self.call_on_arrays(parts, training=bool(training))
        if len(symbols) != len(parts):
            raise TypeError(f"inputs of layer {self.name!r} must be all arrays or all symbolic tensors")
        if training is not None:
            raise ValueError(
                f"training must be left out where layer {self.name!r} is called on symbolic tensors, got {training}: "
                "a model says it when it runs, and trainable=False freezes a layer"
            )
        return self._packed(self._call_on_symbols(symbols))

    def call_on_arrays(self, inputs: Sequence[ArrayLike], training: bool = False) -> Any:
        """Return the outputs for arrays, one each for an input."""
        graph, arrays, numbers = Graph(), [], []
        for given in inputs:
            x: Any = given
            if not on_device(x):
                x = np.asarray(given)
                x = np.ascontiguousarray(x, self.dtype or (x.dtype if x.dtype.kind == "f" else np.float32))
            arrays.append(x)
            shape, dtype = shape_and_dtype(x)
            numbers.append(graph.add_input((None, *shape[1:]), float_dtype(dtype)))
        graph.outputs = self.add_to(graph, numbers)
        executor = Executor(graph, target=target_of(device_of(arrays, None)))
        return self._packed(executor.run(arrays, training=training))

    def _call_on_symbols(self, inputs: list[SymbolicTensor]) -> list[SymbolicTensor]:
        graph = Graph()
        values = self.add_to(graph, [graph.add_input(x.shape, x.dtype) for x in inputs])
        outputs = [SymbolicTensor(graph.values[i].shape, graph.values[i].dtype, self.name) for i in values]
        call = LayerCall(self, inputs, outputs)
        for output in outputs:
            output.call = call
        self.calls.append(call)
        return outputs

    def _packed(self, outputs: list[Any]) -> Any:
        """Return the outputs as a caller gets them: a layer's only one by itself."""
        return outputs[0] if len(outputs) == 1 else outputs

    def _are_several(self, inputs: Any) -> bool:
        if not isinstance(inputs, (list, tuple)):
            return False
        return self.takes_several or any(isinstance(part, SymbolicTensor) for part in inputs)

    def compute_output_shape(self, input_shape: Sequence[Any]) -> Any:
        """Return the shape that an input of `input_shape`, batch included, leads to; lists of shapes for several."""
        several = bool(input_shape) and isinstance(input_shape[0], (list, tuple))
        shapes = [tuple(shape) for shape in (input_shape if several else [input_shape])]
        graph = Graph()
        values = self.add_to(graph, [graph.add_input(shape, self.dtype or np.float32) for shape in shapes])
        return self._packed([graph.values[i].shape for i in values])

    def add_weight(
        self,
        name: str,
        shape: Sequence[int],
        initializer: AnyInitializer,
        *,
        trainable: bool = True,
        regularizer: Regularizer | None = None,
    ) -> Variable:
        """Make a variable that belongs to the layer; one that is not trainable holds statistics."""
        variable = Variable(self._initial(name, tuple(shape), initializer), name, regularizer=regularizer)
        self._variables.append(variable)
        if not trainable:
            self._statistics.append(variable)
        self._mark()
        return variable

    def _initial(self, name: str, shape: tuple[int, ...], initializer: AnyInitializer) -> Array:
        left = _budget.get()
        if left is not None:
            left[0] -= prod(shape)
            if left[0] < 0:
                raise ValueError(f"{self.name}/{name} of shape {shape} is larger than the weights that are there")
            return np.zeros(shape, self.dtype)
        value = np.ascontiguousarray(initializer(shape, dtype=self.dtype or np.float32))
        if value.shape != shape:
            raise ValueError(f"initializer of {self.name}/{name} must return shape {shape}, got {value.shape}")
        return value

    @property
    def weights(self) -> list[Variable]:
        """All variables, in Keras's order."""
        return list(self._variables)

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; a change counts from the next compile on."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self._mark()

    def _mark(self) -> None:
        for variable in self._variables:
            is_statistic = variable in self._statistics
            variable.trainable = self._trainable and not is_statistic
            variable.updated = self._trainable and is_statistic

    @property
    def trainable_weights(self) -> list[Variable]:
        """The variables that training changes by their gradients."""
        return [variable for variable in self.weights if variable.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The other variables: those of frozen layers, and moving statistics."""
        return [variable for variable in self.weights if not variable.trainable]

    @property
    def input(self) -> Any:
        """The symbolic tensor, or the list of them, that the layer was first called on."""
        inputs = self._first_call().inputs
        return inputs if self.takes_several else inputs[0]

    @property
    def output(self) -> Any:
        """The symbolic tensor, or the list of them, that the layer's first call gave."""
        return self._packed(self._first_call().outputs)

    def _first_call(self) -> LayerCall:
        if not self.calls:
            raise ValueError(f"layer {self.name!r} has no input or output yet: call it on an Input, or in a model")
        return self.calls[0]

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
        variables = self.weights
        arrays = [np.asarray(weight) for weight in weights]
        found, expected = [a.shape for a in arrays], [v.shape for v in variables]
        if found != expected:
            raise ValueError(f"weights of {self.name!r} must have the shapes {expected}, got {found}")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def get_config(self) -> Config:
        """Return the arguments that make such a layer, as plain data; `from_config` takes them."""
        dtype = None if self.dtype is None else self.dtype.name
        own = arguments_of(self, without=inspect.signature(Layer.__init__).parameters)
        return {"name": self.name, "trainable": self._trainable, "dtype": dtype, **own}

    @classmethod
    def from_config(cls: type[Self], config: Config, custom_objects: CustomObjects | None = None) -> Self:
        """Make a layer from what `get_config` returned.

        Parameters
        ----------
        config : dict
            The arguments.
        custom_objects : mapping of str to type or function, optional
            What the config names that is not konv's.
        """
        return cls(**revived(config, custom_objects))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def check_rank(layer: Layer, input_shape: Shape, rank: int) -> None:
    """Refuse an input of another rank, in Keras's words."""
    if len(input_shape) != rank:
        raise ValueError(
            f"layer {layer.name!r} expects an input of {rank} dimensions (batch first), "
            f"got {len(input_shape)}: shape {input_shape}"
        )


def known_channels(layer: Layer, input_shape: Shape) -> int:
    """Return the size of the last axis, which weights depend on."""
    channels = input_shape[-1] if len(input_shape) > 1 else None
    if channels is None:
        raise ValueError(
            f"layer {layer.name!r} expects (batch, ..., channels) with a known number of channels, got {input_shape}"
        )
    return channels
