"""Models in files: what is read is what was written, and everything else is refused with nothing changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from konv import nn
from konv.nn import saving
from tests.nn import torch_graph
from tests.nn.layers import LAYERS

safetensors = pytest.importorskip("safetensors.numpy")


def network() -> nn.Model:
    """Shared and nested layers, two inputs, two outputs, statistics, a regularizer and a frozen layer."""
    a, b = nn.Input((8, 8, 3), name="a"), nn.Input((8, 8, 3), batch_size=None, name="b")
    inner = nn.Sequential(
        [nn.Conv2D(4, 3, kernel_regularizer="l2", trainable=False), nn.BatchNormalization(), nn.ReLU(6.0)], name="inner"
    )
    joined = nn.Concatenate()([inner(a), inner(b)])
    model = nn.Model([a, b], [nn.GlobalAveragePooling2D()(joined), nn.Dense(2, activation="swish")(joined)], name="net")
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def assert_same_weights(a: nn.Model, b: nn.Model) -> None:
    for u, v in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(u, v)


def assert_alike(a: nn.Model, b: nn.Model) -> None:
    assert a.get_config() == b.get_config()
    assert_same_weights(a, b)
    for u, v in zip(a.weights, b.weights, strict=True):
        assert (u.name, u.trainable, u.updated, u.dtype) == (v.name, v.trainable, v.updated, v.dtype)
        assert (u.regularizer is None) == (v.regularizer is None)
    inputs = [np.random.default_rng(2).normal(size=(2, *x.shape[1:])) for x in a.inputs]
    outputs = [torch_graph.run(m._built_graph(), inputs) for m in (a, b)]
    for u, v in zip(*outputs, strict=True):
        np.testing.assert_array_equal(u.numpy(), v.numpy())


def test_a_model_comes_back(tmp_path):
    model = network()
    model.save(tmp_path / "net.konv")
    assert [path.name for path in tmp_path.iterdir()] == ["net.konv"]
    again = nn.load_model(tmp_path / "net.konv")
    assert type(again) is nn.Model
    assert again.optimizer is None
    assert_alike(model, again)
    assert again.layers[0].name == "inner"


def test_a_stack_comes_back_compiled(tmp_path):
    model = nn.Sequential(
        [nn.Input((5,), dtype="float64"), nn.Dense(3, "relu"), nn.Dropout(0.2), nn.Dense(2, "softmax")]
    )
    loss = nn.CategoricalCrossentropy(label_smoothing=0.1)
    metrics = ["accuracy", nn.BinaryAccuracy("half", threshold=0.4)]
    model.compile(nn.SGD(0.25, momentum=0.5, nesterov=True), loss, metrics=metrics)
    model.save(tmp_path / "m")
    again = nn.load_model(tmp_path / "m")
    assert type(again) is nn.Sequential
    assert_alike(model, again)
    assert again.get_compile_config() == model.get_compile_config()
    assert (again.optimizer.learning_rate, again.optimizer.momentum, again.optimizer.nesterov) == (0.25, 0.5, True)
    assert again.loss.label_smoothing == 0.1
    assert nn.load_model(tmp_path / "m", compile=False).loss is None


@pytest.mark.parametrize("case", LAYERS)
def test_every_layer_comes_back(case):
    shapes, make = LAYERS[case]
    inputs = [nn.Input(shape, dtype="float64") for shape in shapes]
    model = nn.Model(inputs, make()(inputs))
    again = nn.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    assert_alike(model, again)
    layer = make()
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_a_stack_without_input_keeps_its_layers():
    again = nn.model_from_json(nn.Sequential([nn.Dense(3, name="d")], name="s").to_json())
    assert not again.built
    assert [layer.name for layer in again.layers] == ["d"]
    with pytest.raises(ValueError, match="is not built"):
        again.save("never.konv")
    assert not Path("never.konv").exists()


def test_weights_alone(tmp_path):
    model, other = network(), network()
    model.set_weights([2 * w for w in model.get_weights()])
    model.save_weights(tmp_path / "w")
    other.load_weights(tmp_path / "w")
    assert_same_weights(model, other)
    with pytest.raises(ValueError, match="holds weights alone"):
        nn.load_model(tmp_path / "w")
    model.save(tmp_path / "m")
    other.set_weights([0 * w for w in other.get_weights()])
    other.load_weights(tmp_path / "m")
    assert_same_weights(model, other)


def test_weights_of_another_model(tmp_path):
    nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.Dense(2)]).save_weights(tmp_path / "w")
    for layers, what in (
        ([nn.Dense(3), nn.Dense(5)], r"2 of 4 differ, the first '1/bias', which is \(2,\), expected \(5,\)"),
        ([nn.Dense(3)], "2 of 4 differ, the first '1/bias', which is .*, expected none"),
        ([nn.Dense(3), nn.Dense(2), nn.Dense(1)], "2 of 6 differ, the first '2/bias', which is not there"),
    ):
        other = nn.Sequential([nn.Input((4,)), *layers])
        before = copy.deepcopy(other)
        with pytest.raises(ValueError, match=what):
            other.load_weights(tmp_path / "w")
        assert_same_weights(before, other)


def test_names_of_layers_do_not_matter_for_weights(tmp_path):
    nn.Sequential([nn.Input((4,)), nn.Dense(3, name="x")]).save_weights(tmp_path / "w")
    nn.Sequential([nn.Input((4,)), nn.Dropout(0.5), nn.Dense(3, name="y")]).load_weights(tmp_path / "w")


def test_files_that_are_not_whole(tmp_path):
    path = tmp_path / "m"
    network().save(path)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"is not a file of konv\.nn, or not whole"):
            nn.load_model(path)
    rng = np.random.default_rng(3)
    for place in rng.integers(len(whole), size=60):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(changed))
        with pytest.raises(ValueError, match=r"not a file|not as it was written|must have the format"):
            nn.load_model(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        nn.load_model(tmp_path / "nothing")


def rewrite(path: Path, change: dict[str, str] | None = None, arrays: dict | None = None, compile: str = "") -> None:
    """Write a file whose digest is right and whose contents are not."""
    found, metadata = saving._read(path)
    metadata |= {"model": json.dumps(json.loads(metadata["model"]) | (change or {}))}
    if compile:
        metadata["compile"] = compile
    saving._write(path, found if arrays is None else arrays, metadata, overwrite=True)


def test_files_that_someone_has_made_up(tmp_path):
    path = tmp_path / "m"
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    model.compile("sgd", "mse")
    config = json.loads(model.to_json())["config"]

    def with_layer(**arguments: object) -> dict:
        layer = config["layers"][0]
        return {"config": {**config, "layers": [{**layer, "config": {**layer["config"], **arguments}}]}}

    cases = {
        "unknown class": ({"class_name": "Exec"}, "'Exec' is no Model of konv.nn: pass its class in custom_objects"),
        "class of another kind": ({"class_name": "Dense"}, "'Dense' is no Model"),
        "function": ({"class_name": "load_model"}, "'load_model' is no Model"),
        "no config": ({"config": [1]}, "a Model must be described by class_name and config"),
        "config without parts": ({"config": {"name": "x"}}, "config does not describe a Sequential"),
        "absurd size": (with_layer(units=10**15), "is larger than the weights that are there"),
        "wrong size": (with_layer(units=2), "weights of another model"),
        "negative size": (with_layer(units=-3), "units must be positive, got -3"),
        "text for a size": (with_layer(units="3"), "units must be an integer, got '3'"),
        "unknown argument": (with_layer(color="red"), "config does not describe a Dense"),
        "unknown initializer": (
            with_layer(kernel_initializer={"class_name": "Luck", "config": {}}),
            "'Luck' is no object of konv.nn",
        ),
    }
    for name, (change, message) in cases.items():
        model.save(path)
        rewrite(path, change)
        with pytest.raises(ValueError, match=message):
            nn.load_model(path)
        assert message, name
    model.save(path)
    rewrite(path, arrays={"0/kernel": np.zeros((4, 3), np.float32)})
    with pytest.raises(ValueError, match="larger than the weights that are there"):
        nn.load_model(path)
    model.save(path)
    rewrite(path, compile='{"optimizer": "warp", "loss": "mse", "metrics": []}')
    with pytest.raises(ValueError, match=r"optimizer must be one of .*'warp'"):
        nn.load_model(path)
    rewrite(path, compile="[" * 100_000)
    with pytest.raises(ValueError, match="its compile settings is not JSON"):
        nn.load_model(path)


def test_connections_that_lead_nowhere():
    x = nn.Input((4,))
    text = nn.Model(x, nn.Dense(3)(x)).to_json()
    for a, b in (('"calls": [[0, 0]]', '"calls": [[0, 7]]'), ('"outputs": 1', '"outputs": -1')):
        with pytest.raises(ValueError, match="a connection must be a number from 0 to"):
            nn.model_from_json(text.replace(a, b))
    with pytest.raises(ValueError, match="json_string is not JSON"):
        nn.model_from_json("{")


class Double(nn.Layer):
    """A layer of someone's own."""

    def __init__(self, times: float = 2.0, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.times = times

    def describe(self, graph, inputs):
        return [graph.add_node("rescaling", inputs, {"scale": self.times, "offset": 0.0}, name=self.name)]


def test_own_layers(tmp_path):
    model = nn.Sequential([nn.Input((4,)), Double(3.0), nn.Dense(1)])
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match=r"'Double' is no Layer of konv.nn: pass its class in custom_objects"):
        nn.load_model(tmp_path / "m")
    again = nn.load_model(tmp_path / "m", custom_objects={"Double": Double})
    assert again.layers[0].times == 3.0
    assert_alike(model, again)


