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
    """An array owned by a layer, and the gradient of the loss with respect to it.

    Parameters
    ----------
    value : ndarray
        The initial contents; kept, not copied. The variable holds this one array for its whole
        life and writes into it, so views of it (the engine's transposed kernels) stay valid.
    name : str
        Its name within the layer, such as ``"kernel"``.
    trainable : bool
        Whether training computes a gradient for it and updates it.
    updated : bool
        Whether a forward pass in training moves it, as it does the moving statistics of a
        `BatchNormalization`; such a variable has no gradient.
    regularizer : Regularizer, optional
        The penalty that training adds to the loss.

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
        self.value = value
        self.name = name
        self.trainable = trainable
        self.updated = updated
        self.regularizer = regularizer
        self._grad: Array | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's dtype."""
        return self.value.dtype

    @property
    def grad(self) -> Array:
        """The gradient left by the last backward pass: an array like `value`, made on first use."""
        if self._grad is None:
            self._grad = np.zeros_like(self.value)
        return self._grad

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
        self.value[...] = array

    def numpy(self) -> Array:
        """Return a copy of the contents."""
        return self.value.copy()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            return self.value.astype(dtype)
        return self.value.copy() if copy else self.value

    def __repr__(self) -> str:
        return f"<Variable {self.name}, shape={self.shape}, dtype={self.dtype}>"
