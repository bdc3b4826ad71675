"""The gradients of activations against PyTorch's, and against differences of konv's own activations."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import konv
from tests.cases import ISA_LEVELS

NAMES = ("relu", "relu6", "leaky_relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish")
DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def values() -> Any:
    """Both sides of every corner, the corners themselves, and far out."""
    corners = [-100.0, -9.0, -3.0, -0.0, 0.0, 3.0, 6.0, 9.0, 100.0]
    return np.concatenate([np.random.default_rng(0).standard_normal(1000) * 3, corners])


def theirs(name: str, x: Any, g: Any, slope: float = 0.01) -> Any:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    functions = {
        "gelu_tanh": lambda t: functional.gelu(t, approximate="tanh"),
        "leaky_relu": lambda t: functional.leaky_relu(t, slope),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
    leaf = torch.from_numpy(x.astype(np.float64)).requires_grad_()
    y = functions.get(name, getattr(functional, name, None))(leaf)
    return torch.autograd.grad(y, leaf, torch.from_numpy(g.astype(np.float64)))[0].numpy()


def gelu_tanh(x: Any, g: Any) -> Any:
    """The gradient without cancellation; PyTorch's is off by 20 eps, as it subtracts a hyperbolic tangent from one."""
    x, g = x.astype(np.longdouble), g.astype(np.longdouble)
    k, cubed = np.sqrt(np.longdouble(8) / np.pi), np.longdouble("0.044715")
    z, slope = k * (x + cubed * x**3), k * (1 + 3 * cubed * x**2)
    small = np.exp(-np.abs(z))
    logistic = np.where(z < 0, small, 1) / (1 + small)  # of z: half of 1 + tanh(z / 2)
    return g * (logistic + x * slope * small / (1 + small) ** 2)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_against_the_definition(name: str, dtype: str, isa: str) -> None:
    x = values().astype(DTYPES[dtype])
    g = np.random.default_rng(1).standard_normal(x.shape).astype(DTYPES[dtype])
    with konv.config(isa=isa):
        out = konv.grad.activation(name, g, x)
    assert out.dtype == x.dtype
    expected = gelu_tanh(x, g) if name == "gelu_tanh" else theirs(name, x, g)
    # A few roundings of numbers up to 1.2 times the gradient.
    eps = float(ml_dtypes.finfo(DTYPES[dtype]).eps)
    assert (np.abs(out - expected) <= 8 * eps * np.abs(g.astype(np.float64)) + 1e-30).all()


def test_gelu_tanh_is_pytorchs() -> None:
    x, g = values(), np.ones_like(values())
    np.testing.assert_allclose(gelu_tanh(x, g).astype(np.float64), theirs("gelu_tanh", x, g), 1e-13, 1e-14)


def test_slope() -> None:
    x, g = values(), np.ones_like(values())
    np.testing.assert_allclose(konv.grad.activation(("leaky_relu", 0.3), g, x), theirs("leaky_relu", x, g, 0.3))


@pytest.mark.parametrize("name", NAMES)
def test_against_differences(name: str) -> None:
    x = np.random.default_rng(0).uniform(-2.9, 2.9, (1, 1, 1, 200))
    one, step = np.ones((1, 1, 1, 1)), 1e-6
    up, down = (konv.conv2d(x + d, one, activation=name) for d in (step, -step))
    ours = konv.grad.activation(name, np.ones_like(x), x)
    np.testing.assert_allclose(ours, (up - down) / (2 * step), rtol=1e-6, atol=1e-8)


def test_shapes_strides_and_kinds() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 3, 4, 5)), rng.standard_normal((2, 3, 4, 5))
    plain = konv.grad.activation("silu", g, x)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    out = konv.grad.activation("silu", g, last)
    assert out.strides == last.strides
    np.testing.assert_array_equal(out, plain)
    np.testing.assert_array_equal(konv.grad.activation("silu", g[::-1], x[::-1])[::-1], plain)
    tensor = konv.grad.activation("silu", torch.from_numpy(g), torch.from_numpy(x))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), plain)
    assert konv.grad.activation(None, g, x) is not g
    np.testing.assert_array_equal(konv.grad.activation(None, g, x), g)
    assert konv.grad.activation("relu", g[:0], x[:0]).shape == (0, 3, 4, 5)


G = np.ones(3, np.float32)
REJECTED: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "name": (("swish", G, G), ValueError, "activation: expected None or one of"),
    "parameter": ((("relu", 1.0), G, G), ValueError, "activation: 'relu' takes no parameter"),
    "shape": (("relu", G, G[:2]), ValueError, r"preactivation: expected shape \(3,\), got \(2,\)"),
    "dtypes": (("relu", G, G.astype(np.float64)), TypeError, "preactivation: expected dtype float32"),
    "integers": (("relu", G.astype(int), G.astype(int)), TypeError, "grad_output: expected dtype"),
    "list": (("relu", [1.0], G), TypeError, "grad_output: expected an array, got list"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected(case: str) -> None:
    arguments, kind, message = REJECTED[case]
    with pytest.raises(kind, match=message):
        konv.grad.activation(*arguments)