def test_functions_without_names_have_no_place_in_a_file(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(1, kernel_initializer=lambda shape, dtype: np.ones(shape, dtype))])
    with pytest.raises(ValueError, match="kernel_initializer of Dense cannot be written to a file"):
        model.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "w")


def halves(shape, dtype):
    return np.full(shape, 0.5, dtype)


def absolute(y_true, y_pred):
    return nn.ops.abs(y_true - y_pred)


def test_functions_are_called_by_their_names(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(1, kernel_initializer=halves)])
    model.compile("sgd", absolute)
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="the function 'halves' is needed: pass it in custom_objects"):
        nn.load_model(tmp_path / "m")
    again = nn.load_model(tmp_path / "m", custom_objects={"halves": halves, "absolute": absolute})
    assert again.layers[0].kernel_initializer is halves
    assert again.evaluate(np.ones((1, 4)), [[5.0]], verbose=0) == 3.0


def test_a_file_that_is_there(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(1)])
    path = tmp_path / "m"
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="exists, and overwrite is False"):
        model.save(path, overwrite=False)
    with pytest.raises(ValueError, match="exists, and overwrite is False"):
        model.save_weights(path, overwrite=False)
    assert path.read_bytes() == before
    with pytest.raises(OSError, match="cannot be written"):
        model.save(tmp_path / "no folder" / "m")


