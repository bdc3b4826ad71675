"""What training is made of, each step against float64 NumPy, at sizes around every vector width."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from konv._graph import ir

from .programs import gradients, run

SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 70_001)
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


def unary(kind, **parameters):
    return lambda graph, x: graph.add("unary", [x], x.shape, kind=kind, **parameters)


def softmax(graph, x):
    return graph.add("softmax", [x], x.shape, axis=1)


def entropy(graph, scores, labels):
    return graph.add_many("cross_entropy", [scores, labels], [scores.shape[:1], scores.shape])[0]


def dropout(rate):
    return lambda graph, x, seed: graph.add("dropout", [x, seed], x.shape, rate=rate)


@pytest.mark.parametrize("n", SIZES)
def test_sigmoid_and_tanh(n, dtype):
    x, grad = samples(n, dtype), samples(n, dtype, 1)
    y, out = gradients(unary("sigmoid"), grad, x)
    close(y, 1 / (1 + np.exp(-wide(x))), dtype)
    np.testing.assert_allclose(out, wide(grad) * (wide(y) * (1 - y)), rtol=0, atol=40 * float(np.finfo(dtype).eps))
    y, out = gradients(unary("tanh"), grad, x)
    close(y, np.tanh(wide(x)), dtype)
    np.testing.assert_allclose(out, wide(grad) * (1 - wide(y) ** 2), rtol=0, atol=40 * float(np.finfo(dtype).eps))


def test_extremes(dtype):
    big = float(np.log(np.finfo(dtype).max)) + 20
    x = np.array([0.0, -0.0, big, -big, np.inf, -np.inf, np.nan, 1e-30, -1e-30], dtype)
    np.testing.assert_allclose(run(unary("sigmoid"), x)[0], [0.5, 0.5, 1, 0, 1, 0, np.nan, 0.5, 0.5], atol=1e-30)
    np.testing.assert_allclose(run(unary("tanh"), x)[0], [0, 0, 1, -1, 1, -1, np.nan, 1e-30, -1e-30], rtol=1e-6)
    for huge in (np.array([[big * 10, 0, -big * 10]], dtype), np.array([[1e30, 1e30]], dtype)):
        (rows,) = run(softmax, huge)
        assert np.isfinite(rows).all()
        assert rows.sum() == 1


def test_tanh_near_zero_keeps_relative_accuracy(dtype):
    x = np.geomspace(1e-8, 2, 1000).astype(dtype)
    close(run(unary("tanh"), x)[0], np.tanh(wide(x)), dtype, 4)
    close(run(unary("tanh"), -x)[0], -np.tanh(wide(x)), dtype, 4)


@pytest.mark.parametrize("n", SIZES)
def test_relus(n, dtype):
    x, grad = samples(n, dtype), samples(n, dtype, 1)
    np.testing.assert_array_equal(gradients(unary("relu"), grad, x)[1], np.where(x > 0, grad, 0))
    y, out = gradients(unary("clipped", p=0.5, q=3.0, r=0.25), grad, x)
    close(y, np.where(x < 0.25, 0.5 * (wide(x) - 0.25), np.minimum(x, 3)), dtype)
    close(out, wide(grad) * np.where(x <= 0.25, 0.5, np.where(x >= 3, 0, 1)), dtype)


def test_relus_keep_nan(dtype):
    x = np.array([np.nan, 1.0], dtype)
    np.testing.assert_array_equal(run(unary("clipped", p=0.0, q=np.inf, r=0.0), x)[0], x)


@pytest.mark.parametrize("columns", [1, 2, 3, 8, 9, 10, 16, 17, 33, 1000])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_softmax_and_its_loss(rows, columns, dtype):
    x = samples(rows * columns, dtype).reshape(rows, columns)
    upstream = samples(rows * columns, dtype, 1).reshape(rows, columns)
    y, out = gradients(softmax, upstream, x)
    powers = np.exp(wide(x) - wide(x).max(axis=1, keepdims=True))
    p = powers / powers.sum(axis=1, keepdims=True)
    close(y, p, dtype, 8 + columns)
    mean = (wide(y) * upstream).sum(axis=1, keepdims=True)
    tolerance = (100 + columns) * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out, wide(y) * (upstream - mean), rtol=0, atol=tolerance)

    labels = np.random.default_rng(2).integers(0, columns, rows)
    shares = abs(samples(rows * columns, dtype, 4).reshape(rows, columns))
    one_hot = np.eye(columns, dtype=dtype)[labels]
    each = samples(rows, dtype, 3)
    for targets, wanted in ((labels, one_hot), (one_hot, one_hot), (shares, shares)):
        loss, *grads = gradients(entropy, each, x, targets)
        total = wide(wanted).sum(axis=1, keepdims=True)
        scale = 1 + total.max()
        np.testing.assert_allclose(loss, -(wanted * np.log(p)).sum(axis=1), rtol=tolerance, atol=tolerance * scale)
        expected = wide(each)[:, None] * (p * total - wanted)
        np.testing.assert_allclose(grads[0], expected, rtol=0, atol=16 * tolerance * scale)


@pytest.mark.parametrize("n", SIZES)
def test_optimizer_steps(n, dtype):
    start, grad = samples(n, dtype), samples(n, dtype, 1)
    mean, square = samples(n, dtype, 2), abs(samples(n, dtype, 3))

    def step(op, rates, kept, **attributes):
        value, *state = (a.copy() for a in (start, *kept))

        def build(graph, g, r):
            variables = [ir.variable(a) for a in state] or [None]
            graph.nodes.append(ir.Node(op, [ir.variable(value), g, *variables, r], [], attributes))

        run(build, grad, np.array(rates))
        return value, *state

    tolerance = 40 * float(np.finfo(dtype).eps)
    for decay in (0.0, 0.25):
        betas = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
        value, m, v = step("adam", [0.01, decay], (mean, square), **betas)
        m_expected = wide(mean) + (wide(grad) - mean) * np.longdouble(1 - 0.9)
        v_expected = wide(square) + (wide(grad) ** 2 - square) * np.longdouble(1 - 0.99)
        np.testing.assert_allclose(m, m_expected, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(v, v_expected, rtol=tolerance, atol=tolerance)
        moved = 0.01 * m_expected / (np.sqrt(v_expected) + 1e-7)
        np.testing.assert_allclose(value, (1 - decay) * wide(start) - moved, rtol=tolerance, atol=tolerance)

    (value,) = step("sgd", [0.1], (), momentum=0.0, nesterov=False)
    np.testing.assert_allclose(value, start - 0.1 * wide(grad), rtol=tolerance, atol=tolerance)
    for nesterov in (False, True):
        value, velocity = step("sgd", [0.1], (mean,), momentum=0.9, nesterov=nesterov)
        expected = 0.9 * wide(mean) - 0.1 * wide(grad)
        np.testing.assert_allclose(velocity, expected, rtol=tolerance, atol=tolerance)
        moved = 0.9 * expected - 0.1 * wide(grad) if nesterov else expected
        np.testing.assert_allclose(value, start + moved, rtol=tolerance, atol=tolerance)


def test_dropout(dtype):
    x = samples(100_000, dtype) + 100
    a, b = (run(dropout(0.3), x, np.array([seed]))[0] for seed in (11, 12))
    kept = a != 0
    assert abs(kept.mean() - 0.7) < 0.01
    close(a[kept], wide(x)[kept] / 0.7, dtype)
    both = (kept & (b != 0)).mean()
    assert abs(both - 0.49) < 0.01
    assert abs((kept[1:] & kept[:-1]).mean() - 0.49) < 0.01
    np.testing.assert_array_equal(a, run(dropout(0.3), x, np.array([11]))[0])
    assert not run(dropout(1.0), x, np.array([11]))[0].any()
    np.testing.assert_array_equal(run(dropout(0.0), x, np.array([2**62]))[0], x)


@pytest.mark.parametrize("rows", [2, 17, 5000])
@pytest.mark.parametrize("channels", [1, 3, 8, 17, 64, 100])
def test_batch_norm(rows, channels, dtype):
    """Statistics, result and gradients, with a residual and a relu, of data far from zero."""
    rng = np.random.default_rng(rows + channels)
    x = (rng.standard_normal((rows, channels)) + 5).astype(dtype)
    residual, grad = (rng.standard_normal((rows, channels)).astype(dtype) for _ in range(2))
    gamma, beta = (rng.standard_normal(channels).astype(dtype) for _ in range(2))
    moving = [np.full(channels, 2.0, dtype), np.full(channels, 3.0, dtype)]
    options = {"epsilon": 1e-3, "momentum": 0.75, "low": 0.0, "high": np.inf}

    def build(graph, x, gamma, beta, residual):
        kept = [ir.variable(a) for a in moving]
        shapes = [x.shape, (channels,), (channels,)]
        return graph.add_many("batch_norm", [x, gamma, beta, residual, *kept], shapes, **options)[0]

    y, dx, dgamma, dbeta, dresidual = gradients(build, grad, x, gamma, beta, residual)
    mean, variance = wide(x).mean(axis=0), wide(x).var(axis=0)
    root = np.sqrt(variance + np.longdouble(1e-3))
    unit = (x - mean) / root
    expected = np.maximum(unit * gamma + beta + residual, 0)
    eps = float(np.finfo(dtype).eps)
    size = 1 + float((abs(gamma) / root).max())
    np.testing.assert_allclose(y, expected, rtol=0, atol=60 * eps * size)
    g = np.where(y > 0, wide(grad), 0)
    np.testing.assert_array_equal(dresidual, g)
    tolerance = 60 * eps * np.sqrt(rows)
    np.testing.assert_allclose(dbeta, g.sum(axis=0), rtol=0, atol=tolerance * 4)
    np.testing.assert_allclose(dgamma, (g * unit).sum(axis=0), rtol=0, atol=tolerance * 8)
    centred = g - g.mean(axis=0) - unit * (g * unit).mean(axis=0)
    np.testing.assert_allclose(dx, centred * gamma / root, rtol=0, atol=100 * eps * size)
    np.testing.assert_allclose(moving[0], 0.75 * 2 + 0.25 * mean, rtol=16 * eps)
    np.testing.assert_allclose(moving[1], 0.75 * 3 + 0.25 * variance, rtol=64 * eps)


@pytest.mark.usefixtures("restore_threads")
def test_any_number_of_threads_gives_the_same_bits(dtype):
    x, grad = (samples(300_000, dtype, seed).reshape(30_000, 10) for seed in (0, 1))
    labels, seed = np.arange(30_000) % 10, np.array([5])

    def build(graph, x, labels, seed):
        shapes = [x.shape, (10,), (10,)]
        options = {"epsilon": 1e-3, "momentum": 0.9, "low": 0.0, "high": np.inf}
        y = graph.add_many("batch_norm", [x, None, None, None, None, None], shapes, **options)[0]
        y = graph.add("dropout", [y, seed], y.shape, rate=0.4)
        loss = graph.add_many("cross_entropy", [y, labels], [y.shape[:1], y.shape])[0]
        total = graph.add("sum", [graph.add("reshape", [loss], (30_000, 1))], (1, 1))
        return graph.add("binary", [softmax(graph, y), total], y.shape, kind="multiply")

    results = []
    for threads in (1, 2, 3):
        konv.set_num_threads(threads)
        results.append([a.tobytes() for a in gradients(build, grad, x, labels, seed)])
    assert results[0] == results[1] == results[2]
