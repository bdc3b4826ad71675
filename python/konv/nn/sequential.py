"""A stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .graph import Graph
from .layers import Input, Layer
from .model import Model
from .network import input_config, read_input
from .serialization import Config, CustomObjects, deserialize, serialize
from .symbolic import SymbolicTensor
from .variable import Array


class Sequential(Model):
    """Layers that run one after another.

    Parameters
    ----------
    layers : iterable of Layer, optional
        May begin with an `Input`. Without one (and without `input_shape` of the first layer) the
        model takes its input's shape from the first samples it sees.
    name : str, optional
        "sequential", with a number, by default.

    Examples
    --------
    >>> from konv import nn
    >>> model = nn.Sequential([
    ...     nn.Input((28, 28, 1)),
    ...     nn.Conv2D(64, 3, activation="relu"),
    ...     nn.Flatten(),
    ...     nn.Dense(10, activation="softmax"),
    ... ])
    >>> model.count_params(), model.output_shape
    (433290, (None, 10))
    """

    automatic_name = "Sequential"
    may_be_empty = True

    def __init__(self, layers: Iterable[Layer | SymbolicTensor] | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._stack: list[Layer] = []
        self._tensors: list[SymbolicTensor] = []  # the input and what each layer gives; empty while it is not known
        for layer in layers or ():
            self._append(layer)
        self._connect_stack()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._stack)

    def add(self, layer: Layer | SymbolicTensor) -> None:
        """Add a layer at the end.

        Parameters
        ----------
        layer : Layer
            Or an `Input`, first.

        Raises
        ------
        TypeError, ValueError
            If it is not a layer, its name is taken, or it does not fit the layer before it.
        """
        self._append(layer)
        self._connect_stack()

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self._stack:
            raise ValueError(f"model {self.name!r} has no layers to remove")
        layer = self._stack.pop()
        del self._tensors[len(self._stack) + 1 :]
        self._connect_stack()
        return layer

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make all weights for an input of `input_shape`, batch included."""
        if not self._tensors:
            batch, *sizes = input_shape
            first = self._stack[0] if self._stack else None
            dtype = np.float32 if first is None or first.dtype is None else first.dtype
            tensors = [Input(sizes, batch, dtype)]
            for layer in self._stack:
                tensors.append(layer(tensors[-1]))
            self._tensors = tensors
            self._connect_stack()

    def add_to(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """Add all layers to a graph, built for its values where need be."""
        if not self._tensors and len(inputs) == 1:
            self._require_layers()
            self.build((None, *graph.values[inputs[0]].shape[1:]))
        return super().add_to(graph, inputs)

    def graph_for(self, x: Array) -> Graph:
        """Return the graph, built for samples like `x` if it was not built before."""
        self._require_layers()
        self.build((None, *x.shape[1:]))
        return self._built_graph()

    def get_config(self) -> Config:
        """Return the layers as plain data, which `from_config` takes."""
        return {
            "name": self.name,
            "trainable": self._trainable,
            "input": input_config(self._tensors[0]) if self._tensors else None,
            "layers": [serialize(layer) for layer in self._stack],
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: CustomObjects | None = None) -> Sequential:
        """Make a model from what `get_config` returned, with weights as they start.

        Parameters
        ----------
        config : dict
            The layers.
        custom_objects : mapping of str to type or function, optional
            What the config names that is not konv's.

        Raises
        ------
        ValueError
            If the layers do not fit together, or a class is not known.
        """
        layers: list[Layer | SymbolicTensor] = []
        if config["input"] is not None:
            layers.append(read_input(config["input"]))
        layers += [deserialize(layer, Layer, custom_objects) for layer in config["layers"]]
        made = cls(layers, name=config["name"])
        made._trainable = config["trainable"]  # the layers say themselves whether they are
        return made

    def _append(self, layer: Layer | SymbolicTensor) -> None:
        if isinstance(layer, SymbolicTensor):
            if self._stack or self._tensors:
                raise ValueError("an Input must come first, and only once")
            self._tensors = [layer]
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be Layer objects (or an Input first), got {layer!r}")
        if any(layer.name == other.name for other in self._stack):
            raise ValueError(f"layer names must differ, {layer.name!r} is there already")
        if not self._stack and not self._tensors and layer.given_input_shape is not None:
            self._tensors = [Input(layer.given_input_shape, dtype=np.float32 if layer.dtype is None else layer.dtype)]
        if self._tensors:
            self._tensors.append(layer(self._tensors[-1]))
        self._stack.append(layer)

    def _connect_stack(self) -> None:
        if len(self._tensors) > 1:
            self.connect(self._tensors[0], self._tensors[-1])
        else:
            self.built = False

    def _require_layers(self) -> None:
        if not self._stack:
            raise ValueError(f"model {self.name!r} has no layers")
