"""konv.nn models on a device, beside the same models on the CPU."""

from __future__ import annotations

import copy
import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import konv
from konv import nn
from tests.reference import Array

RNG = np.random.default_rng(0)
# Of one product and one sum; tf32 rounds both factors to 10 bits of fraction.
EPS = {"strict": 2.0**-23, "high": 2.0**-10}


@pytest.fixture(params=["strict", "high"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    with konv.config(precision=request.param):
        yield request.param


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def filled(model: Any) -> Any:
    """The model with weights of some size, and statistics unlike those that it starts with."""
    for v in model.weights:
        values = normal(*v.shape) / np.sqrt(max(1, np.prod(v.shape[:-1])))
        v.assign(np.abs(values) + 0.5 if v.name == "moving_variance" else values)
    return model


def plain() -> Any:
    return nn.Sequential(
        [
            nn.Input((9, 8, 3)), nn.Conv2D(8, 3, padding="same", activation="relu"), nn.MaxPooling2D(2),
            nn.Conv2D(12, 3, strides=2, activation="relu"), nn.Flatten(), nn.Dense(10),
        ]
    )  # fmt: skip


def residual() -> Any:
    x = nn.Input((8, 8, 8))
    y = nn.ReLU()(nn.BatchNormalization()(nn.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    y = nn.BatchNormalization()(nn.Conv2D(8, 3, padding="same", use_bias=False)(y))
    y = nn.ReLU()(nn.Add()([x, y]))
    return nn.Model(x, nn.GlobalAveragePooling2D()(y))


def separable() -> Any:
    x = nn.Input((8, 8, 4))
    y = nn.Conv2D(12, 1, activation="relu6")(x)
    y = nn.DepthwiseConv2D(3, strides=2, padding="same", activation="relu6")(y)
    y = nn.BatchNormalization()(nn.Conv2D(8, 1)(y))
    return nn.Model(x, nn.Dense(5)(nn.AveragePooling2D(2)(y)))


def unet() -> Any:
    x = nn.Input((8, 8, 3))
    top = nn.Conv2D(6, 3, padding="same", activation="relu")(x)
    low = nn.Conv2D(8, 3, padding="same", activation="relu")(nn.MaxPooling2D(2)(top))
    up = nn.UpSampling2D(2, interpolation="bilinear")(low)
    turned = nn.Conv2DTranspose(4, 2, strides=2, activation="relu")(low)
    y = nn.Concatenate()([top, up, turned])
    return nn.Model(x, nn.Conv2D(2, 1)(nn.ZeroPadding2D(1)(y)))


def one_dimensional() -> Any:
    return nn.Sequential([nn.Input((20, 3)), nn.Conv1D(6, 5, activation="relu"), nn.MaxPooling1D(2), nn.Conv1D(4, 3)])


MODELS: list[Callable[[], Any]] = [plain, residual, separable, unet, one_dimensional]


def bound(model: Any, x: Array, precision: str) -> Array:
    """How far rounding may move results: each layer adds a rounding of the sum of its products' magnitudes.

    These are at most what the model makes of magnitudes: all weights as such, the input too, and means, which are
    subtracted, below zero. Sums in any order of n numbers add less than n roundings in float32.
    """
    larger = copy.deepcopy(model)
    layers = products = 1
    for v in larger.weights:
        values = np.abs(v.numpy())
        v.assign(v.numpy() if v.name == "moving_variance" else -values if v.name == "moving_mean" else values)
        layers += len(v.shape) > 1
        products = max(products, int(np.prod(v.shape[:-1])))
    most: Array = larger.predict(np.abs(x), verbose=0)
    return 2 * layers * (EPS[precision] + products * EPS["strict"]) * (most + 1)


def samples(model: Any, count: int) -> Array:
    return normal(count, *model.input_shape[1:])


@pytest.mark.parametrize("make", MODELS)
def test_models(make: Callable[[], Any], precision: str) -> None:
    model = filled(make())
    for count in (3, 1):
        x = samples(model, count)
        expected = model.predict(x, verbose=0)
        found = model.predict(x, verbose=0, device="cuda")
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.all(np.abs(found - expected) <= bound(model, x, precision))


ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "hard_silu", "hard_sigmoid", "elu", "selu",
    "softplus", "softsign", "exponential", "mish",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations(dtype: str) -> None:
    x = nn.Input((5, 3), dtype=dtype)
    layers = [nn.Activation(name)(x) for name in ACTIVATIONS]
    layers += [
        nn.Softmax()(x),
        nn.Rescaling(0.3, -2.0)(x),
        nn.ReLU(max_value=2.5, negative_slope=0.1, threshold=0.5)(x),
    ]
    model = nn.Model(x, layers)
    given = np.concatenate([normal(7, 5, 3), [[[0, -0.0, 88], [-88, 30, -30], [1e-6, -1e-6, 3]] + [[3, -3, 6]] * 2]])
    given = given.astype(dtype)
    eps = np.finfo(dtype).eps
    for name, found, expected in zip(
        (*ACTIVATIONS, "softmax", "rescaling", "clipped"),
        model.predict(given, verbose=0, device="cuda"),
        model.predict(given, verbose=0),
        strict=True,
    ):
        assert found.dtype == expected.dtype
        # exp of numbers to 88 in size loses that many units; the CPU's own functions are within a few.
        np.testing.assert_allclose(found, expected, 100 * eps, 100 * eps, err_msg=name)


def test_strict_is_the_cpus() -> None:
    """The chain of nodes is the same, and one program serves arrays of the host and of the device."""
    model = filled(residual())
    x = samples(model, 2)
    on_device = konv.cuda.to_device(x)
    found = model.predict(on_device, verbose=0)
    assert type(found).__name__ == "DeviceArray"
    assert found.device == 0
    np.testing.assert_array_equal(found.numpy(), model.predict(x, verbose=0, device="cuda:0"))
    np.testing.assert_array_equal(model(on_device).numpy(), found.numpy())
    np.testing.assert_array_equal(model.predict_on_batch(x, device="cuda"), found.numpy())


def test_single_layers() -> None:
    layer = nn.Conv2D(4, 3, activation="relu")
    x = normal(2, 6, 5, 3)
    expected = layer(x)
    found = layer(konv.cuda.to_device(x))
    assert found.device == 0
    np.testing.assert_allclose(found.numpy(), expected, 0, 27 * EPS["high"] * np.abs(expected).max())


def test_other_memory_orders() -> None:
    model = filled(plain())
    x = samples(model, 2)
    expected = model.predict(x, verbose=0, device="cuda")
    turned = konv.cuda.to_device(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(model.predict(turned, verbose=0).numpy(), expected)
    np.testing.assert_array_equal(model.predict(x[:, ::-1][:, ::-1], verbose=0, device="cuda"), expected)
    np.testing.assert_array_equal(model.predict(x.astype(np.float64), verbose=0, device="cuda"), expected)


def test_batches_and_several_inputs() -> None:
    a, b = nn.Input((6, 6, 2), name="a"), nn.Input((6, 6, 3), name="b")
    joined = nn.Concatenate()([a, b])
    model = filled(nn.Model([a, b], [nn.Conv2D(4, 3)(joined), nn.Flatten()(joined)]))
    x = {"a": normal(5, 6, 6, 2), "b": normal(5, 6, 6, 3)}
    expected = model.predict(x, verbose=0)
    found = model.predict(x, batch_size=2, verbose=0, device="cuda")
    there = model.predict({name: konv.cuda.to_device(array) for name, array in x.items()}, verbose=0)
    for one, other, third in zip(found, there, expected, strict=True):
        np.testing.assert_allclose(one, third, 1e-2, 1e-2)
        np.testing.assert_allclose(other.numpy(), third, 1e-2, 1e-2)
    np.testing.assert_array_equal(found[1], expected[1])
    assert [y.shape for y in model.predict({n: v[:0] for n, v in x.items()}, verbose=0, device="cuda")] == [
        (0, 4, 4, 4), (0, 180)
    ]  # fmt: skip


def test_weights_that_change() -> None:
    model = filled(plain())
    x = samples(model, 1)
    before = model.predict(x, verbose=0, device="cuda")
    model.layers[-1].weights[1].assign(model.layers[-1].weights[1].numpy() + 1)
    np.testing.assert_allclose(model.predict(x, verbose=0, device="cuda"), before + 1, rtol=1e-5)


def test_weights_stay(simulator: Any) -> None:
    """Once a program is there, a run on arrays of the device copies nothing between it and the host."""
    model = filled(unet())
    x = konv.cuda.to_device(samples(model, 2))
    first = model.predict(x, verbose=0).numpy()
    simulator.simulate(failing_call="copy")
    again = model.predict(x, verbose=0)
    simulator.simulate()
    np.testing.assert_array_equal(again.numpy(), first)


def test_memory_comes_back(cuda: Any) -> None:
    gc.collect()
    before = cuda.memory_info()[0]
    model = filled(unet())
    x = samples(model, 2)
    model.predict(x, verbose=0, device="cuda")
    stays = cuda.memory_info()[0]
    assert stays > before
    for _ in range(3):
        model.predict(x, verbose=0, device="cuda")
    assert cuda.memory_info()[0] == stays
    del model
    gc.collect()
    assert cuda.memory_info()[0] == before


def test_out_of_memory(simulator: Any) -> None:
    model = filled(plain())
    x = samples(model, 2)
    expected = model.predict(x, verbose=0, device="cuda")
    used, calls, found = simulator.memory_info()[0], 0, None
    while found is None:  # each allocation in its turn
        simulator.release_idle()
        simulator.simulate(failing_call="allocate", calls_before_failure=calls)
        with suppress(MemoryError):
            found = copy.deepcopy(model).predict(x, verbose=0, device="cuda")
        simulator.simulate()
        gc.collect()
        assert simulator.memory_info()[0] == used
        calls += 1
    assert calls > 4
    np.testing.assert_array_equal(found, expected)


def test_launch_failure(simulator: Any) -> None:
    model = filled(plain())
    x = samples(model, 1)
    expected = model.predict(x, verbose=0, device="cuda")
    simulator.simulate(failing_call="launch", calls_before_failure=2)
    with pytest.raises(RuntimeError, match=r"launch of \w+: unspecified launch failure"):
        model.predict(x, verbose=0, device="cuda")
    np.testing.assert_array_equal(model.predict(x, verbose=0, device="cuda"), expected)


def test_two_devices(simulator: Any) -> None:
    model = filled(plain())
    x = samples(model, 2)
    expected = model.predict(x, verbose=0, device="cuda:0")
    np.testing.assert_array_equal(model.predict(x, verbose=0, device="cuda:1"), expected)
    with konv.cuda.device(1):
        there = konv.cuda.to_device(x)
        np.testing.assert_array_equal(model.predict(x, verbose=0, device="cuda"), expected)
    found = model.predict(there, verbose=0)
    assert found.device == 1
    np.testing.assert_array_equal(found.numpy(), expected)
    with pytest.raises(ValueError, match="device: expected 'cuda:1', where the arrays are, or none, got 'cuda:0'"):
        model.predict(there, verbose=0, device="cuda:0")
    with pytest.raises(ValueError, match="device: expected one of the 2 devices"):
        model.predict(x, verbose=0, device="cuda:2")


def test_streams(cuda: Any) -> None:
    model = filled(plain())
    x = samples(model, 2)
    expected = model.predict(x, verbose=0, device="cuda")
    stream = cuda.create_stream(0)
    found = model.predict(konv.cuda.to_device(x, stream=stream), verbose=0)
    assert found.stream == stream
    np.testing.assert_array_equal(found.numpy(), expected)
    del found
    cuda.synchronize(0, stream)
    cuda.release_idle()
    cuda.destroy_stream(0, stream)
    del model  # its programs remember the stream's run by an event
    gc.collect()


def test_threads() -> None:
    model = filled(separable())
    x = [samples(model, 1 + i % 2) for i in range(8)]
    expected = [model.predict(one, verbose=0, device="cuda") for one in x]
    other = copy.deepcopy(model)
    found: list[Any] = [None] * len(x)

    def run(i: int) -> None:
        with konv.config(precision="strict"):  # a thread's own, as in the fixture
            found[i] = other.predict_on_batch(x[i], device="cuda")

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(x))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork() -> None:
    model = filled(plain())
    x = samples(model, 1)
    model.predict(x, verbose=0, device="cuda")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            model.predict(x, verbose=0, device="cuda")
            os.write(write, b"no error")
        except RuntimeError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as text:
        assert "CUDA does not survive a fork" in text.read()


def test_training_is_the_cpus() -> None:
    model = filled(plain())
    x = konv.cuda.to_device(samples(model, 2))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="x must be in the host's memory: models train and evaluate on the CPU"):
        model.fit(x, normal(2, 10), verbose=0)
    with pytest.raises(ValueError, match="training: models train on the CPU alone, not on device 'cuda:0'"):
        model(x, training=True)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ValueError, "device: expected 'cpu', 'cuda' or", lambda m, x: m.predict(x, device="gpu", verbose=0)),
        (ValueError, "batch_size: arrays on a device are one batch", lambda m, x: m.predict(x, 1, verbose=0)),
        (ValueError, "x must have the model's input shape", lambda m, x: m.predict(x.transpose(0, 2, 1, 3), verbose=0)),
        (ValueError, "x must be in the host's memory", lambda m, x: m.predict(iter([x]), verbose=0)),
        (
            TypeError, "x: expected dtype float32, got float64",
            lambda m, x: m.predict(konv.cuda.to_device(x.numpy().astype(np.float64)), verbose=0),
        ),
    ],
)  # fmt: skip
def test_bad_input(error: type[Exception], match: str, call: Callable[[Any, Any], Any]) -> None:
    model = filled(plain())
    with pytest.raises(error, match=match):
        call(model, konv.cuda.to_device(samples(model, 2)))


