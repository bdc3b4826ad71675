"""Models between inputs and outputs: order and sharing of layers, models in models, what is trainable."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from konv import nn
from tests.nn import torch_graph


def outputs_of(model: nn.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """What the model's graph computes, by PyTorch."""
    return [y.numpy() for y in torch_graph.run(model._built_graph(), inputs)]


def siamese() -> tuple[nn.Model, nn.Dense]:
    a, b = nn.Input((4,), name="a"), nn.Input((4,), name="b")
    shared = nn.Dense(3, name="shared")
    joined = nn.Concatenate(name="joined")([shared(a), shared(b)])
    return nn.Model([a, b], [nn.Dense(2, name="out")(joined), joined], name="siamese"), shared


def test_a_residual_block():
    x = nn.Input((6, 6, 4), dtype="float64")
    y = nn.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = nn.Conv2D(4, 3, padding="same")(y)
    model = nn.Model(x, nn.ReLU()(nn.Add()([x, y])))
    assert model.name.startswith("functional")
    assert [type(layer).__name__ for layer in model.layers] == ["Conv2D", "Conv2D", "Add", "ReLU"]
    assert model.input_shape == model.output_shape == (None, 6, 6, 4)
    (grown,) = outputs_of(model, np.ones((1, 6, 6, 4)))
    model.set_weights([np.zeros(w.shape) for w in model.get_weights()])
    (same,) = outputs_of(model, np.ones((1, 6, 6, 4)))
    np.testing.assert_array_equal(same, 1)
    assert not np.array_equal(grown, same)


def test_a_shared_layer_has_its_weights_once():
    model, shared = siamese()
    assert model.count_params() == shared.count_params() + 14 == 29
    assert [w.name for w in model.weights] == ["kernel", "bias", "kernel", "bias"]
    a, b = np.ones((1, 4)), np.full((1, 4), 2.0)
    shared.set_weights([np.eye(4, 3), np.zeros(3)])
    _, joined = outputs_of(model, a, b)
    np.testing.assert_array_equal(joined, [[1, 1, 1, 2, 2, 2]])
    assert shared.input.name == "a"
    assert shared.output.shape == (None, 3)
    assert len(shared.calls) == 2


def test_several_inputs_and_outputs():
    model, _ = siamese()
    assert model.input_shape == [(None, 4), (None, 4)]
    assert model.output_shape == [(None, 2), (None, 6)]
    assert [x.name for x in model.inputs] == [x.name for x in model.input] == ["a", "b"]
    assert [x.name for x in model.output] == ["out", "joined"]
    x = nn.Input((3,))
    one = nn.Model(x, [nn.Dense(2)(x)])
    assert isinstance(one.output, list)
    assert one.output_shape == (None, 2)
    assert isinstance(one(nn.Input((3,))), list)


def test_layers_stand_in_keras_order():
    """The farthest from the outputs first; of layers equally far, the one met first on the way back."""
    x = nn.Input((8,))
    long = nn.Dense(4, name="a2")(nn.Dense(4, name="a1")(x))
    short = nn.Dense(4, name="b")(x)
    model = nn.Model(x, nn.Add(name="sum")([short, long]))
    assert [layer.name for layer in model.layers] == ["a1", "b", "a2", "sum"]
    assert [call.layer.name for call in model.layer_calls] == ["b", "a1", "a2", "sum"]


def test_a_model_is_a_layer():
    inner = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization()], name="inner")
    a, b = nn.Input((4,), dtype="float32"), nn.Input((4,))
    model = nn.Model([a, b], nn.Add()([inner(a), inner(b)]))
    assert model.layers[0].name == "inner"
    assert model.count_params() == inner.count_params() == 27
    assert len(model._built_graph().variables) == 6
    alone = outputs_of(inner, np.ones((2, 4)))[0]
    np.testing.assert_allclose(outputs_of(model, np.ones((2, 4)), np.ones((2, 4)))[0], 2 * alone)
    with pytest.raises(ValueError, match=r"model 'inner' takes inputs of shape \(None, 4\), got \(None, 5\)"):
        inner(nn.Input((5,)))
    stack = nn.Sequential([nn.Input((4,)), inner, nn.Dense(1)])
    assert stack.count_params() == 31


