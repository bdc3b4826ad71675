"""Gradients of pooling against the truth, finite differences and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests import reference
from tests.cases import DTYPES, ISA_LEVELS, LAYOUTS
from tests.pool.cases import DILATED, POOLS, Pool, arranged, channels_first


def sized(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if layout == "NHWC" else shape


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("pool", [*POOLS, *DILATED], ids=str)
def test_max(pool: Pool, isa: str, dtype: str, layout: str) -> None:
    x = pool.data(dtype)
    values, places = reference.max_pool2d(x, pool.kernel, dilation=pool.dilation, **pool.options)
    gy = pool.gradient(values.shape, dtype)
    expected, magnitude = (reference.max_pool2d_grad(g, places, x.shape) for g in (gy, np.abs(gy)))
    given, options = arranged(gy, layout)
    indices, _ = arranged(places, layout)
    with konv.config(isa=isa):
        out = konv.grad.max_pool2d(given, indices, sized(x.shape, layout), **options)
    assert out.dtype == np.dtype(dtype)
    reference.assert_accurate(channels_first(out, layout), expected, magnitude, pool.window)


@pytest.mark.parametrize("include", [True, False], ids=["include_pad", "exclude_pad"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_avg(pool: Pool, isa: str, dtype: str, layout: str, include: bool) -> None:
    out_shape = reference.avg_pool2d(pool.data(), pool.kernel, **pool.options).shape
    gy = pool.gradient(out_shape, dtype)
    keywords = {"count_include_pad": include, **pool.options}
    expected, magnitude = (reference.avg_pool2d_grad(g, pool.shape, pool.kernel, **keywords) for g in (gy, np.abs(gy)))
    given, options = arranged(gy, layout)
    with konv.config(isa=isa):
        out = konv.grad.avg_pool2d(given, sized(pool.shape, layout), pool.kernel, **keywords, **options)
    assert out.dtype == np.dtype(dtype)
    reference.assert_accurate(channels_first(out, layout), expected, magnitude, pool.window + 1)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_against_pytorch(pool: Pool, kind: str) -> None:
    torch = pytest.importorskip("torch")
    x = pool.data("float64")
    leaf = torch.from_numpy(x).requires_grad_(True)
    function = getattr(torch.nn.functional, f"{kind}_pool2d")
    pooled = function(leaf, pool.kernel, **pool.options)
    gy = pool.gradient(tuple(pooled.shape), "float64")
    pooled.backward(torch.from_numpy(gy))
    if kind == "max":
        _, indices = konv.max_pool2d(x, pool.kernel, **pool.options, return_indices=True)
        ours = konv.grad.max_pool2d(gy, indices, x.shape)
    else:
        ours = konv.grad.avg_pool2d(gy, x.shape, pool.kernel, **pool.options)
    np.testing.assert_allclose(ours, leaf.grad.numpy(), 1e-12, 1e-12)


def test_finite_differences() -> None:
    """Distinct values, and a step too small to change which of them is largest."""
    rng = np.random.default_rng(0)
    x = rng.permutation(2 * 3 * 6 * 7).astype(np.float64).reshape(2, 3, 6, 7)
    step = 1 / 4
    for kind in ("max", "avg"):
        function = getattr(konv, f"{kind}_pool2d")
        gy = rng.standard_normal(function(x, 3, 2, 1).shape)
        numeric = np.empty_like(x)
        for place in np.ndindex(x.shape):
            kept = x[place]
            x[place] = kept + step
            above = function(x, 3, 2, 1)
            x[place] = kept - step
            below = function(x, 3, 2, 1)
            x[place] = kept
            numeric[place] = ((above - below) * gy).sum() / (2 * step)
        if kind == "max":
            _, indices = konv.max_pool2d(x, 3, 2, 1, return_indices=True)
            exact = konv.grad.max_pool2d(gy, indices, x.shape)
        else:
            exact = konv.grad.avg_pool2d(gy, x.shape, 3, 2, 1)
        np.testing.assert_allclose(exact, numeric, 1e-10, 1e-10)


def test_divisor_override() -> None:
    gy = np.ones((1, 2, 4, 4), np.float32)
    out = konv.grad.avg_pool2d(gy, (1, 2, 8, 8), 2, divisor_override=8)
    np.testing.assert_array_equal(out, np.full((1, 2, 8, 8), 0.125))


def test_threads_change_no_bit() -> None:
    """Windows that overlap add up in one place, whoever computes them."""
    x = np.random.default_rng(0).standard_normal((3, 35, 61, 59)).astype(np.float32)
    for layout in LAYOUTS:
        given, options = arranged(x, layout)
        values, indices = konv.max_pool2d(given, 3, 2, 1, return_indices=True, **options)
        gy = np.random.default_rng(1).standard_normal(values.shape).astype(np.float32)
        for function in (
            lambda t: konv.grad.max_pool2d(gy, indices, given.shape, threads=t, **options),  # noqa: B023
            lambda t: konv.grad.avg_pool2d(gy, given.shape, 3, 2, 1, threads=t, **options),  # noqa: B023
        ):
            one, two, three = (function(threads).tobytes() for threads in (1, 2, 3))
            assert one == two == three
