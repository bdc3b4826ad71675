"""Gradients of every layer: against finite differences in float64, and against PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from konv import nn
from konv.nn.execution import Executor

LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], list[nn.Layer]]]] = {
    "conv": ((5, 6, 2), lambda: [nn.Conv2D(3, 3)]),
    "conv relu": ((5, 6, 2), lambda: [nn.Conv2D(3, (2, 3), activation="relu")]),
    "conv same": ((5, 6, 2), lambda: [nn.Conv2D(3, 3, padding="same", activation="tanh")]),
    "conv same stride": ((6, 7, 2), lambda: [nn.Conv2D(3, 3, strides=2, padding="same")]),
    "conv stride dilation": ((9, 8, 2), lambda: [nn.Conv2D(2, 2, strides=(2, 1), dilation_rate=3)]),
    "conv dilation": ((9, 8, 2), lambda: [nn.Conv2D(2, 2, dilation_rate=(2, 3))]),
    "conv groups": ((5, 5, 4), lambda: [nn.Conv2D(6, 3, groups=2)]),
    "depthwise": ((5, 5, 4), lambda: [nn.Conv2D(4, 3, groups=4, use_bias=False)]),
    "conv 1x1": ((3, 4, 5), lambda: [nn.Conv2D(4, 1)]),
    "conv sigmoid": ((4, 4, 1), lambda: [nn.Conv2D(2, 2, activation="sigmoid")]),
    "conv softmax": ((4, 4, 1), lambda: [nn.Conv2D(3, 2, activation="softmax")]),
    "dense": ((7,), lambda: [nn.Dense(4)]),
    "dense relu": ((7,), lambda: [nn.Dense(4, activation="relu")]),
    "dense softmax": ((7,), lambda: [nn.Dense(4, activation="softmax")]),
    "dense no bias": ((7,), lambda: [nn.Dense(4, use_bias=False, activation="sigmoid")]),
    "dense on images": ((3, 2, 5), lambda: [nn.Dense(4, activation="tanh")]),
    "max pool": ((6, 4, 3), lambda: [nn.MaxPooling2D()]),
    "max pool overlapping": ((7, 7, 2), lambda: [nn.MaxPooling2D(3, strides=2)]),
    "max pool same": ((5, 7, 2), lambda: [nn.MaxPooling2D(3, strides=2, padding="same")]),
    "average pool": ((6, 4, 3), lambda: [nn.AveragePooling2D()]),
    "average pool overlapping": ((7, 7, 2), lambda: [nn.AveragePooling2D((3, 2), strides=2)]),
    "average pool same": ((5, 7, 2), lambda: [nn.AveragePooling2D(3, strides=2, padding="same")]),
    "flatten": ((2, 3, 2), lambda: [nn.Flatten(), nn.Dense(3)]),
    "relu": ((5,), lambda: [nn.ReLU()]),
    "relu with limits": ((9,), lambda: [nn.ReLU(1.0, negative_slope=0.3, threshold=0.2)]),
    "softmax": ((5,), lambda: [nn.Softmax()]),
    "tanh": ((5,), lambda: [nn.Activation("tanh")]),
    "sigmoid": ((5,), lambda: [nn.Activation("sigmoid")]),
    "linear": ((5,), lambda: [nn.Activation("linear"), nn.Dense(2)]),
    "relu before max pool": (
        (7, 7, 1),
        lambda: [nn.Conv2D(3, 2, activation="relu"), nn.MaxPooling2D(3, strides=1)],
    ),
    "relu twice": ((7, 7, 1), lambda: [nn.Conv2D(3, 2, activation="relu"), nn.ReLU()]),
    "network": (
        (8, 8, 1),
        lambda: [
            nn.Conv2D(3, 3, activation="relu"),
            nn.MaxPooling2D(),
            nn.Conv2D(4, 2, activation="tanh"),
            nn.AveragePooling2D(),
            nn.Flatten(),
            nn.Dense(5, activation="relu"),
            nn.Dense(3, activation="softmax"),
        ],
    ),
}


def build(name: str, dtype: str = "float64", batch: int = 2) -> tuple[nn.Sequential, np.ndarray, np.random.Generator]:
    shape, layers = LAYERS[name]
    rng = np.random.default_rng(7)
    nn.set_random_seed(7)
    model = nn.Sequential([nn.Input(shape, dtype=dtype), *layers()])
    for variable in model.weights:
        variable.assign(variable.numpy() + 0.1 * rng.standard_normal(variable.shape))
    return model, rng.standard_normal((batch, *shape)).astype(dtype), rng


def gradients(model: nn.Sequential, x: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Gradients of sum(upstream * model(x)) with respect to x and to the weights."""
    graph = model.graph_for(x)
    executor = Executor(graph)
    executor.forward(x, training=True)
    grad = executor.backward(graph.outputs[0], upstream.copy(), input_grad=True)
    assert grad is not None
    return grad.copy(), [variable.grad.copy() for variable in model.weights]


