"""The element-wise kernels against float64 NumPy, at sizes around every vector width."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from konv import _core

SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 70_001)
LEVELS = konv.info()["isa_levels"]

pytestmark = [
    pytest.mark.parametrize("isa", LEVELS),
    pytest.mark.parametrize("dtype", ["float32", "float64"]),
]


@pytest.fixture(autouse=True)
def level(isa):
    with konv.config(isa=isa):
        yield


def samples(n: int, dtype: str, seed: int = 0) -> np.ndarray:
    return (4 * np.random.default_rng(seed).standard_normal(n)).astype(dtype)


def close(found, expected, dtype, ulps=8):
    """Within `ulps` of a float64 computation; for float64 that has its own rounding."""
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, expected, rtol=ulps * eps, atol=ulps * np.finfo(dtype).tiny)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.longdouble)


@pytest.mark.parametrize("n", SIZES)
def test_sigmoid_and_tanh(n, dtype):
    x, grad = samples(n, dtype), samples(n, dtype, 1)
    y, out = np.empty_like(x), np.empty_like(x)
    _core.sigmoid(x, y)
    close(y, 1 / (1 + np.exp(-wide(x))), dtype)
    _core.sigmoid_grad(y, grad, out)
    close(out, wide(grad) * (wide(y) * (1 - y)), dtype)
    _core.tanh(x, y)
    close(y, np.tanh(wide(x)), dtype)
    _core.tanh_grad(y, grad, out)
    np.testing.assert_allclose(out, wide(grad) * (1 - wide(y) ** 2), rtol=0, atol=40 * float(np.finfo(dtype).eps))


def test_extremes(dtype):
    big = float(np.log(np.finfo(dtype).max)) + 20
    x = np.array([0.0, -0.0, big, -big, np.inf, -np.inf, np.nan, 1e-30, -1e-30], dtype)
    out = np.empty_like(x)
    _core.sigmoid(x, out)
    np.testing.assert_allclose(out, [0.5, 0.5, 1, 0, 1, 0, np.nan, 0.5, 0.5], atol=1e-30)
    _core.tanh(x, out)
    np.testing.assert_allclose(out, [0, 0, 1, -1, 1, -1, np.nan, 1e-30, -1e-30], rtol=1e-6)
    for huge in (np.array([[big * 10, 0, -big * 10]], dtype), np.array([[1e30, 1e30]], dtype)):
        rows = np.empty_like(huge)
        _core.softmax(huge, rows)
        assert np.isfinite(rows).all()
        assert rows.sum() == 1


def test_tanh_near_zero_keeps_relative_accuracy(dtype):
    x = np.geomspace(1e-8, 2, 1000).astype(dtype)
    out = np.empty_like(x)
    _core.tanh(x, out)
    close(out, np.tanh(wide(x)), dtype, 4)
    _core.tanh(-x, out)
    close(out, -np.tanh(wide(x)), dtype, 4)


@pytest.mark.parametrize("n", SIZES)
def test_relus(n, dtype):
    x, grad = samples(n, dtype), samples(n, dtype, 1)
    out = np.empty_like(x)
    _core.relu_grad(x, grad, out)
    np.testing.assert_array_equal(out, np.where(x > 0, grad, 0))
    _core.clipped_relu(x, out, 0.5, 3.0, 0.25)
    close(out, np.where(x < 0.25, 0.5 * (wide(x) - 0.25), np.minimum(x, 3)), dtype)
    _core.clipped_relu_grad(x, grad, out, 0.5, 3.0, 0.25)
    close(out, wide(grad) * np.where(x <= 0.25, 0.5, np.where(x >= 3, 0, 1)), dtype)


def test_relus_keep_nan(dtype):
    x = np.array([np.nan, 1.0], dtype)
    out = np.empty_like(x)
    _core.clipped_relu(x, out, 0.0, np.inf, 0.0)
    np.testing.assert_array_equal(out, x)


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 9, 10, 16, 17, 33, 1000])
@pytest.mark.parametrize("rows", [0, 1, 7, 100])
def test_softmax_and_its_loss(rows, columns, dtype):
    x = samples(rows * columns, dtype).reshape(rows, columns)
    upstream = samples(rows * columns, dtype, 1).reshape(rows, columns)
    y, out = np.empty_like(x), np.empty_like(x)
    _core.softmax(x, y)
    powers = np.exp(wide(x) - wide(x).max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    close(y, p, dtype, 8 + columns)
    _core.softmax_grad(y, upstream, out)
    mean = (wide(y) * upstream).sum(axis=1, keepdims=True)
    tolerance = (100 + columns) * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out, wide(y) * (upstream - mean), rtol=0, atol=tolerance)

    labels = np.random.default_rng(2).integers(0, columns, rows)
    one_hot = np.eye(columns, dtype=dtype)[labels]
    expected = float(-np.log(p[np.arange(rows), labels]).sum())
    for targets in (labels, one_hot):
        found = _core.softmax_cross_entropy(x, targets, out, 0.5)
        assert found == pytest.approx(expected, rel=tolerance)
        np.testing.assert_allclose(out, 0.5 * (p - one_hot), rtol=0, atol=tolerance)
        assert _core.softmax_cross_entropy(x, targets, None, 0.5) == found


@pytest.mark.parametrize("n", SIZES)
def test_optimizer_steps(n, dtype):
    start, grad = samples(n, dtype), samples(n, dtype, 1)
    mean, square = samples(n, dtype, 2), abs(samples(n, dtype, 3))
    value, m, v = start.copy(), mean.copy(), square.copy()
    _core.adam_step(value, grad, m, v, 0.01, 0.9, 0.99, 1e-7)
    m_expected = wide(mean) + (wide(grad) - mean) * np.longdouble(1 - 0.9)
    v_expected = wide(square) + (wide(grad) ** 2 - square) * np.longdouble(1 - 0.99)
    tolerance = 40 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(m, m_expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(v, v_expected, rtol=tolerance, atol=tolerance)
    step = 0.01 * m_expected / (np.sqrt(v_expected) + 1e-7)
    np.testing.assert_allclose(value, start - step, rtol=tolerance, atol=tolerance)

    value = start.copy()
    _core.sgd_step(value, grad, None, 0.1, 0.0, False)
    np.testing.assert_allclose(value, start - 0.1 * wide(grad), rtol=tolerance, atol=tolerance)
    for nesterov in (False, True):
        value, velocity = start.copy(), mean.copy()
        _core.sgd_step(value, grad, velocity, 0.1, 0.9, nesterov)
        expected = 0.9 * wide(mean) - 0.1 * wide(grad)
        np.testing.assert_allclose(velocity, expected, rtol=tolerance, atol=tolerance)
        step = 0.9 * expected - 0.1 * wide(grad) if nesterov else expected
        np.testing.assert_allclose(value, start + step, rtol=tolerance, atol=tolerance)


def test_dropout(dtype):
    x = samples(100_000, dtype) + 100
    a, b = np.empty_like(x), np.empty_like(x)
    _core.dropout(x, a, 0.3, 11)
    _core.dropout(x, b, 0.3, 12)
    kept = a != 0
    assert abs(kept.mean() - 0.7) < 0.01
    close(a[kept], wide(x)[kept] / 0.7, dtype)
    both = (kept & (b != 0)).mean()
    assert abs(both - 0.49) < 0.01
    assert abs((kept[1:] & kept[:-1]).mean() - 0.49) < 0.01
    _core.dropout(x, b, 0.3, 11)
    np.testing.assert_array_equal(a, b)
    _core.dropout(x, a, 1.0, 11)
    assert not a.any()
    _core.dropout(x, a, 0.0, 2**63)
    np.testing.assert_array_equal(a, x)


@pytest.mark.usefixtures("restore_threads")
def test_any_number_of_threads_gives_the_same_bits(dtype):
    x, grad = samples(300_000, dtype), samples(300_000, dtype, 1)
    rows, labels = x.reshape(30_000, 10), np.arange(30_000) % 10
    results = []
    for threads in (1, 2, 3):
        konv.set_num_threads(threads)
        out = np.empty((6, x.size), dtype)
        _core.tanh(x, out[0])
        _core.dropout(x, out[1], 0.4, 5)
        _core.softmax(rows, out[2].reshape(rows.shape))
        loss = _core.softmax_cross_entropy(rows, labels, out[3].reshape(rows.shape), 1.0)
        out[4] = x
        out[5] = 0
        _core.adam_step(out[4], grad, out[5], abs(grad), 0.1, 0.9, 0.99, 1e-7)
        results.append((out.tobytes(), loss))
    assert results[0] == results[1] == results[2]


def test_arrays_that_do_not_fit_are_refused(dtype):
    x, other = np.ones(4, dtype), np.ones(5, dtype)
    with pytest.raises(ValueError, match="out: expected shape"):
        _core.tanh(x, other)
    with pytest.raises(ValueError, match="contiguous"):
        _core.tanh(np.ones(8, dtype)[::2], x)
    with pytest.raises(TypeError, match="out: expected dtype"):
        _core.tanh(x, np.ones(4, "float64" if dtype == "float32" else "float32"))
    with pytest.raises(TypeError, match="float32 or float64"):
        _core.tanh(np.ones(4, int), x)
    frozen = np.ones(4, dtype)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="writable"):
        _core.tanh(x, frozen)
    logits = np.ones((2, 3), dtype)
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="classes from 0 to 2"):
            _core.softmax_cross_entropy(logits, np.array(labels), None, 1.0)
    with pytest.raises(ValueError, match="share"):
        _core.softmax_cross_entropy(logits, np.array([0, 1]), logits, 1.0)
    with pytest.raises(ValueError, match="rate"):
        _core.dropout(x, x, 1.5, 0)
