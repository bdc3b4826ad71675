"""unfold and fold, against indices written out and against PyTorch."""

from __future__ import annotations

import math
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import konv
from tests.conv.test_memory import fenced

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def sources(
    size: tuple[int, ...], kernel: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[NDArray[np.int64], int]:
    """For each kernel element and window, the flat index in the padded image, and the windows' number."""
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(padded, kernel, dilation, stride, strict=True)]
    index = np.zeros((1, 1), np.int64)
    for n, k, d, s, o in zip(padded, kernel, dilation, stride, out, strict=True):
        axis = np.arange(k)[:, None] * d + np.arange(o) * s
        index = (index[:, None, :, None] * n + axis[None, :, None, :]).reshape(len(index) * k, -1)
    return index, math.prod(out)


def unfolded(x: NDArray[Any], kernel: Any, dilation: Any, padding: Any, stride: Any) -> NDArray[Any]:
    index, _ = sources(x.shape[2:], kernel, dilation, padding, stride)
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    taken = padded.reshape(*x.shape[:2], -1)[:, :, index]
    return taken.reshape(x.shape[0], -1, index.shape[1])


def folded(y: NDArray[Any], size: tuple[int, ...], kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    index, windows = sources(size, kernel, dilation, padding, stride)
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    image = np.zeros((y.shape[0], y.shape[1] // len(index), math.prod(padded)), y.dtype)
    columns = y.reshape(*image.shape[:2], len(index), windows)
    for tap, at in enumerate(index):
        image[:, :, at] += columns[:, :, tap]
    image = image.reshape(*image.shape[:2], *padded)
    return image[(..., *(slice(p, p + n) for p, n in zip(padding, size, strict=True)))]


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    size: list[int] = []
    names = ("kernel", "dilation", "padding", "stride")
    options: dict[str, list[int]] = {name: [] for name in names}
    for _ in range(draw(st.integers(1, 3))):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        padding, stride = draw(st.integers(0, 4)), draw(st.integers(1, 4))
        span = dilation * (kernel - 1) + 1
        size.append(draw(st.integers(max(1, span - 2 * padding), 12)))
        for name, value in zip(names, (kernel, dilation, padding, stride), strict=True):
            options[name].append(value)
    return tuple(size), {name: tuple(values) for name, values in options.items()}


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    if dtype in FLOATS:
        return rng.standard_normal(shape).astype(dtype_of(dtype))
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@settings(max_examples=200)
@given(
    windows(),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from((*FLOATS, *INTEGERS, "bool")),
    st.booleans(),
    st.sampled_from((1, 3)),
)
def test_unfold(shape: Any, n: int, c: int, dtype: str, last: bool, threads: int) -> None:
    size, options = shape
    x = values((n, c, *size), dtype)
    expected = unfolded(x, **options)
    arguments = [options[name] for name in ("kernel", "dilation", "padding", "stride")]
    layout = None
    if last:
        layout = ("NWC", "NHWC", "NDHWC")[len(size) - 1]
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    out = konv.unfold(x, *arguments, layout=layout, threads=threads)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(konv.unfold(x[0], *arguments, layout=layout), expected[0])


@settings(max_examples=200)
@given(
    windows(),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from((*FLOATS, *INTEGERS)),
    st.booleans(),
    st.sampled_from((1, 3)),
    st.sampled_from(konv.info()["isa_levels"]),
)
def test_fold(shape: Any, n: int, c: int, dtype: str, last: bool, threads: int, isa: str) -> None:
    size, options = shape
    y = values(unfolded(np.zeros((n, c, *size)), **options).shape, dtype)
    wide = np.float64 if dtype in FLOATS else np.int64
    expected = folded(y.astype(wide), size, **options)
    arguments = [options[name] for name in ("kernel", "dilation", "padding", "stride")]
    layout = ("NWC", "NHWC", "NDHWC")[len(size) - 1] if last else None
    with konv.config(isa=isa):
        out = konv.fold(y, size, *arguments, layout=layout, threads=threads)
        single = konv.fold(y[0], size, *arguments, layout=layout)
    assert out.dtype == y.dtype
    np.testing.assert_array_equal(single, out[0])
    if last:
        out = np.moveaxis(out, -1, 1)
    if dtype in INTEGERS:
        np.testing.assert_array_equal(out, expected.astype(dtype))
        return
    eps = float(ml_dtypes.finfo(y.dtype).eps)
    magnitude = folded(np.abs(y.astype(wide)), size, **options)
    own = eps / 2 * np.abs(expected) + 64 * np.finfo(np.float32 if eps > 1e-9 else np.float64).eps * magnitude
    assert (np.abs(out.astype(wide) - expected) <= own + 1e-7).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_as_pytorch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    x = torch.randn(2, 3, 11, 13).to(getattr(torch, dtype))
    for kernel, dilation, padding, stride in (
        (3, 1, 1, 1),
        ((2, 3), (2, 1), (0, 2), (1, 2)),
        (4, 1, 0, 4),
        (1, 1, 0, 1),
    ):
        columns = torch.nn.functional.unfold(x, kernel, dilation, padding, stride)
        ours = konv.unfold(x, kernel, dilation, padding, stride)
        assert torch.equal(ours, columns)
        theirs = torch.nn.functional.fold(columns.double(), (11, 13), kernel, dilation, padding, stride)
        torch.testing.assert_close(konv.fold(ours, (11, 13), kernel, dilation, padding, stride), theirs.to(x.dtype))


def test_every_bit_is_kept() -> None:
    """Subnormal numbers and payloads of NaN."""
    bits = np.random.default_rng(0).integers(0, 2**32, (1, 2, 9, 9), dtype=np.uint32)
    bits[0, 0, :2] = np.arange(18).reshape(2, 9)
    out = konv.unfold(bits.view(np.float32), 3)
    np.testing.assert_array_equal(out.view(np.uint32), unfolded(bits, (3, 3), (1, 1), (0, 0), (1, 1)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_all_halves(dtype: str) -> None:
    """Every 16-bit number, by itself, and in sums that round."""
    every = np.arange(2**16, dtype=np.uint16).view(dtype_of(dtype))
    with konv.config(denormals="keep"):
        out = konv.fold(every[None, None], (1, 2**16), 1)
        pair = np.stack([every, every[::-1]])[None]
        both = konv.fold(pair.reshape(1, 2, -1), (1, 2**16 + 1), (1, 2))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(out.ravel().astype(np.float32), every.astype(np.float32))
        expected = every[1:].astype(np.float32) + every[::-1][:-1].astype(np.float32)
        rounded = expected.astype(every.dtype).astype(np.float32)
        np.testing.assert_array_equal(both.ravel()[1:-1].astype(np.float32), rounded)


def test_rank_says_how_many_dimensions() -> None:
    assert konv.unfold(np.ones((5, 9)), 3).shape == (15, 7)
    assert konv.unfold(np.ones((2, 5, 9)), 3).shape == (2 * 9, 3 * 7)
    assert konv.unfold(np.ones((2, 5, 9)), (3,)).shape == (2, 15, 7)
    assert konv.unfold(np.ones((2, 5, 9)), 3, layout="NCW").shape == (2, 15, 7)
    assert konv.unfold(np.ones((1, 2, 3, 3, 3)), 2).shape == (1, 16, 8)
    assert konv.unfold(np.ones((2, 3, 3, 3)), (2, 2, 2)).shape == (16, 8)
    assert konv.unfold(np.ones((0, 2, 3, 3)), 2).shape == (0, 8, 4)
    assert konv.unfold(np.ones((1, 2, 5, 5)), 3, padding="same", stride=2).shape == (1, 18, 9)
    assert konv.fold(np.ones((2, 15, 7)), (9,), 3).shape == (2, 5, 9)
    assert konv.fold(np.ones((16, 8)), 3, (2, 2, 2)).shape == (2, 3, 3, 3)
    assert konv.fold(np.ones((0, 8, 4)), (3, 3), 2).shape == (0, 2, 3, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("end", [True, False], ids=["end", "start"])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64"])
def test_no_byte_outside(dtype: str, end: bool) -> None:
    """Arrays lie against pages that fault."""
    for kernel, dilation, padding, stride in ((3, 1, 1, 1), (2, 3, 2, 2), (5, 1, 0, 3)):
        options = {"kernel": kernel, "dilation": dilation, "padding": padding, "stride": stride}
        x = values((2, 3, 11, 13), dtype)
        expected = unfolded(x, **{name: (value, value) for name, value in options.items()})
        with (
            fenced(x, end) as image,
            fenced(np.zeros_like(expected), end) as columns,
            fenced(np.zeros_like(x), end) as back,
        ):
            konv.unfold(image, kernel, dilation, padding, stride, out=columns)
            np.testing.assert_array_equal(columns, expected)
            konv.fold(columns, (11, 13), kernel, dilation, padding, stride, out=back)
            plain = konv.fold(expected, (11, 13), kernel, dilation, padding, stride)
            np.testing.assert_array_equal(back, plain)


def test_views_and_out() -> None:
    x = values((2, 4, 10, 12), "float32")[:, ::2, ::-1, 1::2]
    out = np.empty((2, 18, 2 * 8 * 4), np.float32)[:, :, ::2]
    assert konv.unfold(x, 3, out=out) is out
    np.testing.assert_array_equal(out, unfolded(x, (3, 3), (1, 1), (0, 0), (1, 1)))
    image = np.zeros((2, 6, 2, 10), np.float32).transpose(0, 2, 3, 1)
    assert konv.fold(out, (10, 6), 3, out=image) is image
    np.testing.assert_allclose(image, folded(out, (10, 6), (3, 3), (1, 1), (0, 0), (1, 1)), rtol=1e-5, atol=1e-5)


IMAGE, COLUMNS = np.ones((1, 2, 4, 4), np.float32), np.ones((1, 8, 9), np.float32)
