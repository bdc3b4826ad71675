"""Losses, metrics and optimizers, each against PyTorch or a formula."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn
from konv._graph import ir
from konv.nn import losses, metrics, ops, optimizers
from konv.nn.losses import Prediction
from konv.nn.ops import Symbol
from tests.graph.programs import gradients


def value_and_grad(loss, y, prediction):
    """The mean loss, and its gradient with respect to the prediction."""
    targets = loss.targets(y, prediction.shape, prediction.dtype)
    columns = prediction.shape[-1]
    rows = targets.reshape(-1) if targets.dtype == np.int64 else targets.reshape(-1, columns)

    def build(graph, p):
        each = loss.rows(Symbol(graph, ir.constant(rows)), Prediction(Symbol(graph, p)))
        return ops.mean(each, axis=0).node_value

    value, grad = gradients(build, np.ones((1, 1), prediction.dtype), prediction.reshape(-1, columns))
    return value.item(), grad.reshape(prediction.shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5)])
def test_cross_entropy_of_logits_against_pytorch(shape, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    labels = rng.integers(0, 5, shape[:-1])
    one_hot = np.eye(5)[labels]
    torch_x = torch.from_numpy(x).reshape(-1, 5).requires_grad_()
    eps = float(np.finfo(dtype).eps)
    for smoothing in (0.0, 0.2):
        expected = torch.nn.functional.cross_entropy(
            torch_x, torch.from_numpy(labels.ravel()), label_smoothing=smoothing
        )
        (expected_grad,) = torch.autograd.grad(expected, torch_x)
        pairs = [(nn.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing), one_hot)]
        if not smoothing:
            pairs.append((nn.SparseCategoricalCrossentropy(from_logits=True), labels))
            pairs.append((nn.SparseCategoricalCrossentropy(from_logits=True), labels[..., None]))
        for loss, y in pairs:
            value, grad = value_and_grad(loss, y, x)
            assert value == pytest.approx(float(expected.detach()), rel=40 * eps)
            np.testing.assert_allclose(grad.reshape(-1, 5), expected_grad.numpy(), atol=40 * eps)
            assert loss(y, x) == value


@pytest.mark.parametrize("sparse", [True, False])
def test_cross_entropy_of_probabilities(sparse):
    rng = np.random.default_rng(1)
    p = rng.random((4, 3)) + 0.1
    labels = np.array([0, 2, 1, 1])
    loss = nn.SparseCategoricalCrossentropy() if sparse else nn.CategoricalCrossentropy()
    y = labels if sparse else np.eye(3)[labels]
    value, grad = value_and_grad(loss, y, p)
    assert value == pytest.approx(-np.log(p[np.arange(4), labels] / p.sum(axis=1)).mean())
    for i in np.ndindex(p.shape):
        step = np.zeros_like(p)
        step[i] = 1e-6
        assert grad[i] == pytest.approx((loss(y, p + step) - loss(y, p - step)) / 2e-6, abs=1e-8)
    # Keras cuts probabilities off at 1e-7.
    assert loss(y[:1], np.array([[0.0, 1.0, 0.0]])) == pytest.approx(-np.log(1e-7))


def test_mean_squared_error():
    y, p = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.5, 2.0], [2.0, 4.0]])
    value, grad = value_and_grad(nn.MeanSquaredError(), y, p)
    assert value == (0.25 + 1) / 4
    np.testing.assert_array_equal(grad, (p - y) / 2)
    assert nn.MeanSquaredError()([1, 2], [[1.0], [2.0]]) == 0


TORCH = {
    "mean_squared_error": lambda F, y, p: F.mse_loss(p, y),
    "mean_absolute_error": lambda F, y, p: F.l1_loss(p, y),
    "huber": lambda F, y, p: F.huber_loss(p, y),
    "binary_crossentropy": lambda F, y, p: F.binary_cross_entropy(p, y),
    "kl_divergence": lambda F, y, p: F.kl_div(p.log(), y, reduction="batchmean"),
    "hinge": lambda _, y, p: (1 - (2 * y - 1) * p).clamp(min=0).mean(),
}


@pytest.mark.parametrize("name", TORCH)
def test_losses_of_numbers_against_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    p = rng.uniform(0.05, 0.95, (6, 4)) * (3 if name in ("mean_absolute_error", "huber") else 1)
    y = (
        rng.integers(0, 2, (6, 4)).astype(float)
        if name in ("hinge", "binary_crossentropy")
        else rng.uniform(0.1, 0.9, (6, 4))
    )
    value, grad = value_and_grad(losses.get(name), y, p)
    torch_p = torch.from_numpy(p).requires_grad_()
    expected = TORCH[name](torch.nn.functional, torch.from_numpy(y), torch_p)
    expected.backward()
    assert value == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(grad, torch_p.grad.numpy(), rtol=1e-10, atol=1e-13)
    assert losses.get(name)(y, p) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_cross_entropy_is_exact_far_from_zero(from_logits):
    """A model that ends in a sigmoid trains on what lies in front of it."""
    loss = nn.BinaryCrossentropy(from_logits=True)
    assert loss([[1.0], [0.0]], [[-200.0], [200.0]]) == 200.0
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1, kernel_initializer="ones"), nn.Activation("sigmoid")])
    if from_logits:
        model.pop()
    model.compile("sgd", nn.BinaryCrossentropy(from_logits=from_logits))
    assert model.evaluate(np.array([[-200.0], [200.0]]), np.array([1.0, 0.0]), verbose=0) == 200.0


def test_a_loss_of_the_users_own():
    def lopsided(y_true, y_pred):
        error = y_true - y_pred
        return ops.mean(ops.maximum(2 * error, -error), axis=-1)

    loss = losses.get(lopsided)
    y, p = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.5, 2.0], [2.0, 5.0]])
    value, grad = value_and_grad(loss, y, p)
    error = y - p
    assert value == pytest.approx(np.maximum(2 * error, -error).mean())
    np.testing.assert_allclose(grad, np.array([[1, -0.5], [-2, 1]]) / 4)  # halves where both sides are equal
    assert loss.name == "lopsided"
    with pytest.raises(TypeError, match="symbol"):
        losses.get(lambda *_: 1.0)(y, p)


def test_symbols_follow_numpy():
    rng = np.random.default_rng(5)
    x = rng.uniform(0.5, 2, (4, 5))
    cases = {
        "arithmetic": (lambda s: (1 - s) * 2 / (s + 3) - -s, lambda x: (1 - x) * 2 / (x + 3) + x),
        "columns": (lambda s: s[:, 1:4:2] + s[..., 0:1], lambda x: x[:, 1:4:2] + x[:, 0:1]),
        "sums": (lambda s: s / ops.sum(s) + ops.mean(s, axis=0), lambda x: x / x.sum(1, keepdims=True) + x.mean(0)),
        "functions": (
            lambda s: ops.log(s) + ops.sqrt(s) * ops.exp(-s) + ops.tanh(s) - ops.sigmoid(s) + ops.abs(s - 1),
            lambda x: np.log(x) + np.sqrt(x) * np.exp(-x) + np.tanh(x) - 1 / (1 + np.exp(-x)) + abs(x - 1),
        ),
        "bounds": (lambda s: ops.clip(s, 0.8, 1.5) + ops.minimum(s, 1) * ops.relu(s - 1),
                   lambda x: np.clip(x, 0.8, 1.5) + np.minimum(x, 1) * np.maximum(x - 1, 0)),
    }  # fmt: skip
    for name, (symbolic, numeric) in cases.items():
        expected = numeric(x)
        upstream = rng.standard_normal(expected.shape)
        y, grad = gradients(lambda graph, v, f=symbolic: f(Symbol(graph, v)).node_value, upstream, x)
        np.testing.assert_allclose(y, expected, rtol=1e-13, err_msg=name)
        for i in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[i] = 1e-6
            slope = ((numeric(x + step) - numeric(x - step)) * upstream).sum() / 2e-6
            assert grad[i] == pytest.approx(slope, abs=2e-8), (name, i)


@pytest.mark.parametrize("cut", [0, (slice(1, 2), slice(1)), (slice(None), slice(3, 1)), (slice(None), 1)])
def test_symbols_are_cut_by_columns(cut):
    graph = ir.Graph()
    with pytest.raises((TypeError, ValueError), match=r"column|rows"):
        Symbol(graph, ir.Value((4, 5), np.dtype(np.float64)))[cut]


def test_names_of_losses_metrics_and_optimizers():
    assert isinstance(losses.get("mse"), nn.MeanSquaredError)
    assert isinstance(losses.get("categorical_crossentropy"), nn.CategoricalCrossentropy)
    assert isinstance(optimizers.get("adam"), nn.Adam)
    assert isinstance(optimizers.get("SGD"), nn.SGD)
    accuracy = [
        metrics.get("accuracy", *shapes)
        for shapes in (((8,), (8, 10)), ((8, 1), (8, 10)), ((8, 10), (8, 10)), ((8,), (8, 1)))
    ]
    assert [type(metric).__name__ for metric in accuracy] == [
        "SparseCategoricalAccuracy",
        "SparseCategoricalAccuracy",
        "CategoricalAccuracy",
        "BinaryAccuracy",
    ]
    assert {metric.name for metric in accuracy} == {"accuracy"}


def test_metrics_are_means_over_samples():
    metric = nn.SparseCategoricalAccuracy()
    assert metric.result() == 0
    metric.update_state([0, 1, 1], [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    metric.update_state([[0]], [[0.9, 0.1]])
    assert metric.result() == 0.75
    metric.reset_state()
    assert metric.result() == 0
    one_hot = nn.CategoricalAccuracy()
    one_hot.update_state([[1, 0], [0, 1]], [[0.6, 0.4], [0.6, 0.4]])
    assert one_hot.result() == 0.5
    binary = nn.BinaryAccuracy()
    binary.update_state([0, 1, 1], [[0.2], [0.7], [0.4]])
    assert binary.result() == pytest.approx(2 / 3)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_against_pytorch(momentum, nesterov):
    torch = pytest.importorskip("torch")
    if nesterov and not momentum:
        pytest.skip("PyTorch has no Nesterov step without momentum")
    rng = np.random.default_rng(0)
    start = rng.standard_normal(20)
    variable = nn.Variable(start.copy())
    weight = torch.tensor(start.copy(), requires_grad=True)
    ours = nn.SGD(0.1, momentum=momentum, nesterov=nesterov)
    theirs = torch.optim.SGD([weight], 0.1, momentum=momentum, nesterov=nesterov)
    for _ in range(5):
        grad = rng.standard_normal(20)
        weight.grad = torch.from_numpy(grad.copy())
        theirs.step()
        ours.apply([grad], [variable])
    np.testing.assert_allclose(variable.numpy(), weight.detach().numpy(), rtol=1e-12)
    assert ours.iterations == 5


def test_adam_is_the_papers_short_form():
    rng = np.random.default_rng(0)
    w = rng.standard_normal(20)
    variable = nn.Variable(w.copy())
    m = v = np.zeros(20)
    optimizer = nn.Adam(0.01)
    for t in range(1, 8):
        grad = rng.standard_normal(20)
        m = 0.9 * m + 0.1 * grad
        v = 0.999 * v + 0.001 * grad**2
        w = w - 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)
        optimizer.apply([grad], [variable])
    np.testing.assert_allclose(variable.numpy(), w, rtol=1e-9)


def test_each_variable_has_its_own_state():
    optimizer = nn.SGD(1.0, momentum=0.5)
    a, b = nn.Variable(np.zeros(1)), nn.Variable(np.zeros(1))
    optimizer.apply([np.ones(1)], [a])
    optimizer.apply([np.ones(1)], [b])
    optimizer.apply([np.ones(1)], [a])
    assert (a.numpy()[0], b.numpy()[0]) == (-2.5, -1.0)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.SGD(-1.0), ValueError),
        (lambda: nn.SGD("fast"), TypeError),
        (lambda: nn.SGD(momentum=1.5), ValueError),
        (lambda: nn.Adam(beta_1=1.0), ValueError),
        (lambda: nn.Adam(float("nan")), ValueError),
        (lambda: optimizers.get("rmsprop"), ValueError),
        (lambda: optimizers.get(3), TypeError),
        (lambda: losses.get("luck"), ValueError),
        (lambda: losses.get(None), TypeError),
        (lambda: nn.CategoricalCrossentropy(label_smoothing=2), ValueError),
        (lambda: nn.Huber(0), ValueError),
    ],
)
def test_arguments_without_sense(make, error):
    with pytest.raises(error):
        make()


def test_state_survives_copies():
    import copy

    optimizer, variable = nn.SGD(1.0, momentum=0.5), nn.Variable(np.zeros(1))
    optimizer.apply([np.ones(1)], [variable])
    optimizer, variable = copy.deepcopy((optimizer, variable))
    optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy()[0] == -2.5
