"""Signals in chunks give the numbers of whole signals, bit for bit."""

from __future__ import annotations

import ml_dtypes  # noqa: F401  # names bfloat16
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import convolution
from tests.cases import ISA_LEVELS
from tests.reference import Array


def at_once(stream: konv.CausalConv1d, x: Array, w: Array, b: Array | None, dilation: int, groups: int) -> Array:
    """One causal convolution of the whole signal, in the stream's algorithm."""
    return konv.conv1d(x, w, b, 1, "causal", dilation, groups, algorithm=stream.algorithm)


def signal(n: int, c: int, length: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(length).standard_normal((n, c, length)).astype(dtype)


def weights(k: int, c: int, size: int, dtype: str = "float32") -> tuple[Array, Array]:
    rng = np.random.default_rng(size)
    return rng.standard_normal((k, c, size)).astype(dtype), rng.standard_normal(k).astype(dtype)


def chunks_of(x: Array, cuts: list[int]) -> list[Array]:
    return np.split(x, sorted(cut for cut in cuts if cut <= x.shape[2]), axis=2)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@settings(max_examples=60)
@given(data=st.data())
def test_chunks(isa: str, data: st.DataObject) -> None:
    groups = data.draw(st.sampled_from((1, 1, 2, 7, 24)))
    depth = data.draw(st.sampled_from((1, 1, 2, 3, 8)))
    each = data.draw(st.integers(1, 20 if groups == 1 else 3))
    n, size, dilation = (data.draw(st.integers(1, high)) for high in (2, 5, 4))
    length = data.draw(st.integers(1, 300))
    dtype = data.draw(st.sampled_from(("float32", "float64", "float16", "bfloat16")))
    layout = data.draw(st.sampled_from(("NCW", "NWC")))
    cuts = data.draw(st.lists(st.integers(0, length), max_size=6))
    x, (w, b) = signal(n, groups * depth, length, dtype), weights(groups * each, depth, size, dtype)
    with konv.config(isa=isa):
        stream = konv.CausalConv1d(w, b, dilation, groups, layout=layout)
        whole = at_once(stream, x, w, b, dilation, groups)
        before = dilation * (size - 1)
        truth = convolution.conv(
            *(a.astype(np.float64) for a in (x[:, :, None], w[:, :, None], b)),
            dilation=(1, dilation),
            groups=groups,
            padding=((0, 0), (before, 0)),
        )
        error = {"float16": 1e-2, "bfloat16": 0.1}.get(dtype, 1e-4)
        np.testing.assert_allclose(whole.astype(np.float64), truth[:, :, 0], rtol=error, atol=error)
        for _ in range(2):
            parts = chunks_of(x, cuts)
            if layout == "NWC":
                out = [stream(part.transpose(0, 2, 1)).transpose(0, 2, 1) for part in parts]
            else:
                out = [stream(part) for part in parts]
            assert [p.shape[2] for p in out] == [p.shape[2] for p in parts]
            np.testing.assert_array_equal(np.concatenate(out, axis=2), whole)
            stream.reset()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("c", "groups"), [(48, 1), (48, 48), (200, 1), (32, 4)])
def test_long_signals(c: int, groups: int, threads: int) -> None:
    """Long enough for every way to cut a signal into tiles."""
    x, (w, b) = signal(1, c, 9000), weights(c, c // groups, 4)
    stream = konv.CausalConv1d(w, b, 2, groups, threads=threads)
    whole = at_once(stream, x, w, b, 2, groups)
    for cuts in ([1, 2, 3, 4000], [17, 18, 19, 40, 8999], [1000, 3000, 3005]):
        stream.reset()
        np.testing.assert_array_equal(np.concatenate([stream(p) for p in chunks_of(x, cuts)], axis=2), whole)


def test_sample_by_sample() -> None:
    x, (w, b) = signal(1, 3, 40)[0], weights(5, 3, 3)
    stream = konv.CausalConv1d(w, b)
    out = np.concatenate([stream(x[:, i : i + 1]) for i in range(40)], axis=1)
    stream.reset()
    np.testing.assert_array_equal(out, stream(x))
    assert stream(x[:, :0]).shape == (5, 0)


def test_private_copies() -> None:
    x, (w, b) = signal(1, 2, 8), weights(2, 2, 3)
    stream, other = konv.CausalConv1d(w, b), konv.CausalConv1d(w.copy(), b.copy())
    first = x[:, :, :5].copy()
    expected = [other(x[:, :, :5]), other(x[:, :, 5:])]
    w[:], b[:] = 0, 0
    out = [stream(first)]
    first[:] = 9
    out.append(stream(x[:, :, 5:]))
    for a, e in zip(out, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_kernel_of_one_and_dtype() -> None:
    w = np.array([[[2.0]]])
    stream = konv.CausalConv1d(w, dtype="float32")
    out = stream(np.array([[1, 2]], np.float32))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[2, 4]])


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    w = torch.ones(1, 1, 2)
    stream = konv.CausalConv1d(w)
    out = stream(torch.tensor([[1.0, 2.0]]))
    assert isinstance(out, torch.Tensor)
    assert out.tolist() == [[1, 3]]
    stream.reset()
    given = torch.zeros(1, 2)
    assert stream(torch.tensor([[1.0, 2.0]]), out=given) is given
    assert given.tolist() == [[1, 3]]
    with pytest.raises(TypeError, match="input: this tensor requires grad"):
        stream(torch.ones(1, 2, requires_grad=True))


@pytest.mark.parametrize("layout", ["NCW", "NWC"])
@pytest.mark.parametrize("batched", [True, False])
def test_out_and_little_workspace(batched: bool, layout: str) -> None:
    x, (w, b) = signal(2, 8, 40), weights(16, 8, 3)
    x = x if batched else x[0]
    x = np.ascontiguousarray(x.swapaxes(-1, -2)) if layout == "NWC" else x
    stream = konv.CausalConv1d(w, b, 2, layout=layout)
    small = konv.CausalConv1d(w, b, 2, layout=layout, max_workspace=0)
    for chunk in np.split(x, [3, 30], axis=x.ndim - 2 if layout == "NWC" else x.ndim - 1):
        expected = stream(chunk)
        out = np.full_like(expected, np.nan)
        with pytest.raises(ValueError, match="out: expected shape"):
            small(chunk, out=out[..., :-1])
        assert small(chunk, out=out) is out
        np.testing.assert_array_equal(out, expected)


def test_bad_chunks() -> None:
    stream = konv.CausalConv1d(np.ones((4, 3, 2), np.float32))
    ones = np.ones((2, 3, 5), np.float32)
    stream(ones)
    for chunk, message in (
        (ones.astype(np.float64), "input: expected dtype float32"),
        (ones[:, :2], r"input: expected shape \(N, 3, L\) or \(3, L\), got \(2, 2, 5\)"),
        (ones[0, 0], "input: expected shape"),
        (ones[0], r"input: expected shape \(2, 3, L\) as that of the chunks before, got \(3, 5\)"),
        (ones[:1], "input: expected shape"),
        ([1.0], "input: expected an array, got list"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            stream(chunk)  # type: ignore[arg-type]
    np.testing.assert_array_equal(stream(ones)[:, :, :1], 6)  # the past is what it was
