"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import Graph
from .base import Layer


class _Merging(Layer):
    takes_several = True

    def _require(self, inputs: Sequence[int]) -> None:
        if len(inputs) < 2:
            raise ValueError(f"layer {self.name!r} takes a list of two inputs or more, got {len(inputs)}")


class Add(_Merging):
    """The sum of inputs of one shape.

    Parameters
    ----------
    **kwargs
        `name`, `dtype`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Add()([np.ones((1, 2)), np.ones((1, 2))])
    array([[2., 2.]])
    """

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        self._require(inputs)
        return [graph.add_node("add", inputs, name=self.name)]


class Multiply(_Merging):
    """The product, element by element, of inputs of one shape.

    Parameters
    ----------
    **kwargs
        `name`, `dtype`: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)])
    array([[6., 6.]])
    """

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        self._require(inputs)
        return [graph.add_node("multiply", inputs, name=self.name)]


class Concatenate(_Merging):
    """Inputs one behind the other along an axis; their other sizes agree.

    Parameters
    ----------
    axis : int
        The last one, the channels, by default; not the batch.
    **kwargs
        `name`, `dtype`: see `Layer`.

    Raises
    ------
    TypeError
        If `axis` is no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> nn.Concatenate()([np.zeros((1, 4, 4, 2)), np.zeros((1, 4, 4, 3))]).shape
    (1, 4, 4, 5)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"axis must be an integer, got {axis!r}")
        self.axis = axis

    def describe(self, graph: Graph, inputs: Sequence[int]) -> list[int]:
        """One node."""
        self._require(inputs)
        rank = len(graph.values[inputs[0]].shape)
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank:
            raise ValueError(f"axis of layer {self.name!r} must be from 1 to {rank - 1} or below 0, got {self.axis}")
        return [graph.add_node("concatenate", inputs, {"axis": axis}, name=self.name)]
