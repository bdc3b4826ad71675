"""What a classifier's output says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Guess(NamedTuple):
    """A class that a classifier sees.

    Attributes
    ----------
    number : int
        The number of the class, from 0.
    probability : float
        From 0 to 1.
    """

    number: int
    probability: float


def classify(scores: ArrayLike, top: int = 5) -> list[Guess]:
    """Return the most probable classes.

    Parameters
    ----------
    scores : array_like
        A classifier's output for one picture, such as (1, classes) or (1, classes, 1, 1). Where it is not a probability
        distribution already, softmax makes it one.
    top : int
        How many to return at most.

    Returns
    -------
    list of Guess
        The most probable first.

    Raises
    ------
    ValueError
        If there are several rows of scores, fewer than two classes, or scores that are not finite; if `top` is below 1.

    Examples
    --------
    >>> from konv import vision
    >>> vision.classify([[0.1, 0.7, 0.2]], top=2)
    [Guess(number=1, probability=0.7), Guess(number=2, probability=0.2)]
    """
    array = np.asarray(scores, np.float64)
    if top < 1:
        raise ValueError(f"top: expected a number above zero, got {top}")
    if array.size < 2 or max(array.shape) != array.size:
        raise ValueError(f"scores: expected those of two or more classes for one picture, got shape {array.shape}")
    array = array.ravel()
    if not np.isfinite(array).all():
        raise ValueError("scores: expected finite numbers, got NaN or infinity")
    # A sum of float16 probabilities is this near to one.
    if array.min() < 0 or abs(array.sum() - 1) > 1e-2:
        array = np.exp(array - array.max())
        array /= array.sum()
    best = np.argsort(-array, kind="stable")[:top]
    return [Guess(int(i), float(array[i])) for i in best]
