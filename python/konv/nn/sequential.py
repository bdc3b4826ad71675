"""A stack of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .graph import Graph
from .layers import Input, Layer
from .layers.base import SymbolicTensor
from .model import Model
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

    def __init__(self, layers: Iterable[Layer | SymbolicTensor] | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self._layers: list[Layer] = []
        self._input: SymbolicTensor | None = None
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the input."""
        return list(self._layers)

    def add(self, layer: Layer | SymbolicTensor) -> None:
        """Add a layer at the end.

        Raises
        ------
        TypeError, ValueError
            If it is not a layer, its name is taken, or it does not fit the layer before it.
        """
        self._append(layer)
        try:
            self._rebuild()
        except ValueError:
            if isinstance(layer, Layer):
                self._layers.pop()
            raise

    def pop(self) -> Layer:
        """Remove the last layer and return it."""
        if not self._layers:
            raise ValueError(f"model {self.name!r} has no layers to remove")
        layer = self._layers.pop()
        self._rebuild()
        return layer

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make all weights for an input of `input_shape`, batch included."""
        if self._input is None:
            dtype = self._layers[0].dtype if self._layers else None
            given = Input(tuple(input_shape)[1:], dtype=np.float32 if dtype is None else dtype)
            self._input = given
            try:
                self._rebuild()
            except ValueError:
                self._input = None
                raise

    def graph_for(self, x: Array) -> Graph:
        """Return the graph, built for samples like `x` if it was not built before."""
        if self._graph is None:
            if not self._layers:
                raise ValueError(f"model {self.name!r} has no layers")
            self.build((None, *x.shape[1:]))
        return self._built_graph()

    def _append(self, layer: Layer | SymbolicTensor) -> None:
        if isinstance(layer, SymbolicTensor):
            if self._layers or self._input is not None:
                raise ValueError("an Input must come first, and only once")
            self._input = layer
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layers must be Layer objects (or an Input first), got {layer!r}")
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(f"layer names must differ, {layer.name!r} is there already")
        if not self._layers and self._input is None and layer.given_input_shape is not None:
            self._input = Input(layer.given_input_shape, dtype=np.float32 if layer.dtype is None else layer.dtype)
        self._layers.append(layer)

    def _rebuild(self) -> None:
        if self._input is None or not self._layers:
            self._set_graph(None)
            return
        graph = Graph()
        x = graph.add_input(self._input.shape, self._input.dtype)
        for layer in self._layers:
            x = layer.add_to(graph, x)
        graph.outputs = [x]
        self._set_graph(graph)
