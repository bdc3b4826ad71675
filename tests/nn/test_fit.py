"""What fit, evaluate and predict accept: weights, iterables, several inputs and outputs, penalties, single batches."""

# ruff: noqa: ARG005, E501 - the rows of a table share their signatures

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from konv import nn


def classifier(dtype: str = "float64", **options) -> nn.Sequential:
    nn.set_random_seed(3)
    model = nn.Sequential([nn.Input((4,), dtype=dtype), nn.Dense(3, activation="softmax", **options)])
    model.compile(nn.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def data(n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 4)), rng.integers(0, 3, n)


def losses_of(model: nn.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    p = model.predict(x, verbose=0)
    return -np.log(p[np.arange(len(y)), y])


def pair() -> nn.Model:
    """Two inputs and two outputs."""
    nn.set_random_seed(1)
    a, b = nn.Input((4,), dtype="float64", name="a"), nn.Input((2,), dtype="float64", name="b")
    joined = nn.Concatenate()([nn.Dense(3, activation="tanh")(a), b])
    return nn.Model([a, b], [nn.Dense(1, name="size")(joined), nn.Dense(3, activation="softmax", name="kind")(joined)])


def pair_data() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(2)
    x = {"a": rng.standard_normal((10, 4)), "b": rng.standard_normal((10, 2))}
    return x, {"size": rng.standard_normal((10, 1)), "kind": rng.integers(0, 3, 10)}


def test_sample_weights_are_keras():
    """The weighted losses' sum over the number of samples, not over the weights."""
    model, (x, y) = classifier(), data()
    weights = np.linspace(0, 2, len(x))
    expected = (losses_of(model, x, y) * weights).sum() / len(x)
    assert model.evaluate(x, y, sample_weight=weights, verbose=0) == pytest.approx(expected, rel=1e-12)
    assert model.test_on_batch(x, y, weights) == pytest.approx(expected, rel=1e-12)


def test_class_weights_are_weights_of_their_samples():
    model, (x, y) = classifier(), data()
    other = classifier()
    model.fit(x, y, class_weight={0: 2.0, 2: 0.5}, shuffle=False, batch_size=5, epochs=2, verbose=0)
    other.fit(x, y, sample_weight=np.array([2.0, 1.0, 0.5])[y], shuffle=False, batch_size=5, epochs=2, verbose=0)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weights_of_pixels():
    nn.set_random_seed(0)
    model = nn.Sequential([nn.Input((5, 6, 2), dtype="float64"), nn.Conv2D(3, 3, padding="same", activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 5, 6, 2)), rng.integers(0, 3, (4, 5, 6))
    weights = rng.random((4, 5, 6))
    p = model.predict(x, verbose=0)
    each = -np.log(np.take_along_axis(p, y[..., None], -1)[..., 0])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(each.mean(), rel=1e-12)
    assert model.evaluate(x, y, sample_weight=weights, verbose=0) == pytest.approx((each * weights).mean(), rel=1e-12)


def test_batches_may_come_from_anywhere():
    x, y = data()
    batches = [(x[i : i + 4], y[i : i + 4]) for i in (0, 4, 8)]

    class Indexed:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return batches[i]

    def forever():
        while True:
            yield from batches

    expected = classifier()
    expected.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for source, steps in ((batches, None), (Indexed(), None), (forever(), 3), (iter(batches * 2), 3)):
        model = classifier()
        history = model.fit(source, epochs=2, steps_per_epoch=steps, verbose=0, validation_data=batches)
        for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(batches, verbose=0))
        np.testing.assert_array_equal(model.predict(batches, verbose=0), model.predict(x, batch_size=4, verbose=0))


def test_weights_come_with_batches():
    x, y = data()
    weights = np.linspace(0.5, 1.5, len(x))
    model = classifier()
    expected = model.evaluate(x, y, sample_weight=weights, verbose=0)
    assert model.evaluate([(x, y, weights)], verbose=0) == pytest.approx(expected, rel=1e-12)


def test_several_inputs_and_outputs():
    x, y = pair_data()
    model = pair()
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], loss_weights={"kind": 0.5},
                  metrics={"kind": ["accuracy"]})  # fmt: skip
    size, kind = model.predict(x, verbose=0)
    squared = ((size - y["size"]) ** 2).mean()
    entropy = -np.log(kind[np.arange(10), y["kind"]]).mean()
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    right = (kind.argmax(1) == y["kind"]).mean()
    expected = {"kind_accuracy": right, "kind_loss": entropy, "loss": squared + 0.5 * entropy, "size_loss": squared}
    assert found == pytest.approx(expected, rel=1e-10)
    assert list(found) == sorted(expected)
    as_list = model.evaluate([x["a"], x["b"]], [y["size"], y["kind"]], verbose=0)
    assert as_list == pytest.approx([expected[n] for n in ("loss", "size_loss", "kind_loss", "kind_accuracy")])
    history = model.fit(x, y, epochs=3, verbose=0, validation_split=0.3)
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert "val_kind_accuracy" in history.history


