"""Pooling against the truth and PyTorch: values, places of the maxima, odd borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import konv
from tests import reference
from tests.cases import DTYPES, ISA_LEVELS, LAYOUTS
from tests.pool.cases import DILATED, POOLS, Pool, arranged, channels_first


def check_max(pool: Pool, x: np.ndarray, layout: str) -> None:
    given, options = arranged(x, layout)
    values, indices = konv.max_pool2d(
        given, pool.kernel, **pool.options, dilation=pool.dilation, return_indices=True, **options
    )
    best, places = reference.max_pool2d(x, pool.kernel, dilation=pool.dilation, **pool.options)
    assert values.dtype == x.dtype
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(channels_first(values, layout), best)
    np.testing.assert_array_equal(channels_first(indices, layout), places)
    alone = konv.max_pool2d(given, pool.kernel, **pool.options, dilation=pool.dilation, **options)
    np.testing.assert_array_equal(alone, values)


def check_avg(pool: Pool, x: np.ndarray, layout: str, include: bool) -> None:
    given, options = arranged(x, layout)
    out = konv.avg_pool2d(given, pool.kernel, **pool.options, count_include_pad=include, **options)
    assert out.dtype == x.dtype
    expected, magnitude = (
        reference.avg_pool2d(a, pool.kernel, **pool.options, count_include_pad=include) for a in (x, np.abs(x))
    )
    reference.assert_accurate(channels_first(out, layout), expected, magnitude, pool.window + 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("pool", [*POOLS, *DILATED], ids=str)
def test_max(pool: Pool, isa: str, dtype: str, layout: str) -> None:
    with konv.config(isa=isa):
        check_max(pool, pool.data(dtype), layout)


@pytest.mark.parametrize("include", [True, False], ids=["include_pad", "exclude_pad"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_avg(pool: Pool, isa: str, dtype: str, layout: str, include: bool) -> None:
    with konv.config(isa=isa):
        check_avg(pool, pool.data(dtype), layout, include)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    shape = draw(st.tuples(*(st.integers(1, n) for n in (2, 20, 20, 20))))
    stride = draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    assume(all(n + 2 * p >= k for n, p, k in zip(shape[2:], padding, kernel, strict=True)))
    return Pool(shape, kernel, stride, padding, 1, draw(st.booleans()))


@settings(max_examples=200, deadline=None)
@given(pool=pools())
def test_random_shapes(pool: Pool) -> None:
    for layout in LAYOUTS:
        check_max(pool, pool.data(), layout)
        check_avg(pool, pool.data(), layout, True)
        check_avg(pool, pool.data(), layout, False)


@pytest.mark.parametrize("pool", [*POOLS, *DILATED], ids=str)
def test_max_against_pytorch(pool: Pool) -> None:
    torch = pytest.importorskip("torch")
    x = pool.data()
    theirs = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), pool.kernel, dilation=pool.dilation, return_indices=True,
        **pool.options,
    )  # fmt: skip
    ours = konv.max_pool2d(x, pool.kernel, dilation=pool.dilation, return_indices=True, **pool.options)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("divisor", [None, 3])
@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_avg_against_pytorch(pool: Pool, divisor: int | None, include: bool) -> None:
    torch = pytest.importorskip("torch")
    x = pool.data("float64")
    keywords = {"count_include_pad": include, "divisor_override": divisor, **pool.options}
    theirs = torch.nn.functional.avg_pool2d(torch.from_numpy(x), pool.kernel, **keywords)
    ours = konv.avg_pool2d(x, pool.kernel, **keywords)
    np.testing.assert_allclose(ours, theirs.numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_max_keeps_nan(isa: str, layout: str) -> None:
    pool = Pool((1, 19, 12, 13), 3, 2, 1)
    x = pool.data()
    rng = np.random.default_rng(2)
    x[rng.random(x.shape) < 0.05] = np.nan
    x[rng.random(x.shape) < 0.05] = -np.inf
    x[rng.random(x.shape) < 0.05] = np.inf
    with konv.config(isa=isa):
        check_max(pool, x, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_max_moves_bits(layout: str) -> None:
    """Denormals, signed zeros' values and infinities come out as they went in."""
    pool = Pool((1, 18, 8, 8), 2)
    x = np.full(pool.shape, -np.inf, np.float32)
    check_max(pool, x, layout)
    x[...] = np.float32(1e-42)
    given, options = arranged(x, layout)
    out = konv.max_pool2d(given, 2, **options)
    assert (out == np.float32(1e-42)).all()


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("n", range(1, 36))
def test_sizes(n: int, kind: str) -> None:
    for isa in ISA_LEVELS:
        with konv.config(isa=isa):
            for pool in (
                Pool((1, n, 4, 5), 2),
                Pool((1, 2, 3, n), (2, 1)),
                Pool((1, 2, n, 3), (1, 2)),
                Pool((1, 3, 3, n), 3, 2, 1),
                Pool((n, 1, 2, 2), 2),
            ):
                for layout in LAYOUTS:
                    if kind == "max":
                        check_max(pool, pool.data(), layout)
                    else:
                        check_avg(pool, pool.data(), layout, False)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_unbatched(layout: str) -> None:
    pool = POOLS[3]
    x, options = arranged(pool.data(), layout)
    for function in (konv.max_pool2d, konv.avg_pool2d):
        whole = function(x, 3, 2, 1, **options)
        np.testing.assert_array_equal(function(x[1], 3, 2, 1, **options), whole[1])


def test_empty_batch() -> None:
    x = np.zeros((0, 3, 8, 8), np.float32)
    assert konv.max_pool2d(x, 2).shape == (0, 3, 4, 4)
    assert konv.avg_pool2d(x, 2).shape == (0, 3, 4, 4)
    assert [a.shape for a in konv.max_pool2d(x, 2, return_indices=True)] == [(0, 3, 4, 4)] * 2


@pytest.mark.parametrize("function", [konv.max_pool2d, konv.avg_pool2d])
def test_threads_change_no_bit(function: object) -> None:
    assert callable(function)
    x = np.random.default_rng(0).standard_normal((3, 35, 61, 59)).astype(np.float32)
    for layout in LAYOUTS:
        given, options = arranged(x, layout)
        one, two, three = (function(given, 3, 2, 1, threads=threads, **options).tobytes() for threads in (1, 2, 3))
        assert one == two == three
