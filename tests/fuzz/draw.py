"""Chance, and arrays in odd memory whose surroundings are watched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

from tests.reference import Array

T = TypeVar("T")
GUARD = 64  # bytes; a multiple of every element's size
NEVER = 0xFF  # what memory around arrays is filled with: not a number in every floating-point type


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


class Draw:
    """A source of decisions: the same seeds give the same."""

    def __init__(self, *seeds: int) -> None:
        self._rng = np.random.default_rng(seeds)

    def integer(self, low: int, high: int) -> int:
        """From `low` to `high`, both possible."""
        return int(self._rng.integers(low, high, endpoint=True))

    def chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def choice(self, items: Sequence[T]) -> T:
        return items[self.integer(0, len(items) - 1)]

    def order(self, n: int) -> list[int]:
        return [int(i) for i in self._rng.permutation(n)]

    def values(self, shape: Sequence[int], dtype: str) -> Array:
        """Normal numbers, or integers of the type's whole range where it has 8 bits."""
        kind = dtype_of(dtype)
        if kind.kind == "b":
            return self._rng.integers(0, 2, shape).astype(kind)
        if kind.kind in "iu":
            low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.itemsize == 1 else (-999, 999)
            return self._rng.integers(low, high, shape, endpoint=True).astype(kind)
        return self._rng.standard_normal(tuple(shape)).astype(kind)


class Watched:
    """An array with any strides inside memory whose other bytes must not change."""

    def __init__(self, draw: Draw, values: Array) -> None:
        """Lay `values` out in one of three ways: exactly, in another order of the axes, or with gaps and flips."""
        rank = values.ndim
        order = list(range(rank)) if draw.chance(0.4) else draw.order(rank)
        spread = draw.chance(0.3)
        steps = [draw.integer(1, 2) if spread else 1 for _ in range(rank)]
        gaps = [draw.integer(0, 2) if spread else 0 for _ in range(rank)]
        flips = [spread and draw.chance(0.3) for _ in range(rank)]
        # Half of the arrays fill their allocation, for AddressSanitizer to see the first byte beyond.
        guard = GUARD if spread or draw.chance(0.5) else 0

        extents = [n * s + g for n, s, g in zip(values.shape, steps, gaps, strict=True)]
        count = int(np.prod(extents, dtype=np.int64))
        self._bytes = np.full(count * values.itemsize + 2 * guard, NEVER, np.uint8)
        memory = self._bytes[guard : guard + count * values.itemsize].view(values.dtype)
        self._steps, self._flips, self._order = steps, flips, order
        self._extents, self._shape, self._guard = extents, values.shape, guard
        self.array = self._window(memory)
        self.array[...] = values
        self._before = self._bytes.copy()

    def _window(self, memory: Array) -> Array:
        stored = memory.reshape([self._extents[axis] for axis in self._order])
        whole = stored.transpose(np.argsort(self._order))
        window = whole[tuple(slice(0, n * s, s) for n, s in zip(self._shape, self._steps, strict=True))]
        return window[tuple(slice(None, None, -1 if flip else 1) for flip in self._flips)]

    def untouched(self) -> bool:
        return np.array_equal(self._bytes, self._before)

    def surroundings_untouched(self) -> bool:
        """Whether nothing but the array's own elements has changed."""
        expected = self._before.copy()
        inside = expected[self._guard : len(expected) - self._guard].view(self.array.dtype)
        self._window(inside).view(f"u{self.array.itemsize}")[...] = self.array.view(f"u{self.array.itemsize}")
        return np.array_equal(self._bytes, expected)
