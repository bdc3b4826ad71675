"""Convolution of signals that arrive piece by piece."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import _interop
from ._arrays import check_array, check_elements, check_out
from .plan import ConvPlan, plan_conv1d

if TYPE_CHECKING:
    from ._types import Array, DType, Layout1D

__all__ = ["CausalConv1d"]


def _array(value: Any, name: str) -> np.ndarray[Any, Any]:
    check_array(value, name)
    return value if isinstance(value, np.ndarray) else _interop.as_ndarray(value)


def _size(value: SupportsIndex, name: str) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {value!r}") from None
    if not 1 <= size < 2**31:
        raise ValueError(f"{name}: expected an integer from 1 to {2**31 - 1}, got {value!r}")
    return size


class CausalConv1d:
    """A one-dimensional convolution that sees the past alone, of a signal that arrives in chunks.

    ``out[n, k, t] = bias[k] + sum over c, r of input[n, c, t - (R - 1 - r) * dilation] * weight[k, c, r]``, where the
    input is zero before the first chunk. The stream keeps the last ``dilation * (R - 1)`` elements, so any cut of a
    signal gives the same numbers, bit for bit, as one call with all of it: the algorithm is chosen once, and each
    number of the result is summed in an order that does not depend on the chunk. The semantics are those of Keras'
    Conv1D with ``padding="causal"``.

    Parameters
    ----------
    weight : ndarray, shape (K, C // groups, R)
        float32, float64, float16 or bfloat16 (ml_dtypes). The stream keeps a private copy.
    bias : ndarray, shape (K,), optional
    dilation : int
        Distance of the elements that a kernel sees.
    groups : int
        Divides C and K; group g of the outputs sees group g of the channels alone.
    layout : {"NCW", "NWC"}, optional
        The order of the dimensions of chunks and results, by default "NCW".
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        Of chunks and results. By default that of `weight`; other weights are converted.
    threads : int, optional
        At most this many; by default `get_num_threads()` now.
    max_workspace : int, optional
        Bytes of scratch memory that a call may take; by default `config.max_workspace` now.

    Attributes
    ----------
    algorithm : str
        The one that all chunks take.

    Raises
    ------
    TypeError
        An argument is not an array, or a dtype is unsupported.
    ValueError
        Shapes do not fit, or a size is out of range.

    Notes
    -----
    A stream has a state: calls from several threads must not overlap.

    Examples
    --------
    >>> import numpy as np, konv
    >>> stream = konv.CausalConv1d(np.array([[[1, 2]]], np.float32))
    >>> stream(np.array([[1, 2, 3]], np.float32))
    array([[2., 5., 8.]], dtype=float32)
    >>> stream(np.array([[4]], np.float32))
    array([[11.]], dtype=float32)
    """

    def __init__(
        self,
        weight: Array,
        bias: Array | None = None,
        dilation: int = 1,
        groups: int = 1,
        *,
        layout: Layout1D | None = None,
        dtype: DType | None = None,
        threads: int | None = None,
        max_workspace: int | None = None,
    ) -> None:
        w = _array(weight, "weight")
        if w.ndim != 3:
            raise ValueError(f"weight: expected 3 dimensions (out, in / groups, kernel), got shape {w.shape}")
        if layout is not None and not isinstance(layout, str):
            raise TypeError(f"layout: expected a string or None, got {type(layout).__name__}")
        if layout not in (None, "NCW", "NWC"):
            raise ValueError(f"layout: expected 'NCW', 'NWC' or None, got {layout!r}")
        dilation, groups = _size(dilation, "dilation"), _size(groups, "groups")
        # Sums of these two run over channels and taps in their order, whatever the width.
        self.algorithm = "depthwise" if w.shape[1] == 1 else "implicit_gemm"
        self._time = 1 if layout == "NWC" else 2
        self._channels = w.shape[1] * groups
        self._kept = dilation * (w.shape[2] - 1)
        self._outputs = w.shape[0]
        self._plan = self._make_plan(w, bias, dilation, groups, dtype, threads, max_workspace)
        self._dtype = np.dtype(dtype or w.dtype)
        self._past: np.ndarray[Any, Any] | None = None
        self._batched = True

    def _make_plan(
        self,
        weight: np.ndarray[Any, Any],
        bias: Array | None,
        dilation: int,
        groups: int,
        dtype: DType | None,
        threads: int | None,
        max_workspace: int | None,
    ) -> ConvPlan:
        last = self._time == 1
        return plan_conv1d(
            weight,
            bias,
            input_shape=(None, None, self._channels) if last else (None, self._channels, None),
            dilation=dilation,
            groups=groups,
            layout="NWC" if last else "NCW",
            algorithm=self.algorithm,
            dtype=dtype,
            threads=threads,
            max_workspace=max_workspace,
        )

    def reset(self) -> None:
        """Forget the signal: the next chunk starts another one, of any batch."""
        self._past = None

    def __call__(self, input: Array, /, *, out: Array | None = None) -> Array:
        """Convolve the next chunk, of shape (N, C, L) or (C, L), in the order of `layout`; L may be 0.

        All chunks of a signal have the same N. The result has as many elements in time as the chunk; `out` receives it,
        and shares no memory with the chunk. What is refused leaves the stream as it was.
        """
        given: dict[str, Any] = {"input": input} if out is None else {"input": input, "out": out}
        for name, value in given.items():
            check_array(value, name)
        if any(_interop.is_foreign(value) for value in given.values()):
            return _interop.call(self, input, out=out)  # type: ignore[no-any-return]
        check_elements(input, "input", self._dtype, "the stream's weight")
        x = input[None] if input.ndim == 2 else input
        past = self._checked_past(input, x)
        length = x.shape[self._time]
        shape = list(x.shape)
        shape[3 - self._time] = self._outputs
        if out is not None:
            check_out(out, tuple(shape[3 - input.ndim :]), self._dtype, [input])
        result = np.empty(shape, self._dtype) if out is None else (out[None] if input.ndim == 2 else out)
        self._fill(past, x, result)
        seen = x if length >= self._kept else np.concatenate((past, x), axis=self._time)
        self._past = self._span(seen, seen.shape[self._time] - self._kept, None).copy()
        self._batched = input.ndim == 3
        if out is not None:
            return out
        return result if self._batched else result[0]

    def _span(self, x: np.ndarray[Any, Any], start: int | None, stop: int | None) -> np.ndarray[Any, Any]:
        return x[:, start:stop] if self._time == 1 else x[:, :, start:stop]

    def _fill(self, past: np.ndarray[Any, Any], x: np.ndarray[Any, Any], out: np.ndarray[Any, Any]) -> None:
        """Only the outputs that see the past need a copy of what they see."""
        length = x.shape[self._time]
        first = self._kept if length > 4 * self._kept else length
        if first:
            self._plan(
                np.concatenate((past, self._span(x, None, first)), axis=self._time), out=self._span(out, None, first)
            )
        if first < length:
            self._plan(x, out=self._span(out, first, None))

    def _checked_past(self, input: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """What came before the chunk, whose shape is checked."""
        channels = 3 - self._time
        names = ("L", str(self._channels)) if self._time == 1 else (str(self._channels), "L")
        if x.ndim != 3 or x.shape[channels] != self._channels:
            shapes = f"(N, {', '.join(names)}) or ({', '.join(names)})"
            raise ValueError(f"input: expected shape {shapes}, got {input.shape}")
        if self._past is None:
            shape = list(x.shape)
            shape[self._time] = self._kept
            return np.zeros(shape, self._dtype)
        if x.shape[0] != self._past.shape[0] or (input.ndim == 3) != self._batched:
            lead = f"{self._past.shape[0]}, " if self._batched else ""
            raise ValueError(
                f"input: expected shape ({lead}{', '.join(names)}) as that of the chunks before, got {input.shape}; "
                "reset() starts another signal"
            )
        return self._past
