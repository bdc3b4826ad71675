"""What the translations of operators share."""

from __future__ import annotations

import numpy as np

from ..._graph.ir import Value
from ..checks import Known, UnsupportedError
from ..importer import Context

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def float_value(context: Context, i: int = 0) -> Value:
    """Input i, which has to be an array of float32 or float64 that is not known yet."""
    known = context[i]
    if not isinstance(known, Value) or known.dtype not in FLOATS:
        raise UnsupportedError
    return known


def unary_of(context: Context, kind: str, x: Value, **parameters: float) -> Value:
    return context.add("unary", [x], x.shape, kind=kind, **parameters)


def binary_of(context: Context, kind: str, a: Known, b: Known) -> Value:
    shape = np.broadcast_shapes(a.shape, b.shape)
    if len(shape) > 8:
        raise UnsupportedError
    return context.add("binary", [a, b], shape, kind=kind)
