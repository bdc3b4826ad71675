"""Maxima and averages against the truth and PyTorch: values, places of the maxima, odd borders, all element types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import konv
from tests.cases import ISA_LEVELS
from tests.pool import reference
from tests.pool.cases import (
    ADAPTIVE,
    DILATED,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    POOLS,
    POOLS_2D,
    Pool,
    arranged,
    channels_first,
    dtype_of,
)

ALL = (*POOLS, *DILATED, *ADAPTIVE)


def maxima(pool: Pool, x: np.ndarray, **options: Any) -> Any:
    function = pool.function("max")
    if pool.parts is not None:
        return function(x, pool.parts, **options)
    return function(x, pool.kernel, **pool.options, dilation=pool.dilation, **options)


def averages(pool: Pool, x: np.ndarray, **options: Any) -> Any:
    function = pool.function("avg")
    if pool.parts is not None:
        options.pop("count_include_pad", None)
        return function(x, pool.parts, **options)
    return function(x, pool.kernel, **pool.options, **options)


def assert_same(a: np.ndarray, b: np.ndarray) -> None:
    if a.dtype.name == "bfloat16":  # whose NaNs NumPy does not know
        a, b = a.astype(np.float32), b.astype(np.float32)
    np.testing.assert_array_equal(a, b)


def check_max(pool: Pool, x: np.ndarray, layout: str) -> None:
    given, options = arranged(x, layout)
    values, indices = maxima(pool, given, return_indices=True, **options)
    best, places = reference.max_pool(x, pool.windows())
    assert values.dtype == x.dtype
    assert indices.dtype == np.int64
    assert_same(channels_first(values, layout), best)
    np.testing.assert_array_equal(channels_first(indices, layout), places)
    assert_same(maxima(pool, given, **options), values)


def check_avg(pool: Pool, x: np.ndarray, layout: str, include: bool) -> None:
    given, options = arranged(x, layout)
    out = channels_first(averages(pool, given, count_include_pad=include, **options), layout)
    assert out.dtype == x.dtype
    expected, magnitude = (reference.avg_pool(a, pool.windows(include)) for a in (x, np.abs(x)))
    if x.dtype.kind == "i":
        np.testing.assert_array_equal(out, expected)
    else:
        reference.assert_close(out, expected, magnitude, pool.window + 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_max(isa: str, dtype: str, layout: str) -> None:
    with konv.config(isa=isa):
        for pool in ALL:
            check_max(pool, pool.data(dtype), layout)


@pytest.mark.parametrize("include", [True, False], ids=["include_pad", "exclude_pad"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_avg(isa: str, dtype: str, layout: str, include: bool) -> None:
    with konv.config(isa=isa):
        for pool in POOLS:
            check_avg(pool, pool.data(dtype), layout, include)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_adaptive_avg(isa: str, dtype: str, layout: str) -> None:
    with konv.config(isa=isa):
        for pool in ADAPTIVE:
            check_avg(pool, pool.data(dtype), layout, True)


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    dims = draw(st.integers(1, 3))
    sizes = {1: 60, 2: 20, 3: 9}[dims]
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 20)), *(draw(st.integers(1, sizes)) for _ in range(dims)))
    if draw(st.integers(0, 3)) == 0:
        return Pool(shape, parts=tuple(draw(st.integers(1, 9)) for _ in range(dims)))
    kernel = tuple(draw(st.integers(1, 5)) for _ in range(dims))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    stride = draw(st.none() | st.tuples(*[st.integers(1, 4)] * dims))
    assume(all(n + 2 * p >= k for n, p, k in zip(shape[2:], padding, kernel, strict=True)))
    return Pool(shape, kernel, stride, padding, 1, draw(st.booleans()))


@settings(max_examples=150)
@given(pool=pools(), dtype=st.sampled_from([*FLOATS, "int8", "int64"]))
def test_random_shapes(pool: Pool, dtype: str) -> None:
    for layout in LAYOUTS:
        check_max(pool, pool.data(dtype), layout)
        if dtype != "int8" and not (dtype == "int64" and pool.parts is not None):
            check_avg(pool, pool.data(dtype), layout, True)
            check_avg(pool, pool.data(dtype), layout, False)


@pytest.mark.parametrize("pool", ALL, ids=str)
def test_max_against_pytorch(pool: Pool) -> None:
    torch = pytest.importorskip("torch")
    if isinstance(pool.padding, str) or any(isinstance(p, tuple) for p in reference.each(pool.padding, pool.dims)):
        pytest.skip("PyTorch has no such padding")
    x = pool.data()
    function = pool.function("max", torch.nn.functional)
    if pool.parts is not None:
        theirs = function(torch.from_numpy(x), pool.parts, return_indices=True)
    else:
        theirs = function(torch.from_numpy(x), pool.kernel, dilation=pool.dilation, return_indices=True, **pool.options)
    inside = theirs[0].numpy() > -np.inf  # PyTorch makes up places for windows that meet nothing
    ours = maxima(pool, x, return_indices=True)
    np.testing.assert_array_equal(ours[0], theirs[0].numpy())
    np.testing.assert_array_equal(ours[1][inside], theirs[1].numpy()[inside])


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("divisor", [None, 3, -2])
@pytest.mark.parametrize("dtype", ["float64", "int64"])
@pytest.mark.parametrize("pool", [p for p in POOLS if not isinstance(p.padding, str)], ids=str)
def test_avg_against_pytorch(pool: Pool, dtype: str, divisor: int | None, include: bool) -> None:
    torch = pytest.importorskip("torch")
    if any(isinstance(p, tuple) for p in reference.each(pool.padding, pool.dims)):
        pytest.skip("PyTorch has no such padding")
    x = pool.data(dtype)
    keywords = {"count_include_pad": include, **pool.options}
    if pool.dims > 1:
        keywords["divisor_override"] = divisor
    theirs = pool.function("avg", torch.nn.functional)(torch.from_numpy(x), pool.kernel, **keywords)
    np.testing.assert_allclose(pool.function("avg")(x, pool.kernel, **keywords), theirs.numpy(), 1e-12, 1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_max_keeps_nan(isa: str, dtype: str, layout: str) -> None:
    rng = np.random.default_rng(2)
    for pool in (Pool((1, 19, 12, 13), 3, 2, 1), Pool((1, 3, 90), 35), Pool((1, 3, 12, 40), parts=(3, 1))):
        x = pool.data(dtype)
        for value in (np.nan, -np.inf, np.inf):
            x[rng.random(x.shape) < 0.05] = value
        x[0, 0, :9] = -np.inf
        with konv.config(isa=isa):
            check_max(pool, x, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_max_moves_bits(dtype: str, isa: str, layout: str) -> None:
    """Windows of one element are copies: subnormal numbers, signed zeros and every NaN come out as they went in."""
    words = {2: np.uint16, 4: np.uint32, 8: np.uint64}[dtype_of(dtype).itemsize]
    rng = np.random.default_rng(0)
    bits = (
        np.arange(2**16, dtype=words)
        if words is np.uint16
        else rng.integers(0, 2 ** (8 * words().itemsize), 2**16, words)
    )
    x = bits.view(dtype_of(dtype)).reshape(1, 64, 32, 32)
    given, options = arranged(x, layout)
    with konv.config(isa=isa):
        out = channels_first(konv.max_pool2d(given, 1, **options), layout)
    np.testing.assert_array_equal(np.ascontiguousarray(out).view(words), x.view(words))


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_averages_round_once(dtype: str, isa: str) -> None:
    """Results are the nearest of the narrow type, ties to even: every midpoint and its neighbours."""
    words = np.arange(0, 0x7B00 if dtype == "float16" else 0x7E00, dtype=np.uint16)
    low, high = (words[i : words.size - 1 + i].view(dtype_of(dtype)).astype(np.float64) for i in (0, 1))
    for weight in (0.25, 0.5, 0.75):
        exact = low * (1 - weight) + high * weight
        pairs = np.stack([low, high, high if weight > 0.5 else low, high if weight > 0.25 else low], 1)
        x = pairs.astype(dtype_of(dtype)).reshape(1, 1, -1)
        with konv.config(isa=isa, denormals="keep"):
            out = konv.avg_pool1d(x, 4).ravel()
        np.testing.assert_array_equal(out, exact.astype(np.float32).astype(dtype_of(dtype)))


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("n", [*range(1, 20), 31, 32, 33, 35])
def test_sizes(n: int, kind: str) -> None:
    for isa in ISA_LEVELS:
        with konv.config(isa=isa):
            for pool in (
                Pool((1, n, 4, 5), 2),
                Pool((1, 2, 3, n), (2, 1)),
                Pool((1, 2, n, 3), (1, 2)),
                Pool((1, 3, 3, n), 3, 2, 1),
                Pool((n, 1, 2, 2), 2),
                Pool((1, n, 7), 3, 3),
                Pool((1, 2, 2 * n), n),
                Pool((1, n, 3, 3, 3), 2, 1),
            ):
                for layout in LAYOUTS:
                    if kind == "max":
                        check_max(pool, pool.data(), layout)
                    else:
                        check_avg(pool, pool.data(), layout, False)


@pytest.mark.parametrize("layout", ["first", "last"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unbatched(dims: int, layout: str) -> None:
    x, options = arranged(Pool((2, 5, *(9, 11, 6)[:dims])).data(), layout)
    for name in ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool"):
        function = getattr(konv, f"{name}{dims}d")
        np.testing.assert_array_equal(function(x[1], 3, **options), function(x, 3, **options)[1])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_nothing_to_pool(dims: int) -> None:
    """Empty batches, and parts of size 0, give empty arrays."""
    x = np.zeros((0, 3, *[8] * dims), np.float32)
    for kind in ("max", "avg"):
        assert getattr(konv, f"{kind}_pool{dims}d")(x, 2).shape == (0, 3, *[4] * dims)
        adaptive = getattr(konv, f"adaptive_{kind}_pool{dims}d")
        assert adaptive(x, 2).shape == (0, 3, *[2] * dims)
        assert adaptive(np.zeros((2, 3, *[8] * dims)), 0).shape == (2, 3, *[0] * dims)
    values = getattr(konv, f"max_pool{dims}d")(x, 2, return_indices=True)
    assert [a.shape for a in values] == [(0, 3, *[4] * dims)] * 2
    assert getattr(konv, f"lp_pool{dims}d")(x, 2, 2).shape == (0, 3, *[4] * dims)


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_threads_and_workspace_change_no_bit(dtype: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    for pool in (
        Pool((3, 35, 61, 59), 3, 2, 1),
        Pool((1, 1, 300001), 3, 2, 1),
        Pool((1, 2, 200000), 100, 50),
        Pool((1, 300, 40, 41), parts=(7, 5)),
        Pool((1, 3, 20, 61, 59), 3, 1, 1),
        Pool((1, 2000, 8, 9), parts=1),
    ):
        x = rng.standard_normal(pool.shape).astype(np.float32).astype(dtype_of(dtype))
        for layout in LAYOUTS:
            given, options = arranged(x, layout)
            run = maxima if kind == "max" else averages
            one, two, three = (run(pool, given, threads=threads, **options).tobytes() for threads in (1, 2, 3))
            assert one == two == three
            if kind == "max":
                assert run(pool, given, max_workspace=0, **options).tobytes() == one


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_results_keep_the_memory_order(name: str) -> None:
    x = POOLS_2D[3].data()
    function = getattr(konv, name)
    assert function(x, 2).flags.c_contiguous
    assert function(arranged(x, "memory")[0], 2).transpose(0, 2, 3, 1).flags.c_contiguous