def test_an_output_may_have_no_loss():
    x, y = pair_data()
    model = pair()
    model.compile("sgd", {"size": "mse"})
    before = model.get_layer("kind").get_weights()
    model.fit(x, {"size": y["size"]}, verbose=0)
    np.testing.assert_array_equal(model.get_layer("kind").get_weights()[0], before[0])


@pytest.mark.parametrize(("regularizer", "penalty"), [
    (nn.L2(0.1), lambda w: 0.1 * (w**2).sum()),
    (nn.L1(0.2), lambda w: 0.2 * abs(w).sum()),
    (nn.L1L2(0.1, 0.3), lambda w: 0.1 * abs(w).sum() + 0.3 * (w**2).sum()),
])  # fmt: skip
def test_penalties(regularizer, penalty):
    (x, y), model = data(), classifier(kernel_regularizer=regularizer)
    w = model.layers[0].kernel.numpy()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(losses_of(model, x, y).mean() + penalty(w), rel=1e-12)
    plain = classifier()
    plain.set_weights(model.get_weights())
    for one in (model, plain):
        one.train_on_batch(x, y)
    slope = np.zeros_like(w)
    for i in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[i] = 1e-6
        slope[i] = (penalty(w + step) - penalty(w - step)) / 2e-6
    np.testing.assert_allclose(model.layers[0].kernel.numpy() - plain.layers[0].kernel.numpy(), -0.5 * slope, atol=1e-8)
    model.layers[0].trainable = False  # what is frozen is not held against the model
    assert model.evaluate(x, y, verbose=0) == pytest.approx(losses_of(model, x, y).mean(), rel=1e-12)


def test_single_batches_train_as_fit_does():
    x, y = data()
    a, b = classifier(), classifier()
    found = [a.train_on_batch(x[i : i + 6], y[i : i + 6]) for i in (0, 6)]
    history = b.fit(x, y, batch_size=6, shuffle=False, verbose=0)
    assert np.mean(found) == pytest.approx(history.history["loss"][0])
    np.testing.assert_array_equal(a.predict_on_batch(x), b.predict(x, verbose=0))
    a.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert set(a.train_on_batch(x, y, return_dict=True)) == {"loss", "accuracy"}
    assert len(a.test_on_batch(x, y)) == 2


def test_predictions_follow_changes_of_weights():
    x, _ = data()
    model = classifier()
    before = model.predict(x, verbose=0)
    model.layers[0].kernel.assign(np.zeros((4, 3)))
    np.testing.assert_allclose(model.predict(x, verbose=0), 1 / 3)
    model.set_weights([np.ones((4, 3)), np.array([0.0, 0.0, 800.0])])
    np.testing.assert_array_equal(model.predict(x, verbose=0), [[0, 0, 1]] * len(x))
    assert not np.array_equal(before, model.predict(x, verbose=0))
    with pytest.raises(ValueError, match="read-only"):
        model.layers[0].kernel.value[...] = 1


