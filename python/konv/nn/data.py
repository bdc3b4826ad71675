"""Arrays in, batches out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .graph import Value
from .variable import Array


def as_input(x: ArrayLike, value: Value, name: str = "x") -> Array:
    """Check samples against a model's input; adds or drops a last axis of size 1, as Keras does.

    Raises
    ------
    TypeError, ValueError
        If the samples are not numbers, or not of the model's shape.
    """
    samples = np.asarray(x)
    if samples.dtype.kind not in "iubf":
        raise TypeError(f"{name} must hold real numbers, got dtype {samples.dtype}")
    expected = value.shape
    if samples.ndim == len(expected) - 1 and expected[-1] == 1:
        samples = samples[..., None]
    elif samples.ndim == len(expected) + 1 and samples.shape[-1] == 1:
        samples = samples[..., 0]
    fits = samples.ndim == len(expected) and all(
        want is None or have == want for have, want in zip(samples.shape[1:], expected[1:], strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have the model's input shape {expected}, got {np.shape(samples)}")
    return samples


class Batches:
    """Cuts samples into batches of the model's dtype.

    Parameters
    ----------
    samples : ndarray
        Samples along the first axis.
    size : int
        Of a batch; the last one may be smaller.
    dtype : dtype
        What batches are converted to.
    """

    def __init__(self, samples: Array, size: int, dtype: np.dtype[Any]) -> None:
        self.samples = samples
        self.size = size
        self.dtype = dtype
        self._buffer: Array | None = None

    def __len__(self) -> int:
        return -(-len(self.samples) // self.size)

    def passes(self, rng: np.random.Generator | None) -> Iterator[tuple[slice | Array, Array]]:
        """Yield (which samples, batch), in random order where there is an `rng`."""
        return self.in_order() if rng is None else self.shuffled(rng)

    def in_order(self) -> Iterator[tuple[slice, Array]]:
        """Yield (which samples, batch) from first to last."""
        for start in range(0, len(self.samples), self.size):
            which = slice(start, start + self.size)
            yield which, self.samples[which].astype(self.dtype, copy=False)

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Yield (which samples, batch) in random order; a batch is valid until the next one."""
        order = rng.permutation(len(self.samples))
        if self._buffer is None:
            shape = (min(self.size, len(order)), *self.samples.shape[1:])
            self._buffer = np.empty(shape, self.dtype)
        for start in range(0, len(order), self.size):
            which = order[start : start + self.size]
            batch = self._buffer[: len(which)]
            if self.samples.dtype == self.dtype:
                # Indices of a permutation are in range; "clip" spares a copy through a buffer.
                np.take(self.samples, which, axis=0, out=batch, mode="clip")
            else:
                batch[...] = self.samples[which]
            yield which, batch
