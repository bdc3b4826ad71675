"""Quantised convolution: exact against an int64 reference, and against ONNX's own operators."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from konv import _core
from tests import convolution
from tests.cases import CASES, INTEGER_ALGORITHMS, ISA_LEVELS, LAYOUTS, Case, channels_last
from tests.conv.test_memory import SHAPES, fenced, on_linux
from tests.reference import Array
from tests.strategies import cases
from tests.views import VIEWS

ALGORITHMS = (*INTEGER_ALGORITHMS, "reference")
DTYPES = ("int8", "uint8")
# Of input and weight: nothing to subtract, ranges of a byte, and what fits no byte.
ZERO_POINTS = {
    ("int8", "int8"): ((0, 0), (-7, -128), (127, 3)),
    ("int8", "uint8"): ((5, 128), (-128, 0), (0, 77)),
    ("uint8", "int8"): ((128, 0), (255, -128), (3, "channels")),
    ("uint8", "uint8"): ((0, 128), (130, 0), (128, "channels")),
}


def random_bytes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def truth(x: Array, w: Array, x_zero: int, w_zero: Any, **options: Any) -> Array:
    """Exact: float64 holds every whole number that these sums reach."""
    centred = w.astype(np.float64) - np.reshape(w_zero, (-1, 1, 1, 1))
    return convolution.conv(x.astype(np.float64) - x_zero, centred, None, **options).astype(np.int64)


def compute(
    case: Case, x: Array, w: Array, x_zero: int, w_zero: Any, layout: str = "NCHW", algorithm: str = "auto", **more: Any
) -> Array:
    """konv's answer, channels-first whatever the layout."""
    if layout == "NHWC":
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    elif layout == "NCHW-last":
        x = channels_last(x)
    named = "NHWC" if layout == "NHWC" else None
    out = _core.conv2d_int(
        x, w, more.get("bias"), x_zero, w_zero, case.stride, case.padding, case.dilation, case.groups, "zeros", named,
        algorithm, None, more.get("threads"), more.get("max_workspace"),
    )  # fmt: skip
    assert out.dtype == np.int32
    return out.transpose(0, 3, 1, 2) if layout == "NHWC" else out


def check(case: Case, x_type: str, w_type: str, x_zero: int, w_zero: Any, **call: Any) -> None:
    rng = np.random.default_rng(7)
    x, w = random_bytes(rng, case.input_shape, x_type), random_bytes(rng, case.weight_shape, w_type)
    if isinstance(w_zero, str):
        w_zero = random_bytes(rng, (case.k,), w_type)
    out = compute(case, x, w, x_zero, w_zero, **call)
    np.testing.assert_array_equal(out, truth(x, w, x_zero, w_zero, **case.options))


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case(case: Case, isa: str) -> None:
    with konv.config(isa=isa):
        for (x_type, w_type), zeros in ZERO_POINTS.items():
            for x_zero, w_zero in zeros:
                for layout in LAYOUTS:
                    check(case, x_type, w_type, x_zero, w_zero, layout=layout)


def refused(case: Case, algorithm: str) -> bool:
    if algorithm == "implicit_gemm_int8":
        x, w = np.ones((1, 1, 1, 1), np.int8), np.ones((1, 1, 1, 1), np.int8)
        try:
            compute(Case(size=(1, 1), kernel=(1, 1)), x, w, 0, 0, algorithm=algorithm)
        except ValueError as refusal:
            return "has no products of bytes" in str(refusal)
    return algorithm == "int8_in_float32" and case.length("forward") > 258


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(algorithm: str, isa: str) -> None:
    ran = 0
    with konv.config(isa=isa):
        for case in CASES:
            for (x_type, w_type), zeros in ZERO_POINTS.items():
                for layout in LAYOUTS:
                    if refused(case, algorithm):
                        continue
                    check(case, x_type, w_type, *zeros[0], algorithm=algorithm, layout=layout)
                    ran += 1
    assert ran > 0 or algorithm == "implicit_gemm_int8"