@pytest.mark.parametrize("make", MODELS)
def test_bfloat16(make: Callable[[], Any]) -> None:
    """Rounded where the CPU rounds: where float32 sums differ, results are the next number at most, here and there."""
    pytest.importorskip("ml_dtypes")
    model = filled(make())
    small, x = model.quantize("bfloat16"), samples(model, 2)
    expected, found = small.predict(x, verbose=0), small.predict(x, verbose=0, device="cuda")
    assert np.all(np.abs(found - expected) <= 2.0**-8 / EPS["strict"] * bound(model, x, "strict"))
    assert np.mean(found != expected) < 0.5
    np.testing.assert_allclose(found, model.predict(x, verbose=0), 0, 2.0**-6 * 4 * (1 + np.abs(expected).max()))


def test_int8_is_the_cpus() -> None:
    model = filled(plain())
    x = samples(model, 4)
    with pytest.raises(ValueError, match="device: models in int8 run on the CPU"):
        model.quantize("int8", x).predict(x, verbose=0, device="cuda")


def test_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from konv.cuda import _module

    model = filled(plain())
    monkeypatch.setattr(_module, "find", lambda: None)
    with pytest.raises(RuntimeError, match="KONV_CUDA=ON"):
        model.predict(samples(model, 1), verbose=0, device="cuda")
