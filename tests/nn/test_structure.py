"""Shapes, parameter counts, names and the summary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from konv import nn

EXAMPLES = json.loads((Path(__file__).parents[1] / "data" / "worked_examples.json").read_text())


def layer_of(description: list) -> nn.Layer:
    name, *arguments = description
    if name == "Conv2D":
        return nn.Conv2D(arguments[0], arguments[1], activation=arguments[2])
    if name == "Dense":
        return nn.Dense(arguments[0], activation=arguments[1])
    return getattr(nn, name)(*arguments)


@pytest.mark.parametrize("example", EXAMPLES["summaries"], ids=lambda e: e["name"])
def test_worked_examples(example, capsys):
    model = nn.Sequential([nn.Input(example["input"]), *map(layer_of, example["layers"])])
    assert [layer.count_params() for layer in model.layers] == example["params"]
    assert model.count_params() == example["total"]
    if "shapes" in example:
        shapes = [layer.output.shape for layer in model.layers]
        assert shapes == [(None, *shape) for shape in example["shapes"]]
        x = np.zeros((2, *example["input"]), np.float32)
        assert model.predict(x, verbose=0).shape == (2, *example["shapes"][-1])
    model.summary()
    text = capsys.readouterr().out
    assert f"Total params: {example['total']:,} (" in text
    for count in example["params"]:
        assert f" {count:,} │" in text


def test_summary_is_keras_table(capsys):
    nn.clear_session()
    model = nn.Sequential(
        [
            nn.Input((28, 28, 1)),
            nn.Conv2D(64, 3, activation="relu"),
            nn.Flatten(),
            nn.Dense(10, activation="softmax", trainable=False),
        ]
    )
    model.summary()
    assert (
        capsys.readouterr().out
        == """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 26, 26, 64)     │           640 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ flatten (Flatten)               │ (None, 43264)          │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense (Dense)                   │ (None, 10)             │       432,650 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 433,290 (1.65 MB)
 Trainable params: 640 (2.50 KB)
 Non-trainable params: 432,650 (1.65 MB)