def test_the_format_is_safetensors(tmp_path):
    """Other programs can read the weights."""
    model = network()
    model.save(tmp_path / "m")
    arrays = safetensors.load_file(tmp_path / "m")
    assert set(arrays) == {
        "0/0/kernel", "0/0/bias", "0/1/gamma", "0/1/beta", "0/1/moving_mean", "0/1/moving_variance",
        "1/kernel", "1/bias",
    }  # fmt: skip
    np.testing.assert_array_equal(arrays["1/bias"], model.get_weights()[-1])


def test_without_safetensors(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"konv\[save\]"):
        nn.Sequential([nn.Input((4,)), nn.Dense(1)]).save(tmp_path / "m")


@pytest.mark.parametrize("optimizer", [nn.SGD(0.1, momentum=0.9), nn.Adam(0.01)])
def test_training_goes_on_where_it_was(tmp_path, optimizer):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, "tanh"), nn.BatchNormalization(), nn.Dense(2)])
    model.compile(optimizer, "mse")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m")
    again = nn.load_model(tmp_path / "m")
    assert again.optimizer.iterations == 2
    for one in (model, again):
        one.fit(x, y, epochs=3, verbose=0, shuffle=False)
    assert_same_weights(model, again)
    again.load_weights(tmp_path / "m")
    nn.load_model(tmp_path / "m", compile=False)
