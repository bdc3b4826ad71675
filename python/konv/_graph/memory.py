"""Where values lie: locations in storage, and storage in one arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .ir import Quantisation

LINE = 64  # bytes


@dataclass(eq=False)
class Storage:
    """Memory for one or more values: in the arena, or with a buffer of its own."""

    bytes: int
    kind: str = "arena"  # or "strand", "external", "constant", "bound"
    first: int = -1  # the steps that use it
    last: int = -1
    offset: int = 0  # in the arena, or in that of strands
    buffer: int = 0

    def use(self, step: int) -> None:
        self.first = step if self.first < 0 else min(self.first, step)
        self.last = max(self.last, step)


@dataclass(frozen=True)
class Location:
    """An array in storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[np.generic]
    quantisation: Quantisation | None = None

    def place(self) -> tuple[int, int, str, list[int], list[int], float, int]:
        """As the compiled program takes it."""
        start = self.storage.offset
        offset = start + self.offset * self.dtype.itemsize
        q = self.quantisation or Quantisation(0.0, 0)
        return self.storage.buffer, offset, self.dtype.name, list(self.shape), list(self.strides), q.scale, q.zero

    def with_axes(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Location:
        return replace(self, offset=self.offset + offset, shape=tuple(shape), strides=tuple(strides))

    def transposed(self, order: Sequence[int]) -> Location:
        return self.with_axes([self.shape[i] for i in order], [self.strides[i] for i in order])

    def reshaped(self, shape: Sequence[int]) -> Location | None:
        """The same elements under another shape, where strides allow it."""
        strides = reshaped_strides(self.shape, self.strides, shape)
        return None if strides is None else self.with_axes(shape, strides)

    def is_like(self, other: Location) -> bool:
        """Whether both walk through memory alike."""
        pairs = zip(self.shape, self.strides, other.strides, strict=True)
        return self.shape == other.shape and all(n == 1 or a == b for n, a, b in pairs)

    def is_contiguous(self) -> bool:
        return self.is_like(self.with_axes(self.shape, strides_of(self.shape, range(len(self.shape)))))


def strides_of(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Strides of an array whose axes lie in memory in this order, outermost first."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(list(order)):
        strides[axis] = step
        step *= max(1, shape[axis])
    return tuple(strides)


def reshaped_strides(shape: Sequence[int], strides: Sequence[int], new: Sequence[int]) -> tuple[int, ...] | None:
    """Strides under which `new` walks the same memory in the same order; None where there are none."""
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    i = j = 0
    while i < len(old) or j < len(new):
        if j < len(new) and new[j] == 1 and (i == len(old) or len(result) < j + 1):
            result.append(0)
            j += 1
            continue
        if i == len(old) or j == len(new):
            return None
        group, end, total = [new[j]], i + 1, old[i][0]
        made, k = new[j], j + 1
        while made != total:
            if made < total:
                if k == len(new):
                    return None
                group.append(new[k])
                made *= new[k]
                k += 1
            else:
                if end == len(old):
                    return None
                if old[end - 1][1] != old[end][0] * old[end][1]:
                    return None
                total *= old[end][0]
                end += 1
        step = old[end - 1][1]
        inner: list[int] = []
        for n in reversed(group):
            inner.append(step)
            step *= n
        result += inner[::-1]
        i, j = end, k
    return tuple(result)


def plan_arena(storages: Sequence[Storage]) -> int:
    """Give each storage its offset in an arena; returns the arena's bytes.

    Storages that are used at the same time do not overlap. The largest are placed first, each into the smallest gap
    that holds it (greedy by size: Pisarchyk and Lee, Efficient memory management for deep neural net inference, 2020).
    """
    placed: list[Storage] = []
    total = 0
    for storage in sorted(storages, key=lambda s: -s.bytes):
        size = -(-storage.bytes // LINE) * LINE
        busy = sorted(
            (s for s in placed if s.first <= storage.last and storage.first <= s.last), key=lambda s: s.offset
        )
        best, best_gap, end = None, 0, 0
        for other in busy:
            gap = other.offset - end
            if gap >= size and (best is None or gap < best_gap):
                best, best_gap = end, gap
            end = max(end, other.offset + -(-other.bytes // LINE) * LINE)
        storage.offset = end if best is None else best
        total = max(total, storage.offset + size)
        placed.append(storage)
    return total
