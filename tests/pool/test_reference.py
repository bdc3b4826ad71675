"""The truth itself, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.pool import reference
from tests.pool.reference import Windows


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((17,), 3, 2, 1),
        ((8, 9), 2, 2, 0),
        ((8, 9), 3, 2, 1),
        ((8, 9), (2, 3), (3, 2), (1, 1)),
        ((5, 6, 7), 3, 2, 1),
        ((4, 6, 5), (2, 3, 2), (2, 1, 3), (1, 1, 0)),
    ],
)
def test_against_pytorch(size: tuple[int, ...], kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch")
    max_pool, avg_pool = (getattr(torch.nn.functional, f"{kind}_pool{len(size)}d") for kind in ("max", "avg"))
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 3, *size)).astype(np.float64)
    x[0, 0, 2:4] = np.nan
    theirs = max_pool(torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True)
    ours = reference.max_pool(x, Windows.regular(size, kernel, stride, padding, 1, ceil_mode))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    for include in (False, True):
        windows = Windows.regular(size, kernel, stride, padding, 1, ceil_mode, include)
        t = torch.from_numpy(x).requires_grad_(True)
        pooled = avg_pool(t, kernel, stride, padding, ceil_mode, include)
        out = reference.avg_pool(x, windows)
        np.testing.assert_allclose(out, pooled.detach().numpy(), 1e-12)
        gy = rng.standard_normal(out.shape)
        pooled.backward(torch.from_numpy(gy))
        np.testing.assert_allclose(reference.avg_pool_grad(gy, x.shape, windows), t.grad.numpy(), 1e-12, 1e-12)
