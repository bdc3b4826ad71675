"""fit, evaluate, predict: what they compute, return, print and refuse."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from konv import nn


def data(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small images with a bright half; the label says which."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.random((n, 8, 8, 1)).astype(np.float32)
    x[y == 0, :4] += 0.5
    x[y == 1, 4:] += 0.5
    return x, y


def network(optimizer="adam", loss="sparse_categorical_crossentropy", seed=1) -> nn.Sequential:
    nn.set_random_seed(seed)
    model = nn.Sequential(
        [
            nn.Input((8, 8, 1)),
            nn.Conv2D(4, 3, activation="relu"),
            nn.MaxPooling2D(),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Dense(2, activation="softmax"),
        ]
    )
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize("optimizer", [nn.Adam(0.01), nn.SGD(0.1, momentum=0.9, nesterov=True)])
def test_a_network_learns(optimizer):
    x, y = data()
    model = network(optimizer)
    history = model.fit(x, y, epochs=8, validation_data=data(50, 1), verbose=0, seed=0)
    assert history is model.history
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == list(range(8))
    assert history.params == {"verbose": 0, "epochs": 8, "steps": 7}
    assert history.history["val_accuracy"][-1] >= 0.98
    assert history.history["loss"][-1] < history.history["loss"][0] / 3


def test_one_step_is_what_pytorch_does():
    torch = pytest.importorskip("torch")
    x, y = data(40)
    model = nn.Sequential([nn.Input((8, 8, 1)), nn.Flatten(), nn.Dense(2, activation="softmax")])
    model.compile(nn.SGD(0.5), "sparse_categorical_crossentropy")
    w, b = (torch.tensor(v, requires_grad=True) for v in model.get_weights())
    history = model.fit(x, y, batch_size=40, shuffle=False, verbose=0)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(x).flatten(1) @ w + b, torch.from_numpy(y))
    loss.backward()
    assert history.history["loss"] == [pytest.approx(loss.item(), rel=1e-5)]
    for ours, theirs in zip(model.get_weights(), (w, b), strict=True):
        np.testing.assert_allclose(ours, (theirs - 0.5 * theirs.grad).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_sparse_and_one_hot_targets_train_alike():
    x, y = data()
    a, b = network(), network(loss="categorical_crossentropy")
    a.fit(x, y, verbose=0, seed=0)
    nn.set_random_seed(1)
    b = network(loss="categorical_crossentropy")
    b.fit(x, np.eye(2)[y], verbose=0, seed=0)
    for u, v in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, atol=1e-5)
    assert a.evaluate(x, y, verbose=0) == pytest.approx(b.evaluate(x, np.eye(2)[y], verbose=0), abs=1e-4)


def test_a_final_softmax_or_logits_train_alike():
    x, y = data()
    results = []
    for activation, loss in (
        ("softmax", nn.SparseCategoricalCrossentropy()),
        (None, nn.SparseCategoricalCrossentropy(from_logits=True)),
    ):
        nn.set_random_seed(3)
        model = nn.Sequential([nn.Input((8, 8, 1)), nn.Flatten(), nn.Dense(2, activation=activation)])
        model.compile(nn.SGD(0.1), loss, metrics=["accuracy"])
        model.fit(x, y, verbose=0, seed=0)
        results.append((model.get_weights(), model.evaluate(x, y, verbose=0)))
    np.testing.assert_array_equal(results[0][0][0], results[1][0][0])
    assert results[0][1] == results[1][1]


@pytest.mark.usefixtures("restore_threads")
def test_training_is_repeatable_for_any_number_of_threads():
    x, y = data()
    weights = []
    for threads in (1, 2, 3, 1):
        konv.set_num_threads(threads)
        model = network()
        model.fit(x, y, epochs=2, verbose=0)
        weights.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert weights[0] == weights[1] == weights[2] == weights[3]


def test_seed_fixes_the_order_alone():
    x, y = data()

    def run(seed, shuffle=True):
        model = nn.Sequential([nn.Input((8, 8, 1)), nn.Flatten(), nn.Dense(2, kernel_initializer="zeros")])
        model.compile("sgd", "mse")
        model.fit(x, np.eye(2)[y], verbose=0, seed=seed, shuffle=shuffle)
        return model.get_weights()[0]

    np.testing.assert_array_equal(run(5), run(5))
    assert not np.array_equal(run(5), run(6))
    np.testing.assert_array_equal(run(5, shuffle=False), run(6, shuffle=False))


def test_evaluate_and_predict_agree():
    x, y = data(70)
    model = network()
    p = model.predict(x, verbose=0)
    assert p.shape == (70, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert loss == pytest.approx(-np.log(p[np.arange(70), y]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((p.argmax(axis=1) == y).mean())
    named = model.evaluate(x, y, batch_size=7, verbose=0, return_dict=True)
    assert named == {"accuracy": pytest.approx(accuracy), "loss": pytest.approx(loss)}
    np.testing.assert_allclose(model(x[:5]), p[:5], rtol=1e-6)
    model.compile("sgd", "mse")
    assert isinstance(model.evaluate(x, np.eye(2)[y], verbose=0), float)


def test_results_belong_to_the_caller():
    x, _ = data(8)
    model = network()
    first = model(x)
    copy = first.copy()
    model(x[::-1])
    model.predict(x[::-1], verbose=0)
    np.testing.assert_array_equal(first, copy)


def test_any_dtype_shape_and_stride_of_samples():
    x, y = data(33)
    model = network()
    whole = np.round(x * 255).astype(np.uint8)
    expected = model.predict(whole.astype(np.float32), verbose=0)
    np.testing.assert_array_equal(model.predict(whole, verbose=0), expected)
    np.testing.assert_array_equal(model.predict(whole[..., 0], verbose=0), expected)
    np.testing.assert_array_equal(model.predict(whole.astype(float).tolist(), verbose=0), expected)
    flipped = np.ascontiguousarray(whole[:, ::-1].astype(np.float32))[:, ::-1]
    np.testing.assert_allclose(model.predict(flipped, verbose=0), expected, rtol=1e-5)
    model.fit(whole, y.astype(np.uint8), verbose=0)
    model.fit(flipped, y[:, None], verbose=0)


def test_predicting_nothing():
    assert network().predict(np.zeros((0, 8, 8, 1)), verbose=0).shape == (0, 2)


def test_validation_split_takes_the_end():
    x, y = data(100)
    model = network(nn.SGD(0.0))
    history = model.fit(x, y, validation_split=0.2, verbose=0)
    loss, accuracy = model.evaluate(x[80:], y[80:], verbose=0)
    assert history.history["val_loss"] == [pytest.approx(loss)]
    assert history.history["val_accuracy"] == [pytest.approx(accuracy)]
    assert history.params["steps"] == 3


def test_initial_epoch_goes_on_counting():
    x, y = data(32)
    model = network()
    assert model.fit(x, y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]


def test_learning_rate_may_change():
    x, y = data(32)
    model = network(nn.SGD(0.1))
    model.fit(x, y, verbose=0)
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    for u, v in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(u, v)


def test_callbacks_see_each_epoch_and_may_stop():
    x, y = data(32)

    class Stop(nn.Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_begin(self, epoch, logs):
            self.seen.append((epoch, dict(logs)))

        def on_epoch_end(self, epoch, logs):
            self.seen.append((epoch, sorted(logs)))
            self.model.stop_training = epoch == 1

    stop = Stop()
    history = network().fit(x, y, epochs=9, verbose=0, callbacks=[stop])
    assert history.epoch == [0, 1]
    assert stop.seen == [(0, {}), (0, ["accuracy", "loss"]), (1, {}), (1, ["accuracy", "loss"])]


def test_dropout_is_off_outside_training():
    x, _ = data(16)
    model = network()
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.array_equal(model(x, training=True), model(x))


def test_what_fit_prints(capsys):
    x, y = data(64)
    network().fit(x, y, epochs=2, validation_data=(x, y))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0::2] == ["Epoch 1/2", "Epoch 2/2"]
    assert lines[1].startswith("2/2 ")
    for name in ("/step - accuracy: ", " - loss: ", " - val_accuracy: ", " - val_loss: "):
        assert name in lines[1]
    network().fit(x, y, verbose=2)
    assert "━" not in capsys.readouterr().out
    network().fit(x, y, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rich", [True, False])
def test_the_bar_on_a_terminal(monkeypatch, capsys, rich):
    import sys

    from konv.nn import progress

    monkeypatch.setattr(progress, "_can_redraw", lambda: True)
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    bar = progress.Progress(50, title="Epoch 1/1")
    bar._drawn = -1.0
    assert bar.is_due()
    bar.update(10, {"loss": 1.5})
    assert not bar.is_due()
    bar.finish({"loss": 0.5, "tiny": 1e-5})
    out = capsys.readouterr().out
    assert "10/50" in out
    assert "loss: 1.5000" in out
    assert "50/50" in out
    assert "tiny: 1.0000e-05" in out
    assert out.endswith("\n")


def test_mnist_reaches_99_percent(data_dir):
    from konv.cli.models import digit_classifier
    from konv.datasets import load_mnist

    mnist = load_mnist(data_dir / "mnist")
    nn.set_random_seed(0)
    model = digit_classifier("cnn", (28, 28))
    x_test = mnist.x_test / np.float32(255)
    accuracy = 0.0
    for _ in range(5):
        model.fit(mnist.x_train / np.float32(255), mnist.y_train, batch_size=64, verbose=0)
        figures = model.evaluate(x_test, mnist.y_test, batch_size=256, verbose=0, return_dict=True)
        accuracy = figures["accuracy"]
        if accuracy >= 0.99:
            break
    assert accuracy >= 0.99
