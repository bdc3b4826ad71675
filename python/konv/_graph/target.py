"""What graphs are compiled for: the CPU, or a CUDA device.

Passes and lowering are the same; a target has the programs that steps are added to, and runs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _core
from .ir import Array, Graph

Time = tuple[int, int, int]  # of a step: nanoseconds at its begin and its end, and the thread


class Target:
    """The CPU: arrays are NumPy's.

    Attributes
    ----------
    name : str
        As users say it.
    """

    name = "cpu"
    tiles_batches = True  # whether a sample at a time is faster than all of them, or one on each thread
    has_bfloat16 = False  # whether convolutions take it with weights of it

    def check(self, graph: Graph) -> None:
        """Raise ValueError, naming the node, where a simplified graph has something that is not computed here."""

    def node_weights(
        self, weight: Array, bias: Array | None, groups: int, transposed: bool, dtype: str, zero: int
    ) -> Any:
        """What holds a convolution's packed weights."""
        return _core.NodeWeights(weight, bias, groups, transposed, dtype, zero)

    def conv_options(self, *options: Any, bytes_between: int) -> Any:
        """What a convolution is beside its operands, and what is read between two times that it runs."""
        return _core.ConvOptions(*[*options, bytes_between])

    def pool_options(self, *options: Any) -> Any:
        """What a pooling is beside its operands."""
        return _core.PoolOptions(*options)

    def program(self, arena_bytes: int, strand_bytes: int, threads: int) -> Any:
        """Return an empty program; each of so many threads has room for strands."""
        return _core.Program(arena_bytes, strand_bytes, threads)

    def run(self, program: Any, graph: Graph, inputs: Sequence[Any], timed: bool) -> tuple[list[Any], list[Time]]:
        """Return a program's outputs, and when its steps began and ended, if that is wanted."""
        given = [np.asarray(array, value.dtype, order="C") for array, value in zip(inputs, graph.inputs, strict=True)]
        for array, value in zip(given, graph.inputs, strict=True):
            assert array.shape == value.shape, (array.shape, value.shape)
        outputs: list[Any] = [np.empty(value.shape, value.dtype) for value in graph.outputs]
        times: list[Time] = program.run([*given, *outputs], timed)
        return outputs, times

    def returned(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:  # noqa: ARG002
        """Return outputs as the kind of arrays that the inputs are."""
        return list(outputs)


CPU = Target()


def target_of(device: str) -> Target:
    """Return the target of a device's name.

    Raises
    ------
    ValueError
        There is no such device.
    RuntimeError
        konv has no CUDA module, or the machine no device.
    """
    if device == "cpu":
        return CPU
    found = re.fullmatch(r"cuda(?::(\d+))?", device) if isinstance(device, str) else None
    if found is None:
        raise ValueError(f"device: expected 'cpu', 'cuda' or 'cuda:' with a number, got {device!r}")
    from ..cuda._target import Device

    return Device(None if found[1] is None else int(found[1]))
