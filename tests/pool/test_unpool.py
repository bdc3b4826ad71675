"""Max unpooling and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv
from tests.pool import reference
from tests.pool.cases import FLOATS, LAYOUTS, Pool, arranged, channels_first, sized

POOLS = (
    Pool((2, 3, 16), 2),
    Pool((1, 5, 17), 3, 2, 1),
    Pool((2, 18, 9, 11), 3, 2, 1),
    Pool((1, 3, 8, 9), (2, 3)),
    Pool((1, 4, 4, 6, 5), 2, (2, 2, 1)),
)


def unpool(pool: Pool, y: np.ndarray, indices: np.ndarray, **options: Any) -> np.ndarray:
    function = getattr(konv, f"max_unpool{pool.dims}d")
    return function(y, indices, pool.kernel, pool.stride, pool.padding, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_truth(pool: Pool, dtype: str, layout: str) -> None:
    y, indices = reference.max_pool(pool.data(dtype), pool.windows())
    given, options = arranged(y, layout)
    places, _ = arranged(indices, layout)
    out = unpool(pool, given, places, output_size=pool.shape[2:], **options)
    np.testing.assert_array_equal(channels_first(out, layout), reference.max_unpool(y, indices, pool.shape[2:]))
    whole = unpool(pool, given, places, output_size=sized(pool.shape, layout), **options)
    np.testing.assert_array_equal(whole, out)
    gradient = getattr(konv.grad, f"max_unpool{pool.dims}d")(out, places, given.shape, **options)
    assert gradient.dtype == y.dtype
    np.testing.assert_array_equal(gradient, given)


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_against_pytorch(pool: Pool) -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal(pool.shape))
    name = f"pool{pool.dims}d"
    theirs = torch.nn.functional
    y, indices = getattr(theirs, f"max_{name}")(x, pool.kernel, pool.stride, pool.padding, return_indices=True)
    for size in (None, pool.shape[2:], pool.shape):
        leaf = y.clone().requires_grad_(True)
        if size is None and indices.max() >= np.prod(unpool(pool, y.numpy(), np.zeros_like(indices)).shape[2:]):
            continue  # the default size is too small for these indices
        out = getattr(theirs, f"max_un{name}")(leaf, indices, pool.kernel, pool.stride, pool.padding, size)
        ours = unpool(pool, y.numpy(), indices.numpy(), output_size=size)
        np.testing.assert_array_equal(ours, out.detach().numpy())
        gy = np.random.default_rng(1).standard_normal(ours.shape)
        out.backward(torch.from_numpy(gy))
        gradient = getattr(konv.grad, f"max_un{name}")(gy, indices.numpy(), tuple(y.shape))
        np.testing.assert_array_equal(gradient, leaf.grad.numpy())


def test_last_one_wins() -> None:
    y, indices = np.array([[[1.0, 2.0]]]), np.array([[[3, 3]]])
    assert konv.max_unpool1d(y, indices, 2).tolist() == [[[0, 0, 0, 2]]]


def test_unbatched_and_empty() -> None:
    y, indices = np.ones((3, 2, 2), np.float32), np.zeros((3, 2, 2), np.int64)
    assert konv.max_unpool2d(y, indices, 2).shape == (3, 4, 4)
    assert konv.max_unpool2d(y[None][:0], indices[None][:0], 2).shape == (0, 3, 4, 4)


def test_threads_change_no_bit() -> None:
    x = np.random.default_rng(0).standard_normal((5, 40, 40, 40)).astype(np.float32)
    y, indices = konv.max_pool2d(x, 2, return_indices=True)
    one, two = (konv.max_unpool2d(y, indices, 2, threads=t) for t in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("index", [-1, 16, 2**62, -(2**63)])
def test_indices_outside_the_plane(index: int) -> None:
    y, indices = np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2), np.int64)
    indices[0, 1, 1, 0] = index
    out = np.ones((1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"indices: expected values from 0 to 15.*got"):
        konv.max_unpool2d(y, indices, 2, out=out)
    with pytest.raises(ValueError, match=r"indices: expected values from 0 to 15.*got"):
        konv.grad.max_unpool2d(out, indices, y.shape, out=y)
    assert (out == 1).all()
    assert (y == 1).all()


@pytest.mark.parametrize("size", [(2, 5), (6, 4), (1, 2, 4, 6)])
def test_sizes_too_far_from_the_default(size: tuple[int, ...]) -> None:
    y, indices = np.ones((1, 2, 2, 2)), np.zeros((1, 2, 2, 2), np.int64)
    with pytest.raises(ValueError, match=r"output_size: expected sizes between 2 and 6.*got"):
        konv.max_unpool2d(y, indices, 2, output_size=size)
