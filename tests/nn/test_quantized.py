"""Models in bfloat16 and int8 beside the float32 ones that they are made of."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from konv import nn

pytest.importorskip("ml_dtypes")

MODES = ("bfloat16", "int8")


def small_model() -> nn.Model:
    nn.set_random_seed(0)
    x = nn.Input((12, 12, 3))
    y = nn.Conv2D(16, 3, padding="same", use_bias=False)(nn.Rescaling(2.0, offset=-1.0)(x))
    y = nn.ReLU()(nn.BatchNormalization()(y))
    z = nn.DepthwiseConv2D(3, padding="same", activation="relu")(y)
    y = nn.Add()([y, nn.Conv2D(16, 1)(z)])
    y = nn.MaxPooling2D()(nn.Concatenate()([y, nn.Conv2D(8, 3, padding="same", activation="silu")(z)]))
    y = nn.Dropout(0.5)(nn.Dense(20, activation="relu")(nn.Flatten()(y)))
    model = nn.Model(x, nn.Dense(5, activation="softmax")(y))
    model.compile("sgd", nn.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    return model


@pytest.fixture
def samples() -> np.ndarray:
    return np.random.default_rng(0).random((40, 12, 12, 3), np.float32)


def made(model: nn.Model, mode: str, samples: np.ndarray) -> nn.QuantizedModel:
    return model.quantize(mode, samples if mode == "int8" else None)


@pytest.mark.parametrize("mode", MODES)
def test_up_and_down(mode, samples):
    """Equal biases of convolutions in both directions, which hold weights in different forms."""
    nn.set_random_seed(1)
    layers = [nn.Conv2D(8, 3, strides=2), nn.Conv2DTranspose(8, 3, strides=2), nn.Conv2D(3, 1)]
    model = nn.Sequential([nn.Input((12, 12, 3)), *layers])
    expected = model.predict(samples, verbose=0)
    found = made(model, mode, samples).predict(samples, verbose=0)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("mode", MODES)
def test_predictions_and_figures(mode, samples):
    model = small_model()
    before = [w.copy() for w in model.get_weights()]
    expected = model.predict(samples, verbose=0)
    small = made(model, mode, samples)
    found = small.predict(samples, verbose=0)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 0.02
    assert np.any(found != expected)
    # Other batch sizes, and calls, run the same numbers.
    np.testing.assert_array_equal(small.predict(samples[:7], batch_size=3, verbose=0), found[:7])
    np.testing.assert_array_equal(small(samples[:5]), found[:5])
    labels = expected.argmax(1)
    figures = small.evaluate(samples, labels, verbose=0, return_dict=True)
    exact = -np.log(found[np.arange(40), labels].astype(np.float64)).mean()
    assert figures["loss"] == pytest.approx(exact, rel=1e-5)
    assert figures["accuracy"] == np.mean(found.argmax(1) == labels)
    # The model is what it was.
    np.testing.assert_array_equal(model.predict(samples, verbose=0), expected)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_on_batch(samples, labels)
    np.testing.assert_array_equal(small.predict(samples, verbose=0), found)
    for twin in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        np.testing.assert_array_equal(twin.predict(samples, verbose=0), found)


@pytest.mark.parametrize("mode", MODES)
def test_sequential_and_one_dimension(mode):
    nn.set_random_seed(0)
    x = np.random.default_rng(0).standard_normal((16, 50, 4)).astype(np.float32)
    model = nn.Sequential([nn.Conv1D(8, 5, activation="tanh"), nn.AveragePooling1D(2), nn.Conv1D(3, 3)])
    expected = model.predict(x, verbose=0)
    found = made(model, mode, x).predict(x, verbose=0)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def test_batches_calibrate_as_arrays_do(samples):
    model = small_model()
    one = model.quantize("int8", samples, method="minmax")
    other = model.quantize("int8", ((samples[i : i + 8], None) for i in range(0, 40, 8)), method="minmax")
    np.testing.assert_allclose(one.predict(samples, verbose=0), other.predict(samples, verbose=0), atol=1e-3)


def test_what_cannot_be_done(samples, tmp_path):
    model = small_model()
    with pytest.raises(ValueError, match="mode: expected one of"):
        model.quantize("int4")
    with pytest.raises(ValueError, match="samples: int8 is calibrated"):
        model.quantize("int8")
    with pytest.raises(ValueError, match="shape"):
        model.quantize("int8", samples[:, :5])
    with pytest.raises(ValueError, match="no convolution or dense layer"):
        nn.Sequential([nn.Input((4,)), nn.ReLU()]).quantize("bfloat16")
    with pytest.raises(ValueError, match="expected one of float32"):
        nn.Sequential([nn.Input((4,), dtype="float64"), nn.Dense(2)]).quantize("bfloat16")
    with pytest.raises(ValueError, match="is not built"):
        nn.Sequential([nn.Dense(2)]).quantize("bfloat16")
    with pytest.raises(ValueError, match="finite"):
        model.quantize("int8", np.full_like(samples, np.inf))
    small = model.quantize("int8", samples)
    with pytest.raises(ValueError, match="cannot train"):
        small.fit(samples, np.zeros(40))
    with pytest.raises(ValueError, match="cannot train"):
        small(samples, training=True)
    with pytest.raises(ValueError, match="cannot be saved"):
        small.save(tmp_path / "model")


def test_digits_keep_their_accuracy(data_dir):
    from konv.datasets import load_mnist

    mnist = load_mnist(data_dir / "mnist")
    nn.set_random_seed(0)
    model = nn.Sequential([
        nn.Input((28, 28, 1)), nn.Rescaling(1 / 255), nn.Conv2D(16, 3, activation="relu"), nn.MaxPooling2D(),
        nn.Conv2D(32, 3, activation="relu"), nn.MaxPooling2D(), nn.Flatten(), nn.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile(nn.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = mnist.x_train[:16000].reshape(-1, 28, 28, 1), mnist.y_train[:16000]
    model.fit(x, y, batch_size=64, epochs=1, verbose=0, seed=0)
    x_test, y_test = mnist.x_test[:3000].reshape(-1, 28, 28, 1), mnist.y_test[:3000]
    accuracy = {}
    for name, one in (("float32", model), *((mode, made(model, mode, x[:200])) for mode in MODES)):
        accuracy[name] = one.evaluate(x_test, y_test, batch_size=250, verbose=0, return_dict=True)["accuracy"]
    assert accuracy["float32"] > 0.95
    assert all(abs(accuracy[mode] - accuracy["float32"]) <= 0.003 for mode in MODES)
