"""Gradients of every layer, and of what the compiler makes of several: by finite differences, and beside PyTorch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from konv import nn
from konv.nn.execution import Executor
from konv.nn.graph import Graph
from tests.nn import torch_graph
from tests.nn.layers import LAYERS, graph_of


def residual(dtype: str, *, first: bool = True) -> nn.Model:
    """A block whose sum is taken within the batch normalization, from either side."""
    x = nn.Input((8, 7, 6), dtype=dtype)
    y = nn.BatchNormalization()(nn.Conv2D(6, 3, padding="same", use_bias=False)(x))
    y = nn.ReLU()(nn.Add()([y, x] if first else [x, y]))
    return nn.Model(x, [nn.MaxPooling2D()(y), nn.GlobalAveragePooling2D()(y)])


def shared(dtype: str) -> nn.Model:
    x = nn.Input((8, 7, 6), dtype=dtype)
    conv = nn.Conv2D(6, 3, padding="same", activation="silu")
    return nn.Model(x, conv(conv(x)))


def two_normalized_sides(dtype: str) -> nn.Model:
    x = nn.Input((8, 7, 6), dtype=dtype)
    sides = [nn.BatchNormalization()(nn.Conv2D(4, size, padding="same")(x)) for size in (1, 3)]
    return nn.Model(x, nn.ReLU(max_value=6.0)(nn.Add()(sides)))


def dense_block(dtype: str) -> nn.Model:
    x = nn.Input((8, 7, 6), dtype=dtype)
    y = nn.Concatenate()([x, nn.Conv2D(3, 3, padding="same", activation="relu")(x)])
    return nn.Model(x, nn.Concatenate()([y, nn.Conv2D(2, 1)(y)]))


# Where nodes are joined: what follows a convolution, relus in front of maxima, padding, sums, shared layers.
NETWORKS: dict[str, Callable[[str], nn.Model]] = {
    "residual": residual,
    "residual, other side": lambda dtype: residual(dtype, first=False),
    "shared": shared,
    "two normalized sides": two_normalized_sides,
    "dense block": dense_block,
    **{
        name: lambda dtype, layers=layers: nn.Sequential([nn.Input((8, 7, 6), dtype=dtype), *layers()])
        for name, layers in {
            "relu before max": lambda: [nn.Conv2D(3, 2, activation="relu"), nn.MaxPooling2D(3, strides=1)],
            "relu6 before max": lambda: [nn.Conv2D(3, 2, activation="relu6"), nn.MaxPooling2D()],
            "normalized relu before max": lambda: [nn.BatchNormalization(), nn.ReLU(), nn.MaxPooling2D()],
            "relu twice": lambda: [nn.Conv2D(3, 2, activation="relu"), nn.ReLU()],
            "padding": lambda: [nn.ZeroPadding2D(2), nn.Conv2D(3, 3, strides=2), nn.BatchNormalization()],
            "frozen": lambda: [nn.Conv2D(3, 3), nn.BatchNormalization(trainable=False), nn.ReLU()],
            "mobile": lambda: [nn.DepthwiseConv2D(3), nn.BatchNormalization(), nn.ReLU(6.0), nn.Conv2D(4, 1)],
            "classifier": lambda: [
                nn.Conv2D(3, 3, activation="relu"),
                nn.MaxPooling2D(),
                nn.Conv2D(4, 2, activation="tanh"),
                nn.Flatten(),
                nn.Dense(5, activation="relu"),
                nn.Dense(3, activation="softmax"),
            ],
        }.items()
    },
}  # fmt: skip
CASES = [*LAYERS, *NETWORKS]


def build(case: str, dtype: str) -> tuple[Graph, list[np.ndarray], list[np.ndarray], np.random.Generator]:
    """A graph with weights drawn anew, inputs, and gradients of its outputs."""
    rng = np.random.default_rng(zlib.crc32(case.encode()))
    if case in LAYERS:
        shapes, make = LAYERS[case]
        graph = graph_of(make(), shapes, dtype)
    else:
        graph, shapes = NETWORKS[case](dtype)._built_graph(), [(8, 7, 6)]
    for variable in graph.variables:
        sign = rng.choice([-1, 1], variable.shape) if len(variable.shape) > 1 else 1
        variable.assign(rng.uniform(0.2, 1.0, variable.shape) * sign)
    inputs = [rng.normal(size=(3, *shape)).astype(dtype) for shape in shapes]
    outputs = Executor(graph).run(inputs)
    return graph, inputs, [rng.normal(size=y.shape).astype(dtype) for y in outputs], rng


def forward(graph: Graph, inputs: Sequence[np.ndarray], training: bool) -> list[np.ndarray]:
    """The outputs; moving statistics stay."""
    before = [(v, v.numpy()) for v in graph.variables if v.updated]
    outputs = Executor(graph).run(inputs, training=training)
    for variable, value in before:
        variable.assign(value)
    return outputs


@pytest.mark.parametrize("case", CASES)
def test_against_finite_differences(case):
    graph, inputs, upstream, rng = build(case, "float64")
    training = case != "dropout"
    grad_inputs, grad_variables = Executor(graph).gradients(inputs, upstream, training=training)
    step = 1e-6

    def total() -> float:
        return sum(float((y * g).sum()) for y, g in zip(forward(graph, inputs, training), upstream, strict=True))

    def check(array, grad, put):
        for _ in range(4):
            i = tuple(rng.integers(n) for n in array.shape)
            kept, sides = array[i], []
            for side in (kept + step, kept - step):
                array[i] = side
                put(array)
                sides.append(total())
            array[i] = kept
            put(array)
            expected = (sides[0] - sides[1]) / (2 * step)
            assert grad[i] == pytest.approx(expected, abs=2e-7, rel=2e-6)

    for array, grad in zip(inputs, grad_inputs, strict=True):
        check(array, grad, lambda _: None)
    for variable, grad in zip(graph.variables, grad_variables, strict=True):
        assert (grad is None) == (not variable.trainable)
        if grad is not None:
            check(variable.numpy(), grad, variable.assign)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", [case for case in CASES if case != "dropout"])
def test_against_pytorch(case, dtype):
    torch = torch_graph.torch
    graph, inputs, upstream, _ = build(case, dtype)
    leaves = [torch.tensor(x, dtype=torch.float64).requires_grad_() for x in inputs]
    weights = [torch.tensor(v.value, dtype=torch.float64).requires_grad_(v.trainable) for v in graph.variables]
    outputs = torch_graph.run(graph, leaves, weights, training=True)
    trained = [w for w in weights if w.requires_grad]
    grads = torch.autograd.grad(
        outputs, [*leaves, *trained], [torch.tensor(g, dtype=torch.float64) for g in upstream], allow_unused=True
    )
    found_inputs, found_variables = Executor(graph).gradients(inputs, upstream)
    found = [*found_inputs, *(g for g in found_variables if g is not None)]
    # What rounding moves across a corner of a relu or a maximum counts in float32 alone; none of these draws does.
    tolerance = 5e-5 if dtype == "float32" else 1e-11
    for ours, theirs in zip(found, grads, strict=True):
        expected = theirs.numpy()
        np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))
        assert ours.dtype == dtype


def test_gradients_do_not_move_statistics_or_weights():
    graph, inputs, upstream, _ = build("residual", "float32")
    before = [v.numpy() for v in graph.variables]
    Executor(graph).gradients(inputs, upstream)
    for variable, value in zip(graph.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_same_padding_is_tensorflows():
    """The odd pixel is padded at the end: a stride of 2 on 4 pixels starts at the first one."""
    x = np.arange(1.0, 5.0).reshape(1, 4, 1, 1)
    layer = nn.Conv2D(1, (3, 1), strides=(2, 1), padding="same", kernel_initializer="ones")
    np.testing.assert_array_equal(layer(x).ravel(), [1 + 2 + 3, 3 + 4])
    pool = nn.MaxPooling2D((3, 1), strides=(2, 1), padding="same")
    np.testing.assert_array_equal(pool(-x).ravel(), [-1, -3])
    pool = nn.AveragePooling2D((3, 1), strides=(2, 1), padding="same")
    np.testing.assert_allclose(pool(x).ravel(), [2, 3.5])


def input_gradient(layer: nn.Layer, x: np.ndarray) -> np.ndarray:
    (grad,), _ = Executor(graph_of(layer, [x.shape[1:]])).gradients([x], [np.ones_like(layer(x))])
    assert grad is not None
    return grad


def test_relu_passes_no_gradient_at_zero():
    x = np.array([[-1.0], [0.0], [2.0]])
    for layer in (nn.ReLU(), nn.Activation("relu"), nn.Dense(1, "relu", kernel_initializer="ones")):
        np.testing.assert_array_equal(input_gradient(layer, x).ravel(), [0, 0, 1])


def test_relu6_stops_the_gradient_at_its_ceiling():
    x = np.array([[5.0], [6.0], [7.0]])
    np.testing.assert_array_equal(input_gradient(nn.ReLU(max_value=6), x).ravel(), [1, 0, 0])


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
    layer, x = nn.Dropout(0.25, seed=3), np.ones((4, 1000))
    graph = graph_of(layer, [(1000,)])
    (y,) = Executor(graph).run([x], training=True)
    (grad,), _ = Executor(graph).gradients([x], [np.ones_like(x)])
    np.testing.assert_array_equal(y, grad)
    assert set(np.unique(y).round(12)) == {0.0, round(1 / 0.75, 12)}
    assert abs((y == 0).mean() - 0.25) < 0.03
    executor = Executor(graph)
    assert not np.array_equal(executor.run([x], training=True)[0], executor.run([x], training=True)[0])
    np.testing.assert_array_equal(layer(x), x)
