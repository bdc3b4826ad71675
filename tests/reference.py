"""The error that a correct result may have, against the float64 truth that every test is judged by.

Convolutions are in tests/convolution.py, pooling is in tests/pool/reference.py. Nothing there knows konv or PyTorch.
All shapes are channels-first: tests that use another layout transpose around these functions.

How far a correct float32 result may be from the truth
------------------------------------------------------
A sum of K products computed with u = eps / 2 as unit round-off has the error sum(d_j s_j), where
s_j is the j-th partial sum and |d_j| <= u. Two bounds follow, both in units of M = sum |x| |w|:

- Worst case: |s_j| <= M, and K fused multiply-adds, one product rounded apart and one bias give
  (K + 2) u M = (K + 2) / 2 eps M.
- Statistical (Azuma-Hoeffding; Higham and Mary, "A new approach to probabilistic rounding error
  analysis", SIAM J. Sci. Comput. 41, 2019): with independent d_j of mean zero,
  |error| <= l u sqrt(sum s_j^2) except with probability 2 exp(-l^2 / 2). The tests' data is normal
  with mean zero, so partial sums walk at random: E s_j^2 = j, hence sqrt(sum s_j^2) is about
  K / sqrt(2), and M = 2 K / pi; the quotient is pi / (2 sqrt(2)) = 1.11, and twice that for a walk
  that strays. With l = 7 (one result in 10^10): 7 * 1/2 * 2 * 1.11 < 8, whatever K is.

A result is right when it is within min((K + 2) / 2, 8) eps M of the truth. Any order of summation
has partial sums as small or smaller, so one bound serves every algorithm here that multiplies
directly. Kernels may flush denormals: K times the smallest normal number is allowed on top.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]


def conv_bias(gy: Array) -> Array:
    return gy.astype(np.float64).sum(axis=(0, 2, 3))


def assert_accurate(actual: Array, expected: Array, magnitude: Array, length: int) -> None:
    """Check `actual` against the truth; see the head of this file for the bound.

    `magnitude` is the same computation on absolute values, `length` the number of products summed.
    """
    assert actual.shape == expected.shape
    if actual.size == 0:
        return
    info = np.finfo(actual.dtype)
    c = min((length + 2) / 2, 8.0)
    # The float64 truth is summed in float64 too: its own error, by the same bound, counts as well.
    eps = float(info.eps) + float(np.finfo(np.float64).eps)
    allowed = c * eps * magnitude + length * float(info.tiny)
    error = np.abs(actual.astype(np.float64) - expected)
    wrong = ~(error <= allowed)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.size} values are off, the first at {where}: "
            f"{actual[where]!r} instead of {expected[where]!r}, allowed {allowed[where]:.3g}"
        )
