"""Losses, metrics and optimizers, each against PyTorch or a formula."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn
from konv.nn import losses, metrics, optimizers


def value_and_grad(loss, y, prediction):
    grad = np.empty_like(prediction)
    targets = loss.targets(y, prediction.shape, prediction.dtype)
    return loss.value_and_grad(targets, prediction, grad), grad


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
        (lambda: losses.get("hinge"), ValueError),
        (lambda: losses.get(None), TypeError),
        (lambda: nn.CategoricalCrossentropy(label_smoothing=2), ValueError),
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