def test_parts_of_a_model():
    model = nn.Sequential([nn.Input((8, 8, 1)), nn.Conv2D(4, 3, name="features"), nn.Flatten(), nn.Dense(2)])
    features = nn.Model(model.input, model.get_layer("features").output)
    assert features.output_shape == (None, 6, 6, 4)
    assert features.weights == model.layers[0].weights
    head = nn.Model(model.get_layer("features").output, model.output)
    assert head.input_shape == (None, 6, 6, 4)
    assert [type(layer).__name__ for layer in head.layers] == ["Flatten", "Dense"]


def test_trainable_is_set_for_all_layers():
    inner = nn.Sequential([nn.Input((4,)), nn.Dense(3), nn.BatchNormalization()])
    x = nn.Input((4,))
    model = nn.Model(x, nn.Dense(1)(inner(x)))
    normalization = inner.layers[1]
    assert [v.name for v in normalization.non_trainable_weights] == ["moving_mean", "moving_variance"]
    assert [v.updated for v in normalization.weights] == [False, False, True, True]
    inner.trainable = False
    assert [v.name for v in model.trainable_weights] == ["kernel", "bias"]
    assert not any(v.updated for v in normalization.weights)
    inner.trainable = True
    assert len(model.trainable_weights) == 6
    assert [v.trainable for v in normalization.weights] == [True, True, False, False]


def test_frozen_when_made():
    layer = nn.BatchNormalization(trainable=False)
    layer.build((None, 3))
    assert not any(v.trainable or v.updated for v in layer.weights)


def test_regularizers_reach_the_variables():
    layer = nn.SeparableConv2D(2, 3, depthwise_regularizer="l1", bias_regularizer=nn.L1L2(0.5, 0.25))
    layer.build((None, 8, 8, 3))
    found = [(v.regularizer.l1, v.regularizer.l2) if v.regularizer else None for v in layer.weights]
    assert found == [(0.01, 0.0), None, (0.5, 0.25)]


def test_copies_of_deep_models():
    x = nn.Input((2,))
    y = x
    for _ in range(150):
        y = nn.Add()([y, nn.Dense(2, kernel_initializer="zeros")(y)])
    model = nn.Model(x, y)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.count_params() == model.count_params()
        assert other.weights[0] is not model.weights[0]
        np.testing.assert_array_equal(outputs_of(other, np.ones((1, 2)))[0], 1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Model(), TypeError, "Model needs inputs and outputs"),
        (lambda: nn.Model(nn.Input((2,)), np.ones(2)), TypeError, "outputs must be symbolic tensors"),
        (lambda: nn.Model([], nn.Input((2,))), ValueError, "inputs must not be empty"),
        (
            lambda: nn.Model(nn.Input((2,)), nn.Dense(1)(nn.Input((2,), name="b"))),
            ValueError,
            "Input 'b', which is not",
        ),
        (lambda: nn.Model([x := nn.Input((2,)), x], nn.Dense(1)(x)), ValueError, "inputs must differ"),
        (
            lambda: nn.Model(x := nn.Input((2,)), nn.Dense(1, name="n")(nn.Dense(1, name="n")(x))),
            ValueError,
            "names must differ, 'n'",
        ),
        (lambda: nn.Dense(1)([nn.Input((2,)), nn.Input((2,))]), ValueError, "takes one input, got 2"),
        (lambda: nn.Add()([nn.Input((2,)), np.ones((1, 2))]), TypeError, "must be all arrays or all symbolic"),
        (lambda: nn.Dropout(0.5)(nn.Input((2,)), training=True), ValueError, "training must be left out"),
        (lambda: nn.Dense(1).output, ValueError, "has no input or output yet"),
        (lambda: nn.Sequential().output, ValueError, "is not built"),
    ],
)
def test_what_makes_no_model(make, error, message):
    with pytest.raises(error, match=message):
        make()
