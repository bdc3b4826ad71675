"""Locations and the arena: reshaped views are NumPy's, and nothing that lives at the same time overlaps."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from konv._graph.memory import LINE, Storage, plan_arena, reshaped_strides

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@given(st.data())
def test_reshaped_views_are_numpys(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    order = data.draw(st.permutations(range(len(shape))))
    size = math.prod(shape)
    array = np.arange(size).reshape(shape).transpose(order)
    new, rest = [], size
    while rest > 1:
        new.append(data.draw(st.sampled_from([n for n in range(2, rest + 1) if rest % n == 0])))
        rest //= new[-1]
    for _ in range(data.draw(st.integers(0, 2))):
        new.insert(data.draw(st.integers(0, len(new))), 1)
    strides = reshaped_strides(array.shape, [s // array.itemsize for s in array.strides], new)
    try:
        expected = np.reshape(array, new, copy=False)
    except ValueError:
        assert strides is None
        return
    assert strides is not None
    seen = np.lib.stride_tricks.as_strided(array, new, [s * array.itemsize for s in strides])
    np.testing.assert_array_equal(seen, expected)


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_the_arena(wanted: list[tuple[int, int, int]]) -> None:
    storages = [Storage(size, first=min(a, b), last=max(a, b)) for size, a, b in wanted]
    total = plan_arena(storages)
    for i, s in enumerate(storages):
        assert s.offset % LINE == 0
        assert s.offset + s.bytes <= total
        for other in storages[:i]:
            together = s.first <= other.last and other.first <= s.last
            apart = s.offset + s.bytes <= other.offset or other.offset + other.bytes <= s.offset
            assert apart or not together
    busiest = max(
        (sum(-(-s.bytes // LINE) * LINE for s in storages if s.first <= t <= s.last) for t in range(21)), default=0
    )
    assert total >= busiest
