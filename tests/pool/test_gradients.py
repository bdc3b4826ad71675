"""Gradients of pooling against the truth, finite differences and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests.cases import ISA_LEVELS
from tests.pool import reference
from tests.pool.cases import (
    ADAPTIVE,
    DILATED,
    FLOATS,
    LAYOUTS,
    POOLS,
    Pool,
    arranged,
    channels_first,
    dtype_of,
    sized,
)
from tests.pool.test_forward import averages, maxima, pools


def max_grad(pool: Pool, gy: np.ndarray, indices: np.ndarray, size: tuple[int, ...], **options: Any) -> np.ndarray:
    return pool.function("max", konv.grad)(gy, indices, size, **options)


def avg_grad(pool: Pool, gy: np.ndarray, size: tuple[int, ...], include: bool, **options: Any) -> np.ndarray:
    function = pool.function("avg", konv.grad)
    if pool.parts is not None:
        return function(gy, size, **options)
    return function(gy, size, pool.kernel, count_include_pad=include, **pool.options, **options)


def check_max(pool: Pool, dtype: str, layout: str) -> None:
    _, places = reference.max_pool(pool.data(dtype), pool.windows())
    places = np.maximum(places, 0)
    gy = pool.gradient(dtype)
    expected, magnitude = (reference.max_pool_grad(g, places, pool.shape) for g in (gy, np.abs(gy)))
    given, options = arranged(gy, layout)
    out = max_grad(pool, given, arranged(places, layout)[0], sized(pool.shape, layout), **options)
    assert out.dtype == dtype_of(dtype)
    reference.assert_close(channels_first(out, layout), expected, magnitude, pool.window)


def check_avg(pool: Pool, dtype: str, layout: str, include: bool) -> None:
    gy = pool.gradient(dtype)
    windows = pool.windows(include)
    expected, magnitude = (reference.avg_pool_grad(g, pool.shape, windows) for g in (gy, np.abs(gy)))
    given, options = arranged(gy, layout)
    out = avg_grad(pool, given, sized(pool.shape, layout), include, **options)
    assert out.dtype == dtype_of(dtype)
    reference.assert_close(channels_first(out, layout), expected, magnitude, pool.window + 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_max(isa: str, dtype: str, layout: str) -> None:
    with konv.config(isa=isa):
        for pool in (*POOLS, *DILATED, *ADAPTIVE):
            check_max(pool, dtype, layout)


@pytest.mark.parametrize("include", [True, False], ids=["include_pad", "exclude_pad"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_avg(isa: str, dtype: str, layout: str, include: bool) -> None:
    with konv.config(isa=isa):
        for pool in (*POOLS, *ADAPTIVE):
            check_avg(pool, dtype, layout, include)


@settings(max_examples=100)
@given(pool=pools(), dtype=st.sampled_from(FLOATS))
def test_random_shapes(pool: Pool, dtype: str) -> None:
    for layout in LAYOUTS:
        check_max(pool, dtype, layout)
        check_avg(pool, dtype, layout, True)
        check_avg(pool, dtype, layout, False)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("pool", [*POOLS, *ADAPTIVE], ids=str)
def test_against_pytorch(pool: Pool, kind: str) -> None:
    torch = pytest.importorskip("torch")
    if isinstance(pool.padding, str) or any(isinstance(p, tuple) for p in reference.each(pool.padding, pool.dims)):
        pytest.skip("PyTorch has no such padding")
    x = pool.data("float64")
    leaf = torch.from_numpy(x).requires_grad_(True)
    function = pool.function(kind, torch.nn.functional)
    pooled = function(leaf, pool.parts) if pool.parts is not None else function(leaf, pool.kernel, **pool.options)
    gy = pool.gradient("float64")
    pooled.backward(torch.from_numpy(gy))
    if kind == "max":
        _, indices = maxima(pool, x, return_indices=True)
        ours = max_grad(pool, gy, indices, x.shape)
    else:
        ours = avg_grad(pool, gy, x.shape, True)
    np.testing.assert_allclose(ours, leaf.grad.numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize(
    "pool",
    [Pool((2, 3, 13), 3, 2, 1), Pool((2, 3, 6, 7), 3, 2, 1), Pool((1, 2, 3, 4, 5), 2, 1), Pool((1, 2, 5, 7), parts=3)],
    ids=str,
)
def test_finite_differences(pool: Pool) -> None:
    """Distinct values, and a step too small to change which of them is largest."""
    rng = np.random.default_rng(0)
    x = rng.permutation(int(np.prod(pool.shape))).astype(np.float64).reshape(pool.shape)
    step = 1 / 4
    gy = pool.gradient("float64")
    for run in (maxima, averages):
        numeric = np.empty_like(x)
        for place in np.ndindex(x.shape):
            moved = [x.copy(), x.copy()]
            moved[0][place] += step
            moved[1][place] -= step
            numeric[place] = ((run(pool, moved[0]) - run(pool, moved[1])) * gy).sum() / (2 * step)
        if run is maxima:
            exact = max_grad(pool, gy, maxima(pool, x, return_indices=True)[1], x.shape)
        else:
            exact = avg_grad(pool, gy, x.shape, True)
        np.testing.assert_allclose(exact, numeric, 1e-10, 1e-10)


def test_divisor_override() -> None:
    gy = np.ones((1, 2, 4, 4), np.float32)
    out = konv.grad.avg_pool2d(gy, (1, 2, 8, 8), 2, divisor_override=8)
    np.testing.assert_array_equal(out, np.full((1, 2, 8, 8), 0.125))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_nothing_to_spread(dims: int) -> None:
    empty = np.zeros((0, 3, *[4] * dims), np.float32)
    shape = (0, 3, *[8] * dims)
    assert getattr(konv.grad, f"avg_pool{dims}d")(empty, shape, 2).shape == shape
    assert getattr(konv.grad, f"adaptive_avg_pool{dims}d")(empty, shape).shape == shape
    assert getattr(konv.grad, f"max_pool{dims}d")(empty, empty.astype(np.int64), shape).shape == shape
    no_parts = np.zeros((2, 3, *[0] * dims))
    whole = (2, 3, *[8] * dims)
    assert not getattr(konv.grad, f"adaptive_avg_pool{dims}d")(no_parts, whole).any()
    assert not getattr(konv.grad, f"adaptive_max_pool{dims}d")(no_parts, no_parts.astype(np.int64), whole).any()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_threads_change_no_bit(dtype: str) -> None:
    """Windows that overlap add up in one place, whoever computes them."""
    rng = np.random.default_rng(0)
    for pool in (
        Pool((3, 35, 61, 59), 3, 2, 1),
        Pool((1, 1, 300001), 3, 1, 1),
        Pool((1, 2, 100000), 60, 50),
        Pool((1, 70, 40, 41), parts=(7, 5)),
        Pool((1, 2000, 8, 9), parts=1),
    ):
        x = rng.standard_normal(pool.shape).astype(dtype)
        for layout in LAYOUTS:
            given, options = arranged(x, layout)
            values, indices = maxima(pool, given, return_indices=True, **options)
            gy = rng.standard_normal(values.shape).astype(dtype)
            for run in (
                lambda t: max_grad(pool, gy, indices, given.shape, threads=t, **options),  # noqa: B023
                lambda t: avg_grad(pool, gy, given.shape, True, threads=t, **options),  # noqa: B023
            ):
                one, two, three = (run(threads).tobytes() for threads in (1, 2, 3))
                assert one == two == three