@given(
    cases(),
    st.sampled_from(sorted(ZERO_POINTS)),
    st.integers(0, 255),
    st.integers(0, 255) | st.just("channels"),
    st.sampled_from(LAYOUTS),
    st.sampled_from(ISA_LEVELS),
)
@settings(max_examples=150)
def test_random(case: Case, types: tuple[str, str], x_zero: int, w_zero: Any, layout: str, isa: str) -> None:
    low = [np.iinfo(dtype).min for dtype in types]
    w_zero = w_zero if isinstance(w_zero, str) else w_zero + low[1]
    with konv.config(isa=isa):
        check(case, *types, x_zero + low[0], w_zero, layout=layout)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("types", ZERO_POINTS, ids=str)
def test_extremes(types: tuple[str, str], isa: str) -> None:
    """The largest products of either sign, in sums as long as they get: nothing may saturate."""
    case = Case(1, 300, (5, 6), 33, padding=((1, 1), (1, 1)))
    x_range, w_range = (np.iinfo(t) for t in types)
    with konv.config(isa=isa):
        for x_value in (x_range.min, x_range.max):
            for w_value in (w_range.min, w_range.max):
                x = np.full(case.input_shape, x_value, types[0])
                w = np.full(case.weight_shape, w_value, types[1])
                for zeros in ((0, 0), (x_range.max, w_range.max), (x_range.min, w_range.min)):
                    for algorithm in ("auto", "implicit_gemm_int16"):
                        out = compute(case, x, w, *zeros, algorithm=algorithm)
                        np.testing.assert_array_equal(out, truth(x, w, *zeros, **case.options))


@pytest.mark.parametrize("max_workspace", [0, 1 << 14])
@pytest.mark.parametrize("case", CASES[2:12], ids=str)
def test_little_workspace(case: Case, max_workspace: int) -> None:
    check(case, "uint8", "int8", 3, 0, max_workspace=max_workspace)
    check(case, "uint8", "int8", 3, 0, max_workspace=max_workspace, layout="NHWC", algorithm="implicit_gemm_int16")


@pytest.mark.parametrize("case", [Case(2, 40, (17, 19), 70), Case(2, 24, (19, 23), 24, groups=24)], ids=str)
def test_threads(case: Case) -> None:
    for threads in (2, 5):
        check(case, "int8", "uint8", 3, 200, threads=threads)


def test_bias_and_views() -> None:
    rng = np.random.default_rng(1)
    case = Case(2, 6, (9, 10), 5)
    x = random_bytes(rng, (2, 12, 18, 20), "uint8")[:, ::2, ::-2, ::2]
    w = random_bytes(rng, (3, 3, 6, 5), "int8").transpose(3, 2, 0, 1)
    bias = rng.integers(-(2**31), 2**31, 10, dtype=np.int32)[::2]
    expected = truth(x, w, 9, 0) + bias[:, None, None].astype(np.int64)
    wrapped = expected.astype(np.int32)
    for algorithm in ("auto", *ALGORITHMS):
        try:
            out = compute(case, x, w, 9, 0, bias=bias, algorithm=algorithm)
        except ValueError:
            assert algorithm == "implicit_gemm_int8"
            continue
        np.testing.assert_array_equal(out, wrapped)


@pytest.mark.parametrize("view", ["transposed", "swapped", "interleaved", "flipped", "mirrored", "channels_last"])
@pytest.mark.parametrize("case", [*CASES, Case(1, 16, (2, 8), 32, (1, 1), (2, 3), groups=16)], ids=str)
def test_orders_of_memory(case: Case, view: str) -> None:
    rng = np.random.default_rng(3)
    x, w = random_bytes(rng, case.input_shape, "uint8"), random_bytes(rng, case.weight_shape, "int8")
    expected = truth(x, w, 9, 0, **case.options)
    for algorithm in ("auto", "int8_in_float32"):
        with contextlib.suppress(ValueError) if algorithm != "auto" else contextlib.nullcontext():
            out = compute(case, VIEWS[view](x), VIEWS[view](w), 9, 0, algorithm=algorithm)
            np.testing.assert_array_equal(out, expected)


def test_windows_far_apart() -> None:
    """What lies between them is not copied, though the input seems larger than any memory."""
    row = random_bytes(np.random.default_rng(8), (1, 1, 1, 3), "uint8")
    x = np.lib.stride_tricks.as_strided(row, (1, 3, 1 << 30, 1 << 30), (0, 1, 0, 0))
    w = np.ones((2, 3, 1, 1), np.int8)
    out = konv.conv2d_int(x, w, stride=(1 << 28, 1 << 29))
    np.testing.assert_array_equal(out, np.full((1, 2, 4, 2), row.sum(dtype=np.int32)))