def numeric(f: Callable[[], float], array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    found = np.empty_like(array)
    for i in np.ndindex(array.shape):
        before = array[i]
        array[i] = before + step
        high = f()
        array[i] = before - step
        low = f()
        array[i] = before
        found[i] = (high - low) / (2 * step)
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_against_finite_differences(name):
    model, x, rng = build(name)
    upstream = rng.standard_normal(model(x).shape)
    grad_x, grads = gradients(model, x, upstream)

    def total() -> float:
        return float((model(x) * upstream).sum())

    np.testing.assert_allclose(grad_x, numeric(total, x), atol=2e-8, rtol=1e-6)
    for variable, grad in zip(model.weights, grads, strict=True):
        np.testing.assert_allclose(grad, numeric(total, variable.value), atol=2e-8, rtol=1e-6, err_msg=variable.name)


def torch_twin(model: nn.Sequential):
    """The same computation by PyTorch, from the layers' weights; NHWC in and out."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    weights = [torch.from_numpy(v.numpy()).requires_grad_() for v in model.weights]

    def activate(y, name, axis):
        if name == "linear":
            return y
        return torch.softmax(y, axis) if name == "softmax" else getattr(torch, name)(y)

    def run(x):
        left = list(weights)
        y = x
        for layer in model.layers:
            if isinstance(layer, nn.Conv2D):
                kernel = left.pop(0).permute(3, 2, 0, 1)
                bias = left.pop(0) if layer.use_bias else None
                y = F.conv2d(
                    y.permute(0, 3, 1, 2),
                    kernel,
                    bias,
                    layer.strides,
                    "same" if layer.padding == "same" else 0,
                    layer.dilation_rate,
                    layer.groups,
                ).permute(0, 2, 3, 1)
                y = activate(y, layer.activation, -1)
            elif isinstance(layer, nn.Dense):
                y = y @ left.pop(0)
                y = activate(y + left.pop(0) if layer.use_bias else y, layer.activation, -1)
            elif isinstance(layer, nn.MaxPooling2D):
                y = F.max_pool2d(y.permute(0, 3, 1, 2), layer.pool_size, layer.strides)
                y = y.permute(0, 2, 3, 1)
            elif isinstance(layer, nn.AveragePooling2D):
                y = F.avg_pool2d(y.permute(0, 3, 1, 2), layer.pool_size, layer.strides)
                y = y.permute(0, 2, 3, 1)
            elif isinstance(layer, nn.Flatten):
                y = y.flatten(1)
            elif isinstance(layer, nn.Softmax):
                y = torch.softmax(y, -1)
            else:
                y = activate(y, getattr(layer, "activation", "relu"), -1)
        return y

    return run, weights


# PyTorch pads strided windows otherwise, and has no relu with a slope, a ceiling and a threshold.
PEERED = [name for name in LAYERS if name not in ("conv same stride", "relu with limits")]
PEERED = [name for name in PEERED if not name.endswith("pool same")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PEERED)
def test_against_pytorch(name, dtype):
    torch = pytest.importorskip("torch")
    model, x, rng = build(name, dtype, batch=5)
    run, weights = torch_twin(model)
    torch_x = torch.from_numpy(x.copy()).requires_grad_()
    expected = run(torch_x)
    upstream = rng.standard_normal(tuple(expected.shape)).astype(dtype)
    expected.backward(torch.from_numpy(upstream))
    tolerance = 200 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(model(x), expected.detach().numpy(), atol=tolerance, rtol=tolerance)
    grad_x, grads = gradients(model, x, upstream)
    np.testing.assert_allclose(grad_x, torch_x.grad.numpy(), atol=tolerance, rtol=tolerance)
    for weight, grad in zip(weights, grads, strict=True):
        np.testing.assert_allclose(grad, weight.grad.numpy(), atol=2 * tolerance, rtol=tolerance)


def test_same_padding_is_tensorflows():
    """The odd pixel is padded at the end: a stride of 2 on 4 pixels starts at the first one."""
    x = np.arange(1.0, 5.0).reshape(1, 4, 1, 1)
    layer = nn.Conv2D(1, (3, 1), strides=(2, 1), padding="same", kernel_initializer="ones")
    np.testing.assert_array_equal(layer(x).ravel(), [1 + 2 + 3, 3 + 4])
    pool = nn.MaxPooling2D((3, 1), strides=(2, 1), padding="same")
    np.testing.assert_array_equal(pool(-x).ravel(), [-1, -3])
    pool = nn.AveragePooling2D((3, 1), strides=(2, 1), padding="same")
    np.testing.assert_allclose(pool(x).ravel(), [2, 3.5])


def test_relu_passes_no_gradient_at_zero():
    for layer in (nn.ReLU(), nn.Activation("relu"), nn.Dense(1, "relu", kernel_initializer="ones")):
        model = nn.Sequential([nn.Input((1,), dtype="float64"), layer])
        grad, _ = gradients(model, np.array([[-1.0], [0.0], [2.0]]), np.ones((3, 1)))
        np.testing.assert_array_equal(grad.ravel(), [0, 0, 1])


def test_relu6_stops_the_gradient_at_its_ceiling():
    model = nn.Sequential([nn.Input((1,), dtype="float64"), nn.ReLU(max_value=6)])
    grad, _ = gradients(model, np.array([[5.0], [6.0], [7.0]]), np.ones((3, 1)))
    np.testing.assert_array_equal(grad.ravel(), [1, 0, 0])


def test_frozen_layers_get_no_gradient():
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, trainable=False), nn.Dense(2), nn.Activation("tanh")])
    model.compile(nn.SGD(1.0), "mse")
    before = model.get_weights()
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    after = model.get_weights()
    for i, changes in enumerate([False, False, True, True]):
        assert np.array_equal(before[i], after[i]) != changes
    assert [v.shape for v in model.trainable_weights] == [(2, 2), (2,)]


def test_dropout_drops_the_same_in_both_directions():
    model = nn.Sequential([nn.Input((1000,), dtype="float64"), nn.Dropout(0.25, seed=3)])
    x = np.ones((4, 1000))
    graph = model.graph_for(x)
    executor = Executor(graph)
    y = executor.forward(x, training=True).copy()
    grad = executor.backward(graph.outputs[0], np.ones_like(x), input_grad=True)
    np.testing.assert_array_equal(y, grad)
    assert set(np.unique(y).round(12)) == {0.0, round(1 / 0.75, 12)}
    assert abs((y == 0).mean() - 0.25) < 0.03
    assert not np.array_equal(y, executor.forward(x, training=True))
    np.testing.assert_array_equal(model(x), x)
