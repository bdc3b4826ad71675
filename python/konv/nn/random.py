"""The one source of randomness of `konv.nn`: initial weights, shuffling and dropout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_state = {"generator": np.random.default_rng()}


def set_random_seed(seed: int) -> None:
    """Make everything that `konv.nn` draws from here on repeatable.

    Parameters
    ----------
    seed : int
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If `seed` is not an integer or is negative.

    Examples
    --------
    >>> from konv import nn
    >>> nn.set_random_seed(1)
    >>> first = nn.GlorotUniform()((3, 3))
    >>> nn.set_random_seed(1)
    >>> bool((nn.GlorotUniform()((3, 3)) == first).all())
    True
    """
    _state["generator"] = np.random.default_rng(seed)


def generator(seed: int | Sequence[int] | None = None) -> np.random.Generator:
    """Return the shared generator, or with a `seed` a new one."""
    return _state["generator"] if seed is None else np.random.default_rng(seed)