def test_one_and_three_dimensions() -> None:
    rng = np.random.default_rng(2)
    x, w = random_bytes(rng, (2, 5, 1, 31), "int8"), random_bytes(rng, (7, 5, 1, 4), "int8")
    rest = ("zeros", None, "auto", None, None, None)
    out = _core.conv1d_int(x[:, :, 0], w[:, :, 0], None, 2, 1, 2, 3, 2, 1, *rest)
    np.testing.assert_array_equal(
        out[:, :, None], truth(x, w, 2, 1, stride=(1, 2), padding=((0, 0), (3, 3)), dilation=(1, 2))
    )
    x, w = random_bytes(rng, (2, 5, 4, 6, 7), "uint8"), random_bytes(rng, (6, 5, 3, 3, 2), "int8")
    out = _core.conv3d_int(x, w, None, 11, 0, 1, 1, 1, 1, *rest)
    padded = np.pad(x.astype(np.int64) - 11, [(0, 0), (0, 0)] + 3 * [(1, 1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3, 2), (2, 3, 4))
    np.testing.assert_array_equal(out, np.einsum("ncdhwijk,ocijk->nodhw", windows, w.astype(np.int64)))


def test_out_and_empty_batch() -> None:
    x, w = np.ones((2, 3, 5, 5), np.uint8), np.ones((4, 3, 3, 3), np.int8)
    out = np.empty((2, 4, 3, 3), np.int32)
    assert konv.conv2d_int(x, w, out=out) is out
    assert (out == 27).all()
    assert konv.conv2d_int(x[:0], w).shape == (0, 4, 3, 3)
    assert konv.conv2d_int(x[0], w).shape == (4, 3, 3)
    assert konv.conv2d_qlinear(x[:0], 1, 0, w, 1, 0, 1, 0).shape == (0, 4, 3, 3)


@on_linux
@pytest.mark.parametrize("end", [True, False], ids=["end", "start"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_no_byte_outside(case: Case, isa: str, layout: str, end: bool) -> None:
    """Arrays lie against pages that fault."""
    rng = np.random.default_rng(6)
    x, w = random_bytes(rng, case.input_shape, "uint8"), random_bytes(rng, case.weight_shape, "int8")
    sums = truth(x, w, 3, 0, **case.options)
    order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
    arguments = (case.stride, case.padding, case.dilation, case.groups)
    with (
        konv.config(isa=isa),
        fenced(np.ascontiguousarray(x.transpose(order)), end) as image,
        fenced(w, end) as weight,
        fenced(np.ascontiguousarray(sums.transpose(order), np.int32), end) as out,
        fenced(np.zeros(out.shape, np.uint8), end) as small,
    ):
        for algorithm in ALGORITHMS:
            if refused(case, algorithm):
                continue
            out[...] = 0
            _core.conv2d_int(image, weight, None, 3, 0, *arguments, "zeros", layout, algorithm, out, None, None)
            np.testing.assert_array_equal(out, sums.transpose(order))
        konv.conv2d_qlinear(image, 1e-3, 3, weight, 1, 0, 1, 128, None, *arguments, layout=layout, out=small)
        expected = quantised(sums, np.full(case.k, 1e-3), 128, "uint8")
        np.testing.assert_array_equal(small, expected.transpose(order))


def quantised(sums: Array, scale: Array, zero: int, dtype: str) -> Array:
    info = np.iinfo(dtype)
    scaled = np.rint(sums.astype(np.float32) * scale[:, None, None].astype(np.float32))
    return np.clip(scaled + zero, info.min, info.max).astype(dtype)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_qlinear(case: Case, isa: str) -> None:
    rng = np.random.default_rng(3)
    length = case.length("forward")
    for (x_type, w_type), zeros in ZERO_POINTS.items():
        x, w = random_bytes(rng, case.input_shape, x_type), random_bytes(rng, case.weight_shape, w_type)
        x_zero = zeros[1][0]
        w_zero = random_bytes(rng, (case.k,), w_type)
        w_scale = rng.uniform(0.001, 0.01, case.k).astype(np.float32)
        bias = rng.integers(-10000, 10000, case.k, dtype=np.int32)
        sums = truth(x, w, x_zero, w_zero, **case.options) + bias[:, None, None]
        for y_type, y_zero in (("int8", -5), ("uint8", 100)):
            y_scale = np.float32(0.05 * np.sqrt(length))
            expected = quantised(sums, np.float32(0.02) * w_scale / y_scale, y_zero, y_type)
            for layout in (None, "NHWC"):
                image = x if layout is None else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
                with konv.config(isa=isa):
                    out = konv.conv2d_qlinear(
                        image, 0.02, x_zero, w, w_scale, w_zero, y_scale, np.array(y_zero, y_type), bias,
                        **case.options, layout=layout, max_workspace=1000,
                    )  # fmt: skip
                assert out.dtype == y_type
                np.testing.assert_array_equal(out if layout is None else out.transpose(0, 3, 1, 2), expected)


def test_qlinear_rounds_half_to_even_and_saturates() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    w = np.ones((1, 1, 1, 1), np.int8)
    out = konv.conv2d_qlinear(x, 0.5, 100, w, 1.0, 0, 1.0, np.uint8(10))
    expected = np.clip(np.rint((np.arange(256) - 100) * 0.5) + 10, 0, 255)
    np.testing.assert_array_equal(out.ravel(), expected)
    out = konv.conv2d_qlinear(x, 1e30, 100, w, 1.0, 0, 1.0, np.int8(-3))
    np.testing.assert_array_equal(
        out.ravel(), np.where(np.arange(256) < 100, -128, np.where(np.arange(256) == 100, -3, 127))
    )


def onnx_node(op: str, case: Case, inputs: dict[str, Array]) -> Any:
    """The answer of ONNX Runtime to one node."""
    helper = pytest.importorskip("onnx.helper")
    runtime = pytest.importorskip("onnxruntime")
    (top, bottom), (left, right) = case.pads
    node = helper.make_node(
        op, list(inputs), ["y"], strides=case.stride, dilations=case.dilation, group=case.groups,
        pads=[top, left, bottom, right],
    )  # fmt: skip
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in inputs.items()
    ]
    kind = np.dtype(np.int32) if op == "ConvInteger" else inputs["y_zero"].dtype
    result = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(kind), None)
    graph = helper.make_graph([node], "graph", values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


ONNX_CASES = tuple(case for case in CASES if min(case.geometry.out) > 0)


@pytest.mark.parametrize("case", ONNX_CASES, ids=str)
def test_onnx_conv_integer(case: Case) -> None:
    rng = np.random.default_rng(4)
    x, w = random_bytes(rng, case.input_shape, "uint8"), random_bytes(rng, case.weight_shape, "uint8")
    x_zero, w_zero = np.array(117, np.uint8), np.array(130, np.uint8)
    expected = onnx_node("ConvInteger", case, {"x": x, "w": w, "x_zero": x_zero, "w_zero": w_zero})
    out = konv.conv2d_int(x, w, x_zero, w_zero, **case.options)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("case", ONNX_CASES, ids=str)
def test_onnx_qlinear(case: Case) -> None:
    """ONNX Runtime rounds the product's scale in its own order: a value between two steps may go either way."""
    rng = np.random.default_rng(5)
    x, w = random_bytes(rng, case.input_shape, "uint8"), random_bytes(rng, case.weight_shape, "int8")
    length = case.length("forward")
    inputs = {
        "x": x,
        "x_scale": np.array(0.02, np.float32),
        "x_zero": np.array(120, np.uint8),
        "w": w,
        "w_scale": rng.uniform(0.001, 0.01, case.k).astype(np.float32),
        "w_zero": np.zeros(case.k, np.int8),
        "y_scale": np.array(0.02 * np.sqrt(length), np.float32),
        "y_zero": np.array(128, np.uint8),
        "bias": rng.integers(-1000, 1000, case.k, dtype=np.int32),
    }
    expected = onnx_node("QLinearConv", case, inputs)
    out = konv.conv2d_qlinear(*inputs.values(), **case.options)
    difference = np.abs(out.astype(np.int32) - expected)
    assert difference.max(initial=0) <= 1
    assert (difference > 0).mean() < 0.01
