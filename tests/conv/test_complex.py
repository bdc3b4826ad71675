"""Convolution of complex numbers, as SciPy and PyTorch compute it: nothing is conjugated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv
from tests import convolution as truth

DTYPES = (np.complex64, np.complex128)


def random(shape: tuple[int, ...], dtype: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"groups": 2, "dilation": 2, "padding": 2}])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_against_parts(dims: int, options: dict[str, Any], dtype: Any) -> None:
    groups = options.get("groups", 1)
    x = random((2, 4, *[9] * dims), dtype, 0)
    w, b = random((6, 4 // groups, *[3] * dims), dtype, 1), random((6,), dtype, 2)
    out = getattr(konv, f"conv{dims}d")(x, w, b, **options)
    assert out.dtype == dtype
    real = truth.conv(x.real, w.real, b.real, **options) - truth.conv(x.imag, w.imag, None, **options)
    imaginary = truth.conv(x.real, w.imag, b.imag, **options) + truth.conv(x.imag, w.real, None, **options)
    magnitude = truth.conv(np.abs(x), np.abs(w), np.abs(b), **options)
    error = np.abs(out - (real + 1j * imaginary))
    assert (error <= 16 * np.finfo(dtype).eps * max(1.0, magnitude.max())).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_against_scipy(dtype: Any) -> None:
    signal = pytest.importorskip("scipy.signal")
    x, w = random((64,), dtype, 0), random((7,), dtype, 1)
    ours = konv.conv1d(x[None, None], w[None, None, ::-1], padding=6)[0, 0]
    np.testing.assert_allclose(ours, signal.convolve(x, w), rtol=1e-4, atol=1e-4)
    image, kernel = random((16, 20), dtype, 2), random((5, 3), dtype, 3)
    ours = konv.conv2d(image[None, None], kernel[None, None, ::-1, ::-1])[0, 0]
    np.testing.assert_allclose(ours, signal.convolve2d(image, kernel, "valid"), rtol=1e-4, atol=1e-4)


def test_against_pytorch_and_in_kind() -> None:
    torch = pytest.importorskip("torch")
    x, w = (torch.from_numpy(random(s, np.complex64, 0)) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    ours = konv.conv2d(x, w, padding=1)
    assert isinstance(ours, torch.Tensor)
    np.testing.assert_allclose(ours.numpy(), torch.nn.functional.conv2d(x, w, padding=1).numpy(), rtol=1e-4, atol=1e-4)


def test_out_and_memory_order() -> None:
    x, w = random((1, 4, 6, 6), np.complex64, 0), random((6, 4, 3, 3), np.complex64, 1)
    y = konv.conv2d(x, w)
    out = np.empty_like(y)
    assert konv.conv2d(x, w, out=out) is out
    np.testing.assert_array_equal(out, y)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    assert konv.conv2d(last.transpose(0, 3, 1, 2), w).transpose(0, 2, 3, 1).flags.c_contiguous
    nhwc = konv.conv2d(last, w, layout="NHWC")
    np.testing.assert_allclose(nhwc.transpose(0, 3, 1, 2), y, rtol=1e-5, atol=1e-5)


X, W = random((1, 4, 6, 6), np.complex64, 0), random((6, 4, 3, 3), np.complex64, 1)