"""
    )


def test_summary_of_an_unbuilt_model_and_print_fn():
    lines: list[str] = []
    nn.Sequential([nn.Dense(3)]).summary(print_fn=lines.append)
    assert "0 (unbuilt)" in lines[0]
    assert "?" in lines[0]


def test_summary_in_a_narrow_character_set(monkeypatch):
    import io
    import sys

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    nn.Sequential([nn.Input((3,)), nn.Dense(3)]).summary()


def test_names_count_up_as_in_keras():
    nn.clear_session()
    layers = [nn.Conv2D(1, 1), nn.Conv2D(1, 1), nn.MaxPooling2D(), nn.AveragePooling2D(), nn.ReLU()]
    names = [layer.name for layer in layers]
    assert names == ["conv2d", "conv2d_1", "max_pooling2d", "average_pooling2d", "re_lu"]
    assert nn.Sequential().name == "sequential"
    assert nn.Sequential().name == "sequential_1"
    assert nn.Dense(1, name="head").name == "head"


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_inferred_shapes_are_the_computed_ones(padding, stride, size):
    for layer in (
        nn.Conv2D(3, 3, strides=stride, padding=padding),
        nn.MaxPooling2D(3, strides=stride, padding=padding),
        nn.AveragePooling2D(3, strides=stride, padding=padding),
    ):
        inferred = layer.compute_output_shape((None, size, size + 1, 2))
        assert layer(np.zeros((4, size, size + 1, 2), np.float32)).shape == (4, *inferred[1:])


def test_open_sizes():
    model = nn.Sequential([nn.Input((None, None, 3)), nn.Conv2D(4, 3), nn.MaxPooling2D()])
    assert model.output_shape == (None, None, None, 4)
    assert model.predict(np.zeros((2, 9, 12, 3)), verbose=0).shape == (2, 3, 5, 4)
    assert model.predict(np.zeros((1, 20, 6, 3)), verbose=0).shape == (1, 9, 2, 4)


def test_a_model_without_input_takes_its_shape_from_samples():
    model = nn.Sequential([nn.Flatten(), nn.Dense(2)])
    assert not model.built
    with pytest.raises(ValueError, match="not built"):
        model.count_params()
    assert model.predict(np.zeros((3, 4, 5)), verbose=0).shape == (3, 2)
    assert model.count_params() == 42


def test_input_shape_of_the_first_layer():
    model = nn.Sequential([nn.Dense(2, input_shape=(3,))])
    assert model.input_shape == (None, 3)
    assert model.output_shape == (None, 2)


def test_add_and_pop():
    model = nn.Sequential()
    model.add(nn.Input((4,)))
    model.add(nn.Dense(3))
    kernel = model.layers[0].get_weights()[0]
    model.add(nn.Dense(2))
    assert model.output_shape == (None, 2)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    model.pop()
    assert model.output_shape == (None, 3)
    with pytest.raises(ValueError, match="expects an input of 4 dimensions"):
        model.add(nn.Conv2D(1, 1))
    assert len(model.layers) == 1
    assert model.predict(np.zeros((1, 4)), verbose=0).shape == (1, 3)


def test_get_layer():
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3, name="a"), nn.Dense(2, name="b")])
    assert model.get_layer("b") is model.layers[1]
    assert model.get_layer(index=0) is model.layers[0]
    with pytest.raises(ValueError, match="name must be one of"):
        model.get_layer("c")
    with pytest.raises(ValueError, match="index must be below 2"):
        model.get_layer(index=2)


def test_weights_are_kept_in_keras_layout():
    model = nn.Sequential([nn.Input((5, 5, 4)), nn.Conv2D(6, (2, 3), groups=2), nn.Dense(7)])
    assert [w.shape for w in model.get_weights()] == [(2, 3, 2, 6), (6,), (6, 7), (7,)]
    new = [np.full(w.shape, i, np.float32) for i, w in enumerate(model.get_weights())]
    model.set_weights(new)
    for set_, got in zip(new, model.get_weights(), strict=True):
        np.testing.assert_array_equal(set_, got)
    with pytest.raises(ValueError, match="must have the shapes"):
        model.set_weights(new[:-1])
    with pytest.raises(ValueError, match="must have the shapes"):
        model.layers[1].set_weights([np.zeros((7, 6)), np.zeros(7)])


def test_initializers():
    nn.set_random_seed(0)
    kernel = nn.Dense(300).__class__(300)
    kernel(np.zeros((1, 200), np.float32))
    values = kernel.get_weights()[0]
    limit = np.sqrt(6 / 500)
    assert values.dtype == np.float32
    assert abs(values).max() <= limit
    assert abs(values.std() - limit / np.sqrt(3)) < 0.01 * limit
    for initializer, variance in ((nn.HeNormal(1), 2 / 45), (nn.GlorotNormal(1), 2 / (45 + 576))):
        values = initializer((3, 3, 5, 64), "float64")
        assert abs(values.std() - np.sqrt(variance)) < 0.03 * np.sqrt(variance)
        np.testing.assert_array_equal(values, initializer((3, 3, 5, 64), "float64"))


def test_dtype_follows_input_or_layer():
    assert nn.Dense(2)(np.zeros((1, 2), np.float32)).dtype == np.float32
    assert nn.Dense(2)(np.zeros((1, 2))).dtype == np.float64
    assert nn.Dense(2)(np.zeros((1, 2), np.uint8)).dtype == np.float32
    assert nn.Dense(2, dtype="float64")(np.zeros((1, 2), np.float32)).dtype == np.float64
    model = nn.Sequential([nn.Input((2,), dtype="float64"), nn.Dense(2)])
    assert model.predict(np.zeros((1, 2), np.int32), verbose=0).dtype == np.float64


def test_models_can_be_copied_and_pickled():
    import copy
    import pickle

    model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh"), nn.Dropout(0.5)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).standard_normal((5, 4))
    model.fit(x, np.zeros((5, 3)), verbose=0)
    expected = model.predict(x, verbose=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(x, verbose=0), expected)
        twin.fit(x, np.zeros((5, 3)), epochs=3, verbose=0)
        assert not np.array_equal(twin.predict(x, verbose=0), expected)
        np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