def test_freezing_counts_from_the_next_step():
    x, y = data()
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5), nn.BatchNormalization(), nn.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    model.layers[0].trainable = model.layers[1].trainable = False
    before = [w for layer in model.layers[:2] for w in layer.get_weights()]
    model.train_on_batch(x, y)
    after = [w for layer in model.layers[:2] for w in layer.get_weights()]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_train_on_as_the_original_does(duplicate):
    x, y = data()
    model = classifier()
    model.compile(nn.Adam(0.01), "sparse_categorical_crossentropy")
    model.train_on_batch(x, y)
    twin = duplicate(model)
    for one in (model, twin):
        one.fit(x, y, batch_size=5, epochs=2, verbose=0, seed=1)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", nn.SGD(0.1, momentum=0.9, nesterov=True)])
def test_training_in_float32_follows_float64(optimizer):
    """The same steps in both types stay close for a while: nothing is lost on the way."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((16, 12, 12, 3)), rng.integers(0, 5, 16)
    found, start = [], None
    for dtype in ("float32", "float64"):
        nn.set_random_seed(2)
        model = nn.Sequential(
            [
                nn.Input((12, 12, 3), dtype=dtype),
                nn.Conv2D(8, 3, padding="same", use_bias=False),
                nn.BatchNormalization(),
                nn.ReLU(),
                nn.MaxPooling2D(),
                nn.DepthwiseConv2D(3, activation="relu6"),
                nn.Flatten(),
                nn.Dense(5, activation="softmax"),
            ]
        )
        if start is not None:
            model.set_weights(start)
        start = model.get_weights()
        model.compile(copy.deepcopy(optimizer), "sparse_categorical_crossentropy")
        found.append([model.train_on_batch(x, y) for _ in range(4)])
    assert found[0] == pytest.approx(found[1], rel=2e-4)
    assert found[1][-1] < found[1][0]


WRONG = {
    "no y": (lambda m, x, y: m.fit(x, verbose=0), ValueError, "y is missing"),
    "weights of another length": (lambda m, x, y: m.fit(x, y, sample_weight=[1.0] * 3, verbose=0), ValueError, "sample_weight"),
    "weights as words": (lambda m, x, y: m.fit(x, y, sample_weight=["a"] * 12, verbose=0), TypeError, "sample_weight"),
    "class weights as a list": (lambda m, x, y: m.fit(x, y, class_weight=[1.0], verbose=0), TypeError, "class_weight"),
    "loss weights": (lambda m, x, y: m.compile("sgd", "mse", "accuracy"), TypeError, "loss_weights"),
    "batches of one": (lambda m, x, y: m.fit([(x,)], verbose=0), TypeError, "x must yield"),
    "an ended generator": (lambda m, x, y: m.fit(iter([]), verbose=0), ValueError, "at least one batch"),
    "a split of batches": (lambda m, x, y: m.fit([(x, y)], validation_split=0.5, verbose=0), ValueError, "validation_split"),
    "steps": (lambda m, x, y: m.fit(x, y, steps_per_epoch=0, verbose=0), ValueError, "steps_per_epoch"),
    "frequency": (lambda m, x, y: m.fit(x, y, validation_freq=0, verbose=0), ValueError, "validation_freq"),
    "too many inputs": (lambda m, x, y: pair().predict([x], verbose=0), ValueError, "x must be a list of 2"),
    "unknown input": (lambda m, x, y: pair().predict({"c": x}, verbose=0), ValueError, "must be named"),
    "missing input": (lambda m, x, y: pair().predict({"a": x}, verbose=0), ValueError, "input 'b'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case):
    call, error, message = WRONG[case]
    model = classifier()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        call(model, *data())
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
