"""Symbolic tensors: what layers are called on before there are arrays, and the calls they remember.

A model is what lies between its inputs and its outputs, so it is found by going back from the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .variable import Shape

if TYPE_CHECKING:
    from .layers.base import Layer


@dataclass(eq=False)
class SymbolicTensor:
    """Stands for an array not there yet: a shape, None where a size is unknown, and a dtype.

    Attributes
    ----------
    shape : tuple
        The batch first.
    dtype : dtype
        float32 or float64.
    name : str
        That of the layer it comes from, or of the input.
    call : LayerCall, optional
        What makes it; None for an `Input`.
    """

    shape: Shape
    dtype: np.dtype[Any]
    name: str
    call: LayerCall | None = None

    def __repr__(self) -> str:
        return f"<SymbolicTensor {self.name}, shape={self.shape}, dtype={self.dtype}>"


@dataclass(eq=False)
class LayerCall:
    """One use of a layer; a layer that several of them share has its weights once."""

    layer: Layer
    inputs: list[SymbolicTensor]
    outputs: list[SymbolicTensor]


def calls_between(inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]) -> list[LayerCall]:
    """Return the calls that lead from inputs to outputs, in an order in which they can run.

    Raises
    ------
    ValueError
        If an output depends on an `Input` that is not among the inputs.
    """
    given = set(inputs)
    found: dict[LayerCall, None] = {}  # an ordered set
    for output in outputs:
        waiting = [(output, False)]
        while waiting:
            tensor, is_ready = waiting.pop()
            call = tensor.call
            if tensor in given or call in found:
                continue
            if call is None:
                raise ValueError(f"outputs depend on the Input {tensor.name!r}, which is not among inputs")
            if is_ready:
                found[call] = None
            else:
                waiting.append((tensor, True))
                waiting += [(source, False) for source in reversed(call.inputs)]
    return list(found)


def in_order(
    calls: Sequence[LayerCall], inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> list[Layer | SymbolicTensor]:
    """Return the inputs and the layers of calls in Keras's order: those farthest from the outputs first.

    What is equally far stands in the order in which one going back from the outputs meets it.
    """
    depth: dict[LayerCall | SymbolicTensor, int] = dict.fromkeys(inputs, 0)
    of_layer: dict[Layer | SymbolicTensor, int] = {}
    for call in reversed(calls):
        of_layer[call.layer] = depth[call] = max(depth.get(call, 0), of_layer.get(call.layer, 0))
        for source in call.inputs:
            maker = source if source in inputs or source.call is None else source.call
            depth[maker] = max(depth.get(maker, 0), depth[call] + 1)
    of_layer |= {x: depth[x] for x in inputs}

    met: dict[Layer | SymbolicTensor, int] = {}
    waiting, seen = list(reversed(outputs)), set()
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        if tensor in inputs or tensor.call is None:
            met.setdefault(tensor, len(met))
        else:
            met.setdefault(tensor.call.layer, len(met))
            waiting += reversed(tensor.call.inputs)
    return sorted(of_layer, key=lambda item: (-of_layer[item], met.get(item, -1)))
