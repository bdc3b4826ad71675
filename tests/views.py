"""The same values in odd memory: what a user's slicing, transposing and flipping leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.cases import channels_last
from tests.reference import Array


def sliced(x: Array) -> Array:
    """Every second element of every axis of a larger array full of NaN."""
    big = np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype)
    view = big[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def cropped(x: Array) -> Array:
    """The inside of a larger array: rows are contiguous, planes are not."""
    big = np.full([n + 3 for n in x.shape], np.nan, x.dtype)
    view = big[tuple(slice(1, -2) for _ in x.shape)]
    view[...] = x
    return view


def transposed(x: Array) -> Array:
    return np.array(x, order="F")


def swapped(x: Array) -> Array:
    """Images stored with rows as columns."""
    return np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2)


def interleaved(x: Array) -> Array:
    """The rows of all channels side by side."""
    return np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)


def flipped(x: Array) -> Array:
    """Negative strides on all axes."""
    whole = tuple(slice(None, None, -1) for _ in x.shape)
    return np.ascontiguousarray(x[whole])[whole]


def mirrored(x: Array) -> Array:
    """A negative stride on the last axis alone."""
    return np.ascontiguousarray(x[..., ::-1])[..., ::-1]


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


VIEWS: dict[str, Callable[[Array], Array]] = {
    view.__name__: view
    for view in (
        sliced, cropped, transposed, swapped, interleaved, flipped, mirrored, channels_last, read_only,
    )
}  # fmt: skip
