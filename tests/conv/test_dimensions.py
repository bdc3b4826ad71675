"""Convolution of signals, images and volumes, plain and transposed, under every padding and dtype; its gradients."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import convolution as truth
from tests.cases import ALGORITHMS, ISA_LEVELS, SPREADING
from tests.convolution import PAD_MODES, Array
from tests.reference import assert_accurate

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
MOST = max(SPREADING.values()) / 2


@dataclass(frozen=True)
class Problem:
    """One convolution; `size` and `kernel` say of how many dimensions."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    n: int = 2
    c: int = 4
    k: int = 6
    groups: int = 1
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    output_padding: Any = 0
    mode: str = "zeros"
    transposed: bool = False

    @property
    def dims(self) -> int:
        return len(self.size)

    @property
    def options(self) -> dict[str, Any]:
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        return {**options, "output_padding": self.output_padding} if self.transposed else options

    @property
    def weight_shape(self) -> tuple[int, ...]:
        first, second = (self.c, self.k) if self.transposed else (self.k, self.c)
        return (first, second // self.groups, *self.kernel)

    def truths(self, x: Array, w: Array, b: Array, gy: Array) -> dict[str, Array]:
        plain = {name: value for name, value in self.options.items() if name != "output_padding"}
        if self.transposed:
            return {
                "forward": truth.conv_transpose(x, w, b, **self.options),
                "without a bias": truth.conv_transpose(x, w, None, **self.options),
                "input": truth.conv(gy, w, None, **plain, out=self.size),
                "weight": truth.conv_weight(gy, self.weight_shape, x, **plain, out=self.size),
                "bias": gy.astype(np.float64).sum(axis=(0, *range(2, gy.ndim))),
            }
        return {
            "forward": truth.conv(x, w, b, **plain, mode=self.mode),
            "without a bias": truth.conv(x, w, None, **plain, mode=self.mode),
            "input": truth.conv_input(x.shape, w, gy, **plain, mode=self.mode),
            "weight": truth.conv_weight(x, self.weight_shape, gy, **plain, mode=self.mode),
            "bias": gy.astype(np.float64).sum(axis=(0, *range(2, gy.ndim))),
        }

    def answer(self, what: str, x: Array, w: Array, b: Array, gy: Array, last: bool, **call: Any) -> Array:
        """konv's, in an array that was full of NaN."""
        name = f"conv_transpose{self.dims}d" if self.transposed else f"conv{self.dims}d"
        options = {**self.options, **call, "layout": CHANNELS_LAST[self.dims] if last else None}
        if not self.transposed:
            options["padding_mode"] = self.mode
        if last:
            x, gy = (np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, gy))
        if what == "bias":
            return konv.grad.conv_bias(gy, layout=options["layout"])
        options["out"] = np.full({"input": x, "weight": w}.get(what, gy).shape, np.nan, x.dtype)
        if what == "weight":
            return getattr(konv.grad, f"{name}_weight")(x, w.shape, gy, **options)  # type: ignore[no-any-return]
        if what == "input":
            out = getattr(konv.grad, f"{name}_input")(x.shape, w, gy, **options)
        else:
            out = getattr(konv, name)(x, w, b if what == "forward" else None, **options)
        return np.moveaxis(out, -1, 1) if last else out

    def out_size(self) -> tuple[int, ...]:
        if self.transposed:
            args = (self.stride, self.padding, self.output_padding, self.dilation)
            return truth.transposed_size(self.size, self.kernel, *args)
        return truth.Windows(self.size, self.kernel, self.stride, self.padding, self.dilation).out

    def check(
        self, dtype: str = "float32", last: bool = False, seed: int = 0, refusing: bool = False, **call: Any
    ) -> None:
        """`refusing`: whether an algorithm may refuse some directions."""
        data, expected, magnitudes = known(self, dtype, seed)
        for what in expected:
            with contextlib.suppress(ValueError) if refusing else contextlib.nullcontext():
                out = self.answer(what, *data, last, **call)
                assert out.dtype == DTYPES[dtype], what
                compare(out, expected[what], magnitudes[what], spreads=konv.config.precision != "strict")


@lru_cache(1000)
def known(problem: Problem, dtype: str, seed: int) -> tuple[list[Array], dict[str, Array], dict[str, Array]]:
    """Data, what is true of it, and the magnitudes of that: the same for every instruction set and algorithm."""
    rng = np.random.default_rng(seed)
    shapes = (problem.n, problem.c, *problem.size), problem.weight_shape, (problem.k,)
    shapes = *shapes, (problem.n, problem.k, *problem.out_size())
    data = [rng.standard_normal(shape).astype(DTYPES[dtype]) for shape in shapes]
    expected, magnitudes = problem.truths(*data), problem.truths(*(np.abs(a) for a in data))
    for array in (*data, *expected.values(), *magnitudes.values()):
        array.flags.writeable = False
    return data, expected, magnitudes


