"""Arrays of other libraries: read where they lie, answered in kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv

X = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((6, 4, 3, 3)).astype(np.float32)
Y = konv.conv2d(X, W)


class Described:
    """Not an array, but memory that NumPy can read."""

    def __init__(self, kind: str, array: Any = X) -> None:
        if kind == "array_interface":
            self.__array_interface__ = array.__array_interface__
            self.array = array  # whose memory it is
        else:
            self.__dlpack__ = array.__dlpack__
            self.__dlpack_device__ = array.__dlpack_device__


@pytest.mark.parametrize("kind", ["array_interface", "dlpack"])
def test_described_memory_is_read(kind: str) -> None:
    out = konv.conv2d(Described(kind), W)
    assert type(out) is np.ndarray
    np.testing.assert_array_equal(out, Y)
    np.testing.assert_array_equal(konv.conv2d(X, Described(kind, W)), Y)


def test_described_memory_is_not_copied() -> None:
    from konv._interop import as_ndarray

    for kind in ("array_interface", "dlpack"):
        assert np.shares_memory(as_ndarray(Described(kind)), X)


def test_memory_that_cannot_be_shared() -> None:
    class Elsewhere:
        def __dlpack__(self, **_: Any) -> object:
            raise BufferError("on another device")

        def __dlpack_device__(self) -> tuple[int, int]:
            return (10, 0)  # of ROCm

    with pytest.raises(TypeError, match=r"Elsewhere does not share its memory"):
        konv.conv2d(Elsewhere(), W)


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    x, w = torch.from_numpy(X), torch.from_numpy(W)
    out = konv.conv2d(x, w)
    assert isinstance(out, torch.Tensor)
    np.testing.assert_array_equal(out.numpy(), Y)
    given = torch.empty(Y.shape)
    assert konv.conv2d(x, w, out=given) is given
    np.testing.assert_array_equal(given.numpy(), Y)
    values, indices = konv.max_pool2d(x, 2, return_indices=True)
    expected = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(values, expected[0])
    assert torch.equal(indices, expected[1])
    # Mixed: the answer is a tensor where any array is.
    assert isinstance(konv.grad.conv2d_input(X.shape, W, torch.from_numpy(Y)), torch.Tensor)


def test_tensors_in_channels_last_memory() -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X).contiguous(memory_format=torch.channels_last)
    out = konv.conv2d(x, torch.from_numpy(W))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_plans_take_tensors() -> None:
    torch = pytest.importorskip("torch")
    plan = konv.plan_conv2d(torch.from_numpy(W), input_shape=X.shape)
    out = plan(torch.from_numpy(X))
    assert isinstance(out, torch.Tensor)
    plan.update(torch.from_numpy(2 * W))
    np.testing.assert_allclose(plan(X), 2 * Y, rtol=1e-5, atol=1e-5)
    given = torch.empty(Y.shape)
    assert plan(torch.from_numpy(X), out=given) is given


def test_arrays_of_jax() -> None:
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    out = konv.conv2d(jnp.asarray(X), jnp.asarray(W))
    assert isinstance(out, type(jnp.asarray(X)))
    np.testing.assert_array_equal(np.asarray(out), Y)


def test_errors_name_the_argument() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="input: expected dtype"):
        konv.conv2d(torch.zeros(1, 4, 8, 8, dtype=torch.int16), torch.from_numpy(W))
    with pytest.raises(ValueError, match="weight: expected 4 input channels"):
        konv.conv2d(torch.from_numpy(X), torch.zeros(6, 3, 3, 3))
    with pytest.raises(TypeError, match="CPU"):
        konv.conv2d(torch.zeros(1, 4, 8, 8, device="meta"), torch.from_numpy(W))
