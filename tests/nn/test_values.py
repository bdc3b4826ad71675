"""What layers and models compute, beside PyTorch in float64."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn
from tests.nn import torch_graph
from tests.nn.layers import LAYERS, graph_of


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", LAYERS)
def test_layers(case, dtype):
    shapes, make = LAYERS[case]
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(3, *shape)).astype(dtype) for shape in shapes]
    layer = make()
    graph = graph_of(layer, shapes, dtype)
    layer.set_weights(
        [rng.uniform(0.2, 1.0, w.shape) * rng.choice([-1, 1]) ** (w.ndim > 1) for w in layer.get_weights()]
    )
    (expected,) = torch_graph.run(graph, inputs)
    found = layer(inputs if layer.takes_several else inputs[0])
    assert found.dtype == dtype
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, expected.numpy(), rtol=tolerance, atol=tolerance * np.abs(expected.numpy()).max())


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (64, 3)])
def test_normalization_in_training(shape):
    x = np.random.default_rng(1).normal(3.0, 2.0, shape)
    graph = graph_of(layer := nn.BatchNormalization(momentum=0.75), [shape[1:]])
    (expected,) = torch_graph.run(graph, [x], training=True)
    np.testing.assert_allclose(layer(x, training=True), expected.numpy(), atol=1e-12)
    axes = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.25 * x.mean(axes), rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.75 + 0.25 * x.var(axes), rtol=1e-12)


def test_a_frozen_normalization_stays_in_inference_mode():
    x = np.random.default_rng(1).normal(3.0, 2.0, (4, 5, 3))
    layer = nn.BatchNormalization(trainable=False)
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), 0)


def test_a_model_with_several_inputs_and_outputs():
    a, b = nn.Input((6, 6, 3)), nn.Input((4,))
    x = nn.GlobalAveragePooling2D()(nn.Conv2D(5, 3, activation="relu")(a))
    joined = nn.Concatenate()([x, nn.Dense(5)(b)])
    model = nn.Model([a, b], [nn.Dense(2)(joined), nn.Multiply()([x, x])])
    rng = np.random.default_rng(2)
    inputs = [rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(2, 4))]
    found = model(inputs)
    expected = torch_graph.run(model._built_graph(), inputs)
    assert [y.shape for y in found] == [(2, 2), (2, 5)]
    for y, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(y, reference.numpy(), rtol=1e-5, atol=1e-6)


def test_results_belong_to_the_caller():
    x = np.ones((2, 3, 4), np.float32)
    for layer in (nn.Flatten(), nn.Dropout(0.0), nn.Activation("linear")):
        assert not np.may_share_memory(layer(x), x)
    for model in (nn.Sequential([nn.Input((3, 4)), nn.Flatten()]), nn.Model(y := nn.Input((3, 4)), y)):
        assert not np.may_share_memory(model(x), x)
        assert not np.may_share_memory(model(x), model(x))