def compare(out: Array, expected: Array, magnitude: Array, spreads: bool) -> None:
    """The bound of tests/reference.py, and of halves one rounding more."""
    if spreads:
        magnitude = np.full_like(magnitude, MOST * magnitude.max(initial=0))
    if out.dtype.itemsize > 2:
        assert_accurate(out, expected, magnitude, 10**6)
        return
    info = ml_dtypes.finfo(out.dtype)
    allowed = 8 * np.finfo(np.float32).eps * magnitude + 0.51 * float(info.eps) * np.abs(expected)
    error = np.abs(out.astype(np.float64) - expected)
    assert out.shape == expected.shape
    assert (error <= allowed + float(info.smallest_subnormal)).all()


ONE, TWO, THREE = (19,), (9, 11), (5, 6, 7)
PROBLEMS = {
    "signal": Problem(ONE, (3,)),
    "signal, padded": Problem(ONE, (4,), padding=2, stride=2),
    "signal, causal": Problem(ONE, (5,), padding="causal", dilation=2),
    "signal, depthwise": Problem((130,), (4,), c=6, groups=6, padding="causal"),
    "signal, pointwise": Problem((33,), (1,), c=16, k=20),
    "signal, sides": Problem(ONE, (3,), padding=((1, 2),), groups=2),
    "image": Problem(TWO, (3, 2), padding=1, dilation=(1, 2)),
    "volume": Problem(THREE, (3, 3, 3), padding=1),
    "volume, many channels": Problem((4, 6, 6), (3, 3, 3), n=1, c=32, k=40, padding=1),
    "volume, pointwise": Problem(THREE, (1, 1, 1), c=16, k=20),
    "volume, strided": Problem(THREE, (2, 3, 1), stride=(2, 1, 3), padding=(1, 0, 0)),
    "volume, dilated groups": Problem((7, 7, 7), (2, 2, 3), dilation=(3, 1, 2), groups=2),
    "volume, depthwise": Problem(THREE, (3, 3, 3), c=6, groups=6, padding="same"),
    "volume, same": Problem(THREE, (3, 2, 4), padding="same", stride=2),
    "volume, transposed, gaps between slices": Problem(
        THREE, (3, 3, 3), n=1, c=16, k=33, stride=(2, 1, 1), dilation=(2, 1, 1), transposed=True
    ),
    "volume, same_lower": Problem(THREE, (2, 2, 2), padding="same_lower"),
}
for _dims, _size in ((1, ONE), (2, TWO), (3, THREE)):
    for _groups in (8, 32):  # as many channels as lanes, in groups of some and of one
        for _stride, _dilation in ((1, 1), (1, 2), (2, 1), (2, 2)):
            PROBLEMS[f"{_dims}-D, 32 channels in {_groups} groups, {_stride}, {_dilation}"] = Problem(
                _size,
                (3,) * _dims,
                c=32,
                k=32,
                groups=_groups,
                stride=_stride,
                dilation=_dilation,
                padding=((1, 2),) * _dims,
            )
        PROBLEMS[f"{_dims}-D, 32 channels in {_groups} groups, reflect"] = Problem(
            _size, (3,) * _dims, c=32, k=32, groups=_groups, padding=1, mode="reflect"
        )
    PROBLEMS[f"transposed {_dims}-D, depthwise by two, finished"] = Problem(
        _size, (3,) * _dims, c=12, k=6, groups=6, stride=2, transposed=True
    )
    PROBLEMS[f"transposed {_dims}-D"] = Problem(_size, (3,) * _dims, transposed=True)
    PROBLEMS[f"transposed {_dims}-D, strided"] = Problem(
        _size, (3,) * _dims, stride=2, padding=1, output_padding=1, transposed=True
    )
    PROBLEMS[f"transposed {_dims}-D, gaps"] = Problem(_size, (2,) * _dims, stride=3, transposed=True)
    PROBLEMS[f"transposed {_dims}-D, groups"] = Problem(
        _size, (4,) * _dims, stride=2, dilation=3, output_padding=2, groups=2, transposed=True
    )
    PROBLEMS[f"transposed {_dims}-D, depthwise"] = Problem(
        _size, (3,) * _dims, c=6, groups=6, stride=2, padding="same", transposed=True
    )
    for _mode in ("reflect", "replicate", "circular"):
        PROBLEMS[f"{_mode} {_dims}-D"] = Problem(_size, (3,) * _dims, padding=2, mode=_mode)
        PROBLEMS[f"{_mode} {_dims}-D, one side, strided"] = Problem(
            _size, (3,) * _dims, padding=((0, 3),) * _dims, stride=2, mode=_mode, groups=2
        )
        PROBLEMS[f"{_mode} {_dims}-D, depthwise"] = Problem(
            _size, (3,) * _dims, c=6, groups=6, padding="same", mode=_mode
        )
        PROBLEMS[f"{_mode} {_dims}-D, depthwise, columns by two"] = Problem(
            _size, (3,) * _dims, c=16, k=16, groups=16, stride=(1, 1, 2)[-_dims:], padding=2, mode=_mode
        )


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PROBLEMS)
def test_against_truth(name: str, dtype: str, last: bool) -> None:
    PROBLEMS[name].check(dtype, last)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_instruction_sets_and_strict_precision(name: str, isa: str) -> None:
    with konv.config(isa=isa, precision="strict"):
        for dtype in ("float32", "float16", "bfloat16"):
            PROBLEMS[name].check(dtype)


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "reference"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_forced_algorithms(name: str, algorithm: str) -> None:
    with konv.config(precision="strict"):
        for last in (False, True):
            PROBLEMS[name].check(last=last, algorithm=algorithm)


