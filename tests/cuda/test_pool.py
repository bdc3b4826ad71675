"""Pooling on a device and its gradients, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests.pool import reference
from tests.pool.cases import (
    ADAPTIVE,
    DILATED,
    FLOATS,
    INTEGERS,
    LAYOUTS,
    NAMES,
    POOLS,
    Pool,
    arranged,
    channels_first,
    dtype_of,
    sized,
)
from tests.pool.reference import Array, assert_close, each

SMALL = tuple(pool for pool in (*POOLS, *ADAPTIVE) if np.prod(pool.shape) * pool.window < 60e3)
VECTORS = (  # channels that make vectors of 16 bytes
    Pool((2, 16, 9, 11), 3, 2, 1),
    Pool((1, 32, 7, 8), 2),
    Pool((2, 16, 6, 7), 3, 3, 1, 1, True),
    Pool((1, 24, 7, 7), parts=1),
    Pool((2, 16, 5, 6), parts=(2, 4)),
    Pool((2, 8, 11), 3, 2, 1),
    Pool((1, 8, 3, 5, 6), (1, 2, 2), (2, 2, 1)),
    Pool((1, 8, 4, 5, 6), 3, 2, 1),
)


def averaging(pool: Pool, include: bool = True) -> dict[str, Any]:
    return {} if pool.parts is not None else {**pool.options, "count_include_pad": include}


def sizes(pool: Pool) -> tuple[Any, ...]:
    return (pool.parts,) if pool.parts is not None else (pool.kernel,)


def filled(shape: tuple[int, ...], dtype: Any) -> Array:
    """An array for results, of bits that are NaN where there are such."""
    return np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize, 0xFF, np.uint8).view(dtype).reshape(shape)


def check_max(pool: Pool, dtype: str = "float32", layout: str = "first") -> None:
    data = pool.data(dtype)
    truth, places = reference.max_pool(data, pool.windows())
    x, keywords = arranged(data, layout)
    options = {} if pool.parts is not None else {**pool.options, "dilation": pool.dilation}
    function = pool.function("max", konv.cuda)
    values, indices = function(x, *sizes(pool), **options, return_indices=True, **keywords)
    assert values.dtype == data.dtype
    np.testing.assert_array_equal(channels_first(values, layout), truth)
    np.testing.assert_array_equal(channels_first(indices, layout), places)
    out = filled(values.shape, data.dtype)
    assert function(x, *sizes(pool), **options, **keywords, out=out) is out
    np.testing.assert_array_equal(channels_first(out, layout), truth)
    if dtype not in FLOATS or (places < 0).any():
        return
    gy, _ = arranged(pool.gradient(dtype), layout)
    gradient = pool.function("max", konv.cuda.grad)(gy, indices, sized(pool.shape, layout), **keywords)
    wide = pool.gradient(dtype).astype(np.float64)
    expected = reference.max_pool_grad(wide, places, pool.shape)
    magnitude = reference.max_pool_grad(abs(wide), places, pool.shape)
    assert_close(channels_first(gradient, layout), expected, magnitude, pool.window)


def check_average(pool: Pool, dtype: str = "float32", layout: str = "first", include: bool = True) -> None:
    data, windows = pool.data(dtype), pool.windows(include)
    x, keywords = arranged(data, layout)
    y = pool.function("avg", konv.cuda)(x, *sizes(pool), **averaging(pool, include), **keywords)
    magnitude = reference.avg_pool(abs(data), windows)
    assert_close(channels_first(y, layout), reference.avg_pool(data, windows), magnitude, pool.window)
    gy = pool.gradient(dtype)
    given, _ = arranged(gy, layout)
    size = () if pool.parts is not None else sizes(pool)
    out = filled(x.shape, data.dtype)
    gradient = pool.function("avg", konv.cuda.grad)(
        given, sized(pool.shape, layout), *size, **averaging(pool, include), **keywords, out=out
    )
    assert gradient is out
    expected = reference.avg_pool_grad(gy, pool.shape, windows)
    magnitude = reference.avg_pool_grad(abs(gy), pool.shape, windows)
    assert_close(channels_first(gradient, layout), expected, magnitude, pool.window)


def check_power(pool: Pool, power: float, dtype: str = "float32", layout: str = "first") -> None:
    data, windows = pool.data(dtype), pool.windows()
    x, keywords = arranged(data, layout)
    options = {"stride": pool.stride, "ceil_mode": pool.ceil_mode}
    y = pool.function("lp", konv.cuda)(x, power, pool.kernel, **options, **keywords)
    tolerance = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}[dtype]
    wide = {"rtol": tolerance, "atol": tolerance}
    truth = reference.lp_pool(data, power, windows)
    np.testing.assert_allclose(channels_first(y, layout).astype(float), truth, **wide)
    gy = pool.gradient(dtype)
    given, _ = arranged(gy, layout)
    gradient = pool.function("lp", konv.cuda.grad)(given, x, power, pool.kernel, **options, **keywords)
    expected = reference.lp_pool_grad(gy.astype(np.float64), data, power, windows)
    np.testing.assert_allclose(channels_first(gradient, layout).astype(float), expected, **wide)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [*SMALL, *DILATED, *VECTORS], ids=str)
def test_max(pool: Pool, layout: str) -> None:
    check_max(pool, layout=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [*SMALL, *VECTORS], ids=str)
def test_average(pool: Pool, layout: str) -> None:
    check_average(pool, layout=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_dtypes(dtype: str, layout: str) -> None:
    for pool in (VECTORS[0], VECTORS[1], VECTORS[3], Pool((2, 3, 8, 9), 3, 2, 1)):
        check_max(pool, dtype, layout)
        if dtype in FLOATS:
            check_average(pool, dtype, layout, include=False)
    if dtype in FLOATS:
        check_power(Pool((2, 16, 8, 9), 3, 2), 2, dtype, layout)


@pytest.mark.parametrize("power", [1, 2, 3, 0.5, 2.5])
def test_powers(power: float) -> None:
    for pool in (Pool((1, 4, 7, 8), 3, 2, ceil_mode=True), Pool((2, 3, 11), 3, 1), Pool((1, 2, 4, 5, 6), 2)):
        check_power(pool, power)


@settings(max_examples=60)
@given(data=st.data())
def test_any_shape(data: Any) -> None:
    draw = data.draw
    dims = draw(st.integers(1, 3))
    size = draw(st.tuples(*[st.integers(1, 9)] * dims))
    kernel = tuple(draw(st.integers(1, n)) for n in size)
    stride = draw(st.tuples(*[st.integers(1, 4)] * dims))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    channels = draw(st.sampled_from([1, 3, 4, 8, 16]))
    parts = draw(st.one_of(st.none(), st.tuples(*[st.integers(1, 6)] * dims)))
    pool = Pool((draw(st.integers(1, 2)), channels, *size), kernel, stride, padding, 1, draw(st.booleans()), parts)
    layout, dtype = draw(st.sampled_from(LAYOUTS)), draw(st.sampled_from(FLOATS))
    check_max(pool, dtype, layout)
    check_average(pool, dtype, layout, draw(st.booleans()))


@pytest.mark.parametrize("convention", ["torch", "onnx", "tf"])
def test_conventions(convention: str) -> None:
    x = Pool((2, 5, 9, 10)).data()
    for keywords in ({"padding": "same"}, {"padding": "same_lower", "stride": 2}, {"stride": 2, "padding": "valid"}):
        options = {**keywords, "convention": convention}
        for name in ("max_pool2d", "avg_pool2d"):
            ours, theirs = (getattr(m, name)(x, 3, **options) for m in (konv.cuda, konv))
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        gy = np.ones_like(ours)
        ours, theirs = (m.grad.avg_pool2d(gy, x.shape, 3, **options) for m in (konv.cuda, konv))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_divisor_and_integer_averages() -> None:
    x = Pool((2, 3, 7, 8)).data()
    options = {"stride": 2, "padding": 1, "divisor_override": -3}
    np.testing.assert_allclose(konv.cuda.avg_pool2d(x, 3, **options), konv.avg_pool2d(x, 3, **options), rtol=1e-6)
    whole = Pool((2, 3, 7, 8)).data("int64")
    for keywords in (options, {}, {"stride": 1}):
        ours, theirs = (m.avg_pool2d(whole, 3, **keywords) for m in (konv.cuda, konv))
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinity(dtype: str, layout: str) -> None:
    rng = np.random.default_rng(0)
    for pool in (Pool((2, 8, 9, 9), 3, 2, 1), Pool((1, 8, 6, 6), 2), Pool((1, 8, 5, 5), parts=1)):
        data = pool.data(dtype)
        data[rng.random(data.shape) < 0.1] = np.nan
        data[rng.random(data.shape) < 0.3] = -np.inf
        truth, places = reference.max_pool(data, pool.windows())
        x, keywords = arranged(data, layout)
        options = {} if pool.parts is not None else pool.options
        values, indices = pool.function("max", konv.cuda)(x, *sizes(pool), return_indices=True, **options, **keywords)
        np.testing.assert_array_equal(channels_first(values, layout).astype(float), truth.astype(float))
        np.testing.assert_array_equal(channels_first(indices, layout), places)
        values = pool.function("max", konv.cuda)(x, *sizes(pool), **options, **keywords)
        np.testing.assert_array_equal(channels_first(values, layout).astype(float), truth.astype(float))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_unpool(dtype: str, layout: str) -> None:
    rng = np.random.default_rng(0)
    for shape, size in (((2, 8, 3, 4), (6, 8)), ((1, 3, 5), (10,)), ((1, 16, 2, 3, 2), (4, 6, 4))):
        y = rng.standard_normal(shape).astype(dtype_of(dtype))
        count = int(np.prod(shape[2:]))
        places = rng.integers(0, np.prod(size), (*shape[:2], count)).reshape(shape)  # some more than once
        (given, keywords), (index, _) = arranged(y, layout), arranged(places, layout)
        out = getattr(konv.cuda, f"max_unpool{len(size)}d")(given, index, 2, **keywords)
        np.testing.assert_array_equal(channels_first(out, layout), reference.max_unpool(y, places, size))
        gradient = getattr(konv.cuda.grad, f"max_unpool{len(size)}d")(out, index, given.shape, **keywords)
        whole = channels_first(out, layout).reshape(*shape[:2], -1)
        taken = np.take_along_axis(whole, places.reshape(*shape[:2], -1), -1).reshape(shape)
        np.testing.assert_array_equal(channels_first(gradient, layout), taken)


def test_indices_from_anywhere() -> None:
    """Gradients of maxima add up for indices that no regular window would give; the order of sums is fixed."""
    rng = np.random.default_rng(0)
    gy = rng.standard_normal((2, 4, 5, 6)).astype(np.float32)
    places = rng.integers(0, 9 * 7, gy.shape)
    ours = konv.cuda.grad.max_pool2d(gy, places, (2, 4, 9, 7))
    expected = reference.max_pool_grad(gy, places, (2, 4, 9, 7))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours, konv.cuda.grad.max_pool2d(gy, places, (2, 4, 9, 7)))
    on_device = [konv.cuda.to_device(a) for a in (gy, np.where(places < 9, -5, places), np.full_like(places, 63))]
    passed = konv.cuda.grad.max_pool2d(on_device[0], on_device[1], (2, 4, 9, 7)).numpy()
    np.testing.assert_array_equal(passed, np.where(np.arange(63).reshape(9, 7) < 9, 0, ours))
    np.testing.assert_array_equal(konv.cuda.grad.max_pool2d(on_device[0], on_device[2], (2, 4, 9, 7)).numpy(), 0)


def test_arrays_on_devices_and_any_strides() -> None:
    pool = Pool((2, 6, 12, 10), 3, 2, 1)
    data = pool.data()
    truth, places = reference.max_pool(data, pool.windows())
    x = konv.cuda.to_device(data)
    values, indices = konv.max_pool2d(x, 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(values.numpy(), truth)
    np.testing.assert_array_equal(indices.numpy(), places)
    out = konv.cuda.to_device(np.full_like(truth, np.nan))
    first, second = konv.max_pool2d(x, 3, 2, 1, return_indices=True, out=out)
    assert first is out
    np.testing.assert_array_equal(out.numpy(), truth)
    np.testing.assert_array_equal(second.numpy(), places)
    gradient = konv.grad.max_pool2d(values, indices, data.shape)
    np.testing.assert_allclose(gradient.numpy(), reference.max_pool_grad(truth, places, data.shape), rtol=1e-6)
    turned = x.transpose(0, 1, 3, 2)
    swapped = reference.max_pool(data.swapaxes(2, 3), pool.windows().__class__.regular((10, 12), 3, 2, 1))[0]
    np.testing.assert_array_equal(konv.max_pool2d(turned, 3, 2, 1).numpy(), swapped)
    last = konv.cuda.to_device(np.ascontiguousarray(data.transpose(0, 2, 3, 1))).transpose(0, 3, 1, 2)
    assert konv.max_pool2d(last, 3, 2, 1).strides[1] == 4  # channels innermost, as in the input
    np.testing.assert_allclose(
        konv.adaptive_avg_pool2d(last, 1).numpy(), data.mean((2, 3), keepdims=True), rtol=1e-6, atol=1e-6
    )


def test_unbatched_and_empty() -> None:
    x = Pool((2, 3, 8, 8)).data()
    np.testing.assert_array_equal(konv.cuda.max_pool2d(x[0], 2), konv.max_pool2d(x[0], 2))
    assert konv.cuda.avg_pool2d(x[:0], 2).shape == (0, 3, 4, 4)
    assert konv.cuda.adaptive_avg_pool2d(x, 0).shape == (2, 3, 0, 0)
    none = np.zeros((2, 3, 0, 0), np.float32)
    np.testing.assert_array_equal(konv.cuda.grad.adaptive_avg_pool2d(none, x.shape), np.zeros_like(x))
    np.testing.assert_array_equal(
        konv.cuda.grad.adaptive_max_pool2d(none, none.astype(np.int64), x.shape), np.zeros_like(x)
    )


def test_windows_beyond_the_input() -> None:
    pool = Pool((1, 4, 7, 7), 2, 1, 1, 6)
    values, indices = konv.cuda.max_pool2d(pool.data(), 2, 1, 1, 6, return_indices=True)
    theirs = konv.max_pool2d(pool.data(), 2, 1, 1, 6, return_indices=True)
    np.testing.assert_array_equal(values, theirs[0])
    np.testing.assert_array_equal(indices, theirs[1])


X = Pool((2, 3, 8, 8)).data()


@pytest.mark.parametrize(
    ("error", "match", "name", "args", "keywords"),
    [
        (ValueError, "padding: expected at most half", "max_pool2d", (X, 2), {"padding": 2}),
        (ValueError, "convention: expected", "max_pool2d", (X, 2), {"convention": "keras"}),
        (ValueError, "input: expected 4 dimensions", "avg_pool2d", (X[0, 0], 2), {}),
        (TypeError, "input: expected dtype", "avg_pool2d", (X.astype(np.int32), 2), {}),
        (TypeError, "input: expected dtype", "lp_pool2d", (X.astype(np.int64), 2, 2), {}),
        (ValueError, "norm_type: expected a positive", "lp_pool2d", (X, 0, 2), {}),
        (ValueError, "divisor_override", "avg_pool2d", (X, 2), {"divisor_override": 0}),
        (ValueError, "out: expected shape", "max_pool2d", (X, 2), {"out": X}),
        (ValueError, "output_size: expected", "adaptive_avg_pool2d", (X, (1, 2, 3)), {}),
        (ValueError, "kernel_size: a kernel of 9", "max_pool2d", (X, 9), {}),
        (ValueError, "indices: expected shape", "max_unpool2d", (X, np.zeros((2, 3, 4, 4), np.int64), 2), {}),
        (ValueError, "indices: expected values from 0 to 255", "max_unpool2d", (X, np.full(X.shape, 256), 2), {}),
        (TypeError, "indices: expected dtype int64", "max_unpool2d", (X, X, 2), {}),
        (ValueError, "grad_output: expected shape", "grad.avg_pool2d", (X, X.shape, 2), {}),
        (ValueError, "indices: expected values", "grad.max_pool2d", (X, np.full(X.shape, -1), X.shape), {}),
        (ValueError, "input_size: expected the batch", "grad.adaptive_avg_pool2d", (X, (2, 4, 8, 8)), {}),
    ],
)
def test_bad_input(error: type[Exception], match: str, name: str, args: Any, keywords: dict[str, Any]) -> None:
    function = getattr(konv.cuda.grad if name.startswith("grad.") else konv.cuda, name.removeprefix("grad."))
    with pytest.raises(error, match=match):
        function(*args, **keywords)


def test_names_of_layouts() -> None:
    for spatial, layout in NAMES.items():
        x = np.ones((1, *each(4, spatial), 2), np.float32)
        assert getattr(konv.cuda, f"max_pool{spatial}d")(x, 2, layout=layout).shape == (1, *each(2, spatial), 2)
