"""Variables: the arrays that layers own, and the type names shared by the whole package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

if TYPE_CHECKING:
    from .regularizers import Regularizer

Array = NDArray[Any]
Shape = tuple[int | None, ...]
DType = np.dtype[Any]
Attributes = Mapping[str, Any]


class Variable:
    """An array owned by a layer.

    Parameters
    ----------
    value : ndarray
        The initial contents; kept, not copied, where it is in C order and writable.
    name : str
        Its name within the layer, such as ``"kernel"``.
    trainable : bool
        Whether training computes a gradient for it and updates it.
    updated : bool
        Whether a forward pass in training moves it, as it does the moving statistics of a
        `BatchNormalization`; such a variable has no gradient.
    regularizer : Regularizer, optional
        The penalty that training adds to the loss.

    Attributes
    ----------
    storage : ndarray
        The array itself, the same one for the variable's whole life: compiled programs read and write it where it
        lies. Whoever writes into it calls `changed`.
    version : int
        Grows with each change.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import nn
    >>> variable = nn.Variable(np.zeros((2, 3), np.float32), name="kernel")
    >>> variable.assign(np.ones((2, 3)))
    >>> variable.shape, float(variable.numpy().sum())
    ((2, 3), 6.0)
    """

    def __init__(
        self,
        value: Array,
        name: str = "variable",
        trainable: bool = True,
        *,
        updated: bool = False,
        regularizer: Regularizer | None = None,
    ) -> None:
        self.storage: Array = np.require(value, requirements=["C", "W"])
        self.version = 0
        self.name = name
        self.trainable = trainable
        self.updated = updated
        self.regularizer = regularizer

    @property
    def value(self) -> Array:
        """The contents, read-only: `assign` writes."""
        view = self.storage.view()
        view.flags.writeable = False
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.storage.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's dtype."""
        return self.storage.dtype

    def changed(self) -> None:
        """Say that the contents are others now."""
        self.version += 1

    def assign(self, value: ArrayLike) -> None:
        """Copy `value`, an array of the same shape, into the variable.

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(f"value must have the shape {self.shape} of variable {self.name!r}, got {array.shape}")
        self.storage[...] = array
        self.changed()

    def numpy(self) -> Array:
        """Return a copy of the contents."""
        return self.storage.copy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            return self.storage.astype(dtype)
        return self.storage.copy() if copy else self.value

    def __repr__(self) -> str:
        return f"<Variable {self.name}, shape={self.shape}, dtype={self.dtype}>"