@pytest.mark.parametrize("name", PROBLEMS)
def test_other_algorithms(name: str) -> None:
    for algorithm in set(ALGORITHMS) - {"implicit_gemm", "reference"}:
        for dtype in ("float32", "float16"):
            PROBLEMS[name].check(dtype, refusing=True, algorithm=algorithm)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    dims = draw(st.integers(1, 3))
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    transposed = draw(st.booleans())
    mode = "zeros" if transposed else draw(st.sampled_from(list(PAD_MODES)))
    size, kernel, stride, dilation, padding, more = [], [], [], [], [], []
    for _ in range(dims):
        n, k, s, d = (draw(st.integers(1, most)) for most in ((30, 8, 8)[dims - 1], 4, 3, 3))
        span = d * (k - 1) + 1
        limit = {"zeros": span, "reflect": n - 1, "replicate": span, "circular": n}[mode]
        before, after = draw(st.integers(0, limit)), draw(st.integers(0, limit))
        if transposed:
            size_out = (n - 1) * s + span
            before = min(before, size_out - 1)
            after = min(after, size_out - 1 - before)
        else:
            n = max(n, span - before - after)
        for values, value in zip((size, kernel, stride, dilation), (n, k, s, d), strict=True):
            values.append(value)
        padding.append((before, after))
        more.append(draw(st.integers(0, max(s, d) - 1)) if transposed else 0)
    c, k = (draw(st.integers(1, 12 // groups)) * groups for _ in range(2))
    return Problem(
        tuple(size), tuple(kernel), draw(st.integers(1, 3)), c, k, groups, tuple(stride), tuple(padding),
        tuple(dilation), tuple(more) if transposed else 0, mode, transposed,
    )  # fmt: skip


@settings(max_examples=200)
@given(problem=problems(), last=st.booleans(), dtype=st.sampled_from(list(DTYPES)))
def test_random_problems(problem: Problem, last: bool, dtype: str) -> None:
    problem.check(dtype, last)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unbatched(dims: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, *[6] * dims)), rng.standard_normal((6, 4, *[3] * dims))
    conv, grad = getattr(konv, f"conv{dims}d"), konv.grad
    y = conv(x, w, padding=1)
    np.testing.assert_array_equal(y, conv(x[None], w, padding=1)[0])
    dx = getattr(grad, f"conv{dims}d_input")(x.shape, w, y, padding=1)
    np.testing.assert_array_equal(dx, getattr(grad, f"conv{dims}d_input")((1, *x.shape), w, y[None], padding=1)[0])
    w = w.swapaxes(0, 1)
    up = getattr(konv, f"conv_transpose{dims}d")(x, w, stride=2)
    np.testing.assert_array_equal(up, getattr(konv, f"conv_transpose{dims}d")(x[None], w, stride=2)[0])


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_per_sample_gradients(dims: int, transposed: bool) -> None:
    problem = Problem((6,) * dims, (3,) * dims, n=3, stride=2, padding=1, transposed=transposed)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, problem.c, *problem.size))
    gy = rng.standard_normal((3, problem.k, *problem.out_size()))
    gradient = getattr(konv.grad, f"conv_transpose{dims}d_weight" if transposed else f"conv{dims}d_weight")
    each = gradient(x, problem.weight_shape, gy, 2, 1, per_sample=True)
    assert each.shape == (3, *problem.weight_shape)
    for i in range(3):
        np.testing.assert_array_equal(each[i], gradient(x[i], problem.weight_shape, gy[i], 2, 1))
    np.testing.assert_allclose(each.sum(axis=0), gradient(x, problem.weight_shape, gy, 2, 1), rtol=1e-12, atol=1e-12)
    assert gradient(x[:0], problem.weight_shape, gy[:0], 2, 1, per_sample=True).shape == (0, *problem.weight_shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_accumulating_gradients(dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, w, gy = (rng.integers(-3, 4, s).astype(DTYPES[dtype]) for s in ((2, 3, 7, 7), (4, 3, 3, 3), (2, 4, 7, 7)))
    for mode in PAD_MODES:
        for gradient, args in (
            (konv.grad.conv2d_input, (x.shape, w, gy)),
            (konv.grad.conv2d_weight, (x, w.shape, gy)),
        ):
            fresh = gradient(*args, padding=1, padding_mode=mode)
            start = rng.integers(-3, 4, fresh.shape).astype(DTYPES[dtype])
            out = start.copy()
            assert gradient(*args, padding=1, padding_mode=mode, out=out, accumulate=True) is out
            np.testing.assert_array_equal(out, (start.astype(np.float64) + fresh.astype(np.float64)).astype(out.dtype))
    with pytest.raises(ValueError, match="accumulate: expected False where `out` is not given"):
        konv.grad.conv2d_input(x.shape, w, gy, padding=1, accumulate=True)


def test_empty_arrays_as_in_pytorch() -> None:
    x, w, b = np.ones((0, 2, 5, 5), np.float32), np.ones((3, 2, 3, 3), np.float32), np.ones(3, np.float32)
    assert konv.conv2d(x, w, b).shape == (0, 3, 3, 3)
    assert konv.conv_transpose2d(x, w.swapaxes(0, 1), b).shape == (0, 3, 7, 7)
    assert konv.grad.conv2d_input(x.shape, w, np.ones((0, 3, 3, 3), np.float32)).shape == x.shape
    np.testing.assert_array_equal(konv.grad.conv2d_weight(x, w.shape, np.ones((0, 3, 3, 3), np.float32)), 0 * w)
    none = np.ones((1, 0, 5, 5), np.float32)
    assert konv.conv2d(none, np.ones((3, 0, 3, 3), np.float32), b).shape == (1, 0, 3, 3)
    assert konv.grad.conv2d_input(none.shape, w[:, :0], np.ones((1, 3, 3, 3), np.float32)).shape == none.shape
    assert konv.grad.conv2d_weight(none, (3, 0, 3, 3), np.ones((1, 3, 3, 3), np.float32)).shape == (3, 0, 3, 3)


PLANS = {name: PROBLEMS[name] for name in PROBLEMS if "strided" in name or "causal" in name or "groups" in name}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLANS)
def test_plans(name: str, dtype: str) -> None:
    problem = PLANS[name]
    rng = np.random.default_rng(0)
    x, w, b = (
        rng.standard_normal(s).astype(DTYPES[dtype])
        for s in ((problem.n, problem.c, *problem.size), problem.weight_shape, (problem.k,))
    )
    op = f"conv_transpose{problem.dims}d" if problem.transposed else f"conv{problem.dims}d"
    options = problem.options if problem.transposed else {**problem.options, "padding_mode": problem.mode}
    expected = getattr(konv, op)(x, w, b, **options).astype(np.float64)
    eps = float(ml_dtypes.finfo(DTYPES[dtype]).eps)
    for shape in (x.shape, (None, problem.c, *[None] * problem.dims)):
        plan = getattr(konv, f"plan_{op}")(w, b, input_shape=shape, **options)
        for _ in range(2):
            np.testing.assert_allclose(plan(x).astype(np.float64), expected, rtol=eps, atol=64 * eps)
        out = np.empty(expected.shape, x.dtype)
        assert plan(x, out=out) is out
        plan.update(2 * w, b)
        twice = getattr(konv, op)(x, 2 * w, b, **options).astype(np.float64)
        np.testing.assert_allclose(plan(x, out=out).astype(np.float64), twice, rtol=eps, atol=128 * eps)
