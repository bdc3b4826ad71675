"""Depthwise and narrow groups: sizes around the vectors, both memory orders, every direction and ISA level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import convolution, reference
from tests.cases import DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case, channels_last

PADS = {size: ((size // 2,) * 2,) * 2 for size in (1, 3, 5, 7)}


@st.composite
def narrow_groups(draw: st.DrawFn) -> Case:
    per_group = draw(
        st.sampled_from(((1, 1), (1, 1), (1, 2), (2, 2), (4, 4), (4, 8), (8, 4), (3, 5), (8, 8), (16, 16)))
    )
    groups = draw(st.integers(2, 40))
    kernel = draw(st.sampled_from((1, 2, 3, 3, 3, 5, 7))), draw(st.sampled_from((1, 2, 3, 3, 3, 4, 5, 7)))
    size = draw(st.integers(1, 24)), draw(st.integers(1, 40))
    stride = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (2, 2), (1, 2), (3, 2), (3, 3))))
    dilation = draw(st.sampled_from(((1, 1), (1, 1), (1, 1), (2, 1), (1, 2))))
    pads = []
    for axis in range(2):
        span = dilation[axis] * (kernel[axis] - 1) + 1
        before = draw(st.integers(0, span))
        pads.append((before, max(span - size[axis] - before, 0) + draw(st.integers(0, 2))))
    n = draw(st.integers(1, 3))
    c, k = groups * per_group[0], groups * per_group[1]
    return Case(n, c, size, k, kernel, stride, tuple(pads), dilation, groups)


@settings(max_examples=500)
@given(
    case=narrow_groups(),
    direction=st.sampled_from(DIRECTIONS),
    isa=st.sampled_from(ISA_LEVELS),
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(DTYPES),
    threads=st.integers(1, 4),
)
def test_against_truth(case: Case, direction: str, isa: str, layout: str, dtype: str, threads: int) -> None:
    with konv.config(isa=isa):
        out = case.check(direction, dtype, layout=layout, threads=threads)
        one = case.compute(direction, case.data(dtype), layout=layout, threads=1)
    assert out.tobytes() == one.tobytes()


def grouped(case: Case, direction: str, layout: str, dtype: str) -> bool:
    op = "conv2d" if direction == "forward" else f"conv2d_{direction}"
    n, c, h, w = case.input_shape
    shape = (n, c, h, w) if layout == "NCHW" else (n, h, w, c)
    explanation = konv.explain(
        op,
        input_shape=shape,
        weight_shape=case.weight_shape,
        **case.options,
        dtype=dtype,
        layout=layout,
    )
    return next(not c.reason for c in explanation.candidates if c.algorithm == "grouped")


@settings(max_examples=300)
@given(
    case=narrow_groups(),
    direction=st.sampled_from(DIRECTIONS),
    isa=st.sampled_from(ISA_LEVELS),
    layout=st.sampled_from(("NCHW", "NHWC")),
    dtype=st.sampled_from(DTYPES),
)
def test_forced(case: Case, direction: str, isa: str, layout: str, dtype: str) -> None:
    with konv.config(isa=isa):
        if grouped(case, direction, layout, dtype):
            case.check(direction, dtype, layout=layout, algorithm="grouped")


SAME = (
    Case(2, 48, (57, 55), 48, padding=PADS[3], groups=48),
    Case(1, 20, (30, 61), 20, (5, 5), (2, 2), PADS[5], groups=20),
    Case(3, 36, (29, 28), 36, (7, 7), padding=PADS[7], groups=36),
    Case(1, 1, (300, 301), 1, (5, 5), padding=PADS[5]),
    Case(2, 64, (29, 28), 64, padding=PADS[3], groups=16),
    Case(1, 64, (56, 56), 128, (3, 3), (2, 2), PADS[3], groups=8),
    Case(2, 2, (64, 65), 24, (7, 7), (2, 2), PADS[7]),
    Case(2, 1, (64, 65), 8, (5, 5), padding=PADS[5]),
)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", SAME, ids=str)
def test_same_bits_for_any_number_of_threads(case: Case, isa: str, direction: str) -> None:
    data = case.data()
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            one = case.check(direction, layout=layout, threads=1)
            for threads in (2, 3, 7):
                assert case.compute(direction, data, layout=layout, threads=threads).tobytes() == one.tobytes()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", SAME, ids=str)
def test_gradients_against_pytorch(case: Case, layout: str) -> None:
    torch = pytest.importorskip("torch")
    data = case.data("float64")
    x, w, gy = (torch.from_numpy(a) for a in (data.x, data.w, data.gy))
    pad = [before for before, _ in case.pads]
    backward = torch.ops.aten.convolution_backward
    gx, gw, _ = backward(
        gy, x, w, None, case.stride, pad, case.dilation, False, [0, 0], case.groups, [True, True, False]
    )
    for direction, theirs in (("input", gx), ("weight", gw)):
        ours = case.compute(direction, data, layout=layout)
        np.testing.assert_allclose(ours, theirs.numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_infinities_that_no_product_meets(size: int, stride: int) -> None:
    """The vectors of a row's end reach columns that belong to no output: they have no part in the sums."""
    case = Case(1, 18, (20, 23), 18, (size, size), (stride, stride), ((0, 0), (0, 0)), groups=18)
    rows, cols = case.geometry.out
    used_rows, used_cols = ((n - 1) * stride + size for n in (rows, cols))
    data = case.data()
    data.x[:, :, used_rows:], data.x[:, :, :, used_cols:] = np.inf, np.nan
    data.x[0, 3, 0, 0] = np.inf
    expected = np.zeros(case.weight_shape, bool)
    expected[3, 0, 0, 0] = True
    for isa in ISA_LEVELS:
        for layout in LAYOUTS:
            with konv.config(isa=isa):
                np.testing.assert_array_equal(~np.isfinite(case.compute("weight", data, layout=layout)), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("groups", [20, 5])
def test_activation_and_residual(groups: int, layout: str) -> None:
    case = Case(2, 20, (9, 17), 20, padding=PADS[3], groups=groups)
    data = case.data()
    x, residual = data.x, data.gy.copy()
    options = dict(case.options)
    if layout == "NHWC":
        x, residual = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, residual))
        options["layout"] = "NHWC"
    elif layout == "NCHW-last":
        x, residual = channels_last(x), channels_last(residual)
    sums = konv.conv2d(x, data.w, data.b, **options)
    for threads in (1, 3):
        kept = residual.copy(order="K")
        out = konv.conv2d(x, data.w, data.b, **options, activation="relu", residual=kept, out=kept, threads=threads)
        np.testing.assert_allclose(out, np.maximum(sums + residual, 0), 1e-5, 1e-5)


def test_weights_of_shared_memory() -> None:
    x = np.random.default_rng(0).standard_normal((1, 9, 9, 32)).astype(np.float32)
    base = np.arange(32 * 9, dtype=np.float32).reshape(32, 9)
    w = np.lib.stride_tricks.as_strided(base, (32, 1, 3, 3), (36, 36, 8, 8))
    out = konv.conv2d(x, w, groups=32, layout="NHWC")
    np.testing.assert_array_equal(out, konv.conv2d(x, w.copy(), groups=32, layout="NHWC"))


def test_long_sums_stay_accurate() -> None:
    case = Case(1, 3, (600, 900), 3, padding=PADS[3], groups=3)
    data = case.data()
    x, gy = abs(data.x), abs(data.gy)
    expected = convolution.conv_weight(x, case.weight_shape, gy, **case.options)
    out = konv.grad.conv2d_weight(x, case.weight_shape, gy, **case.options)
    reference.assert_accurate(out, expected, expected, case.length("weight"))
