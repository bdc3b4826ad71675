"""Pooling by norms, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests.cases import ISA_LEVELS
from tests.pool import reference
from tests.pool.cases import FLOATS, LAYOUTS, POOLS, Pool, arranged, channels_first, dtype_of

PLAIN = [p for p in POOLS if p.padding == 0]
POWERS = (1, 2, 3, 4, 0.5, 2.5, 7)


def lp(pool: Pool, x: np.ndarray, p: float, **options: object) -> np.ndarray:
    return getattr(konv, f"lp_pool{pool.dims}d")(x, p, pool.kernel, pool.stride, pool.ceil_mode, **options)


def lp_grad(pool: Pool, gy: np.ndarray, x: np.ndarray, p: float, **options: object) -> np.ndarray:
    function = getattr(konv.grad, f"lp_pool{pool.dims}d")
    return function(gy, x, p, pool.kernel, pool.stride, pool.ceil_mode, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_forward(isa: str, dtype: str, layout: str) -> None:
    for pool in PLAIN:
        x = pool.data(dtype)
        given, options = arranged(x, layout)
        for p in POWERS:
            with konv.config(isa=isa):
                out = channels_first(lp(pool, given, p, **options), layout)
            assert out.dtype == x.dtype
            expected = reference.lp_pool(x, p, pool.windows())
            # Each power and the root cost a few roundings; the root divides the relative error of the sum by p.
            reference.assert_close(out, expected, 8 * max(1 / p, 1) * expected, pool.window + 8)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_gradient(isa: str, dtype: str, layout: str) -> None:
    for pool in PLAIN:
        x, gy = pool.data(dtype), pool.gradient(dtype)
        given, options = arranged(x, layout)
        for p in (1, 2, 2.5, 4):
            with konv.config(isa=isa):
                out = channels_first(lp_grad(pool, arranged(gy, layout)[0], given, p, **options), layout)
            assert out.dtype == x.dtype
            expected = reference.lp_pool_grad(gy.astype(np.float64), x, p, pool.windows())
            magnitude = np.abs(reference.lp_pool_grad(np.abs(gy.astype(np.float64)), np.abs(x), p, pool.windows()))
            reference.assert_close(out, expected, 8 * magnitude, pool.window + 8)


def test_finite_differences() -> None:
    rng = np.random.default_rng(0)
    for pool in (Pool((1, 2, 9), 3, 2), Pool((1, 2, 5, 6), (2, 3), 2, 0, 1, True), Pool((1, 1, 3, 4, 3), 2, 1)):
        x = rng.standard_normal(pool.shape)
        x += np.sign(x)
        gy = pool.gradient("float64")
        for p in (1.5, 2, 3):
            numeric = np.empty_like(x)
            for place in np.ndindex(x.shape):
                moved = [x.copy(), x.copy()]
                moved[0][place] += 1e-5
                moved[1][place] -= 1e-5
                numeric[place] = ((lp(pool, moved[0], p) - lp(pool, moved[1], p)) * gy).sum() / 2e-5
            np.testing.assert_allclose(lp_grad(pool, gy, x, p), numeric, 1e-7, 1e-8)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_against_pytorch(dims: int) -> None:
    """Of positive numbers and whole windows, where the two agree."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).random((2, 3, *[9] * dims)) + 0.1
    for p in (1, 2, 3.5):
        leaf = torch.from_numpy(x).requires_grad_(True)
        theirs = getattr(torch.nn.functional, f"lp_pool{dims}d")(leaf, p, 3, 2)
        ours = getattr(konv, f"lp_pool{dims}d")(x, p, 3, 2)
        np.testing.assert_allclose(ours, theirs.detach().numpy(), 1e-12)
        gy = np.random.default_rng(1).standard_normal(ours.shape)
        theirs.backward(torch.from_numpy(gy))
        np.testing.assert_allclose(
            getattr(konv.grad, f"lp_pool{dims}d")(gy, x, p, 3, 2), leaf.grad.numpy(), 1e-11, 1e-12
        )


def test_gradient_of_zeros_is_zero() -> None:
    x = np.zeros((1, 2, 4, 4), np.float32)
    x[0, 1, 0, 0] = -2
    for p in (0.5, 1, 2, 3):
        out = konv.grad.lp_pool2d(np.ones((1, 2, 2, 2), np.float32), x, p, 2)
        np.testing.assert_allclose(out[0, 1, 0, 0], -1, 1e-6)
        assert np.count_nonzero(out) == 1


def test_threads_and_workspace_change_no_bit() -> None:
    x = np.random.default_rng(0).standard_normal((3, 35, 61, 59)).astype(dtype_of("bfloat16"))
    for layout in LAYOUTS:
        given, options = arranged(x, layout)
        one, *others = (konv.lp_pool2d(given, 2, 3, 2, threads=t, **options) for t in (1, 2, 3))
        others.append(konv.lp_pool2d(given, 2, 3, 2, max_workspace=0, **options))
        assert all(o.tobytes() == one.tobytes() for o in others)
        one, *others = (konv.grad.lp_pool2d(one, given, 2, 3, 2, threads=t, **options) for t in (1, 2, 3))
        assert all(o.tobytes() == one.tobytes() for o in others)
