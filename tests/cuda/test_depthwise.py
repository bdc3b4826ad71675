"""Depthwise and narrowly grouped convolutions on a device, and their gradients, against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import convolution, reference
from tests.cases import CASES, Case, channels_last
from tests.cuda.test_conv import DIRECTIONS, assert_close, dtype_of

LAYOUTS = ("NCHW", "NHWC", "NCHW-last")


def pads(n: int) -> Any:
    return ((n, n), (n, n))


DEPTHWISE = (
    Case(2, 16, (9, 11), 16, padding=pads(1), groups=16),
    Case(1, 8, (13, 70), 8, padding=pads(1), groups=8),  # wider than a tile of rows
    Case(2, 24, (19, 10), 24, stride=(2, 2), padding=pads(1), groups=24),  # higher than a tile
    Case(1, 8, (9, 10), 8, (5, 5), padding=pads(2), groups=8),
    Case(1, 16, (9, 10), 16, (5, 5), (2, 2), pads(2), groups=16),
    Case(2, 8, (8, 9), 8, (7, 7), padding=pads(3), groups=8),
    Case(1, 8, (11, 12), 8, (7, 7), (2, 2), ((3, 2), (3, 2)), groups=8),
    Case(1, 40, (5, 5), 40, padding=pads(2), groups=40),  # more padding than "same"
    Case(1, 8, (7, 7), 8, groups=8),  # none
    Case(1, 8, (9, 9), 8, stride=(2, 1), padding=pads(1), groups=8),
    Case(1, 16, (12, 11), 16, dilation=(2, 3), padding=pads(2), groups=16),
    Case(2, 6, (7, 8), 6, (2, 4), (1, 3), ((0, 1), (2, 1)), groups=6),
    Case(1, 4, (5, 23), 4, (1, 11), padding=((0, 0), (5, 5)), groups=4),  # more taps than a run
    Case(1, 264, (3, 4), 264, padding=pads(1), groups=264),  # more channels than a block
    Case(9, 3, (3, 3), 3, padding=pads(1), groups=3),  # planes of several images in a block
)
GROUPED = (
    Case(1, 16, (7, 9), 16, padding=pads(1), groups=2),
    Case(2, 16, (7, 6), 24, stride=(2, 2), padding=pads(1), groups=4),
    Case(1, 12, (6, 7), 6, (3, 2), (2, 1), ((1, 0), (0, 1)), groups=6),
    Case(2, 30, (5, 6), 30, padding=pads(1), groups=10),
    Case(1, 8, (7, 8), 24, padding=pads(1), dilation=(2, 1), groups=8),  # depth multiplier 3
    Case(1, 8, (5, 6), 4, (1, 1), groups=4),
)
MANY = tuple((case, "depthwise") for case in DEPTHWISE) + tuple((case, "grouped") for case in GROUPED)
KNOWN = tuple(
    (case, "depthwise" if case.groups == case.c == case.k else "grouped")
    for case in CASES
    if case.groups > 1 and max(case.c, case.k) < 16 * case.groups
)


def check(case: Case, direction: str, algorithm: str, dtype: str = "float32", layout: str = "NCHW") -> None:
    kind = np.dtype(dtype_of(dtype))
    data = case.data()
    x, w, b, gy = (a.astype(kind) for a in (data.x, data.w, data.b, data.gy))
    exact = [a.astype(np.float64) for a in (x, w, b, gy)]
    truth = case.truth(direction, type(data)(*exact))
    magnitude = case.truth(direction, type(data)(*map(np.abs, exact)))
    options = {**case.options, "algorithm": algorithm}
    input_size: tuple[int, ...] = case.input_shape
    if layout == "NHWC":
        x, gy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, gy))
        input_size, options = (case.n, *case.size, case.c), {**options, "layout": "NHWC"}
    elif layout == "NCHW-last":
        x, gy = channels_last(x), channels_last(gy)
    shape = {"forward": gy.shape, "input": input_size, "weight": case.weight_shape}[direction]
    out = np.full(int(np.prod(shape)) * kind.itemsize, 0xFF, np.uint8).view(kind).reshape(shape)
    if layout == "NCHW-last" and direction != "weight":
        out = channels_last(out)
    if direction == "forward":
        konv.cuda.conv2d(x, w, b, **options, out=out)
    elif direction == "input":
        konv.cuda.grad.conv2d_input(input_size, w, gy, **options, out=out)
    else:
        konv.cuda.grad.conv2d_weight(x, case.weight_shape, gy, **options, out=out)
    if layout == "NHWC" and direction != "weight":
        out = out.transpose(0, 3, 1, 2)
    assert_close(out, truth, magnitude, case.length(direction))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("case", "algorithm"), [*MANY, *KNOWN], ids=str)
def test_cases(case: Case, algorithm: str, direction: str, layout: str) -> None:
    check(case, direction, algorithm, layout=layout)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_dtypes(direction: str, layout: str, dtype: str) -> None:
    for case in (DEPTHWISE[0], DEPTHWISE[2], DEPTHWISE[4], DEPTHWISE[5], DEPTHWISE[10]):
        check(case, direction, "depthwise", dtype, layout)
    for case in (GROUPED[0], GROUPED[1], GROUPED[3]):
        check(case, direction, "grouped", dtype, layout)


@settings(max_examples=80)
@given(data=st.data())
def test_any_shape(data: Any) -> None:
    draw = data.draw
    two = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    inputs, outputs = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (3, 1), (1, 2), (4, 8), (8, 4)]))
    groups = draw(st.sampled_from([2, 3, 4, 8, 16]))
    kernel = draw(st.one_of(st.sampled_from([(3, 3), (5, 5), (7, 7)]), two(1, 4)))
    stride = draw(st.one_of(st.sampled_from([(1, 1), (2, 2)]), two(1, 3)))
    padding = tuple(draw(two(0, 3)) for _ in range(2))
    case = Case(
        draw(st.integers(1, 3)), groups * inputs, draw(two(7, 12)), groups * outputs, kernel, stride, padding,
        (1, 1) if max(kernel) > 3 else draw(two(1, 2)), groups,
    )  # fmt: skip
    algorithm = "depthwise" if inputs == outputs == 1 else "grouped"
    dtype, layout = draw(st.sampled_from(["float32", "float16"])), draw(st.sampled_from(LAYOUTS))
    for direction in DIRECTIONS:
        check(case, direction, algorithm, dtype, layout)


@pytest.mark.parametrize("spatial", [1, 3])
@pytest.mark.parametrize(("channels", "groups"), [(8, 8), (12, 4)])
def test_dimensions(channels: int, groups: int, spatial: int) -> None:
    rng = np.random.default_rng(spatial)
    size, kernel = (9, 6, 5)[:spatial], (3, 2, 3)[:spatial]
    x = rng.standard_normal((2, channels, *size), np.float32)
    w = rng.standard_normal((channels, channels // groups, *kernel), np.float32)
    algorithm = "depthwise" if channels == groups else "grouped"
    for stride in (1, 2):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "groups": groups}
        truth = convolution.conv(x, w, None, **options)
        magnitude = convolution.conv(abs(x), abs(w), None, **options)
        gy = rng.standard_normal(truth.shape, np.float32)
        options["algorithm"] = algorithm
        out = getattr(konv.cuda, f"conv{spatial}d")(x, w, **options)
        reference.assert_accurate(out, truth, magnitude, 100)
        for operand, args in (("input", (x.shape, w, gy)), ("weight", (x, w.shape, gy))):
            name = f"conv{spatial}d_{operand}"
            ours = getattr(konv.cuda.grad, name)(*args, **options)
            theirs = getattr(konv.grad, name)(*args, stride=stride, padding=1, groups=groups)
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS[::2])
@pytest.mark.parametrize("activation", [None, "relu", "relu6", ("leaky_relu", 0.2), "silu", "hardswish"])
def test_epilogue(activation: Any, layout: str) -> None:
    for case, algorithm in ((DEPTHWISE[0], "depthwise"), (DEPTHWISE[10], "depthwise"), (GROUPED[0], "grouped")):
        data = case.data()
        x = data.x if layout == "NCHW" else channels_last(data.x)
        residual = np.random.default_rng(1).standard_normal(case.output_shape, np.float32)
        for keywords in ({}, {"residual": residual if layout == "NCHW" else channels_last(residual)}):
            options = {**case.options, "activation": activation, **keywords}
            ours = konv.cuda.conv2d(x, data.w, data.b, **options, algorithm=algorithm)
            np.testing.assert_allclose(ours, konv.conv2d(x, data.w, data.b, **options), rtol=1e-4, atol=1e-4)


def test_transposed() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 8, 5, 6), np.float32), rng.standard_normal((8, 1, 3, 3), np.float32)
    b = rng.standard_normal(8, np.float32)
    for stride in (1, 2):
        ours = konv.cuda.conv_transpose2d(x, w, b, stride, 1, groups=8, algorithm="depthwise", activation="relu")
        theirs = konv.conv_transpose2d(x, w, b, stride, 1, groups=8, activation="relu")
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("case", "algorithm"), [(DEPTHWISE[0], "depthwise"), (GROUPED[0], "grouped")], ids=str)
def test_strides_and_alignment(case: Case, algorithm: str) -> None:
    """Channels innermost, but nothing is aligned to vectors; and views that skip."""
    data = case.data()
    n, c, h, w = case.input_shape
    memory = np.concatenate([[0], data.x.transpose(0, 2, 3, 1).ravel()]).astype(np.float32)
    whole = konv.cuda.to_device(memory)

    class Shifted:
        """One element past the start of an array on a device."""

        def __init__(self, array: Any, shape: tuple[int, ...]) -> None:
            described = dict(array.__cuda_array_interface__)
            pointer, readonly = described["data"]
            described |= {"shape": shape, "strides": None, "data": (pointer + 4, readonly)}
            self.__cuda_array_interface__, self.array = described, array

    x = Shifted(whole, (n, h, w, c))
    weight = konv.cuda.to_device(data.w)
    options: Any = {**case.options, "layout": "NHWC", "algorithm": algorithm}
    y = konv.cuda.conv2d(x, weight, **options).numpy()
    truth = case.truth("forward", type(data)(data.x, data.w, 0 * data.b, data.gy))
    magnitude = case.truth("forward", abs(data))
    assert_close(y.transpose(0, 3, 1, 2), truth, magnitude, case.length("forward"))
    gy = np.ascontiguousarray(data.gy.transpose(0, 2, 3, 1))
    gradient = konv.cuda.grad.conv2d_weight(x, case.weight_shape, konv.cuda.to_device(gy), **options).numpy()
    assert_close(gradient, case.truth("weight", data), case.truth("weight", abs(data)), case.length("weight"))


def test_weight_gradients_repeat() -> None:
    for case in (DEPTHWISE[2], GROUPED[1]):
        data = case.data()
        for x in (data.x, channels_last(data.x)):
            once, again = (
                konv.cuda.grad.conv2d_weight(x, case.weight_shape, data.gy, **case.options) for _ in range(2)
            )
            np.testing.assert_array_equal(once, again)


def test_choice() -> None:
    def chosen(shape: Any, weight: Any, groups: int) -> str:
        explanation = konv.explain("conv2d", input_shape=shape, weight_shape=weight, groups=groups, device="cuda")
        name: str = explanation.chosen
        return name

    assert chosen((1, 32, 8, 8), (32, 1, 3, 3), 32) == "depthwise"
    assert chosen((1, 32, 8, 8), (64, 1, 3, 3), 32) == "grouped"
    x, w = np.ones((1, 32, 8, 8), np.float32), np.ones((32, 16, 3, 3), np.float32)
    with pytest.raises(ValueError, match="'depthwise' does not compute this problem: not a channel a group"):
        konv.cuda.conv2d(x, w, groups=2, algorithm="depthwise")
    with pytest.raises(ValueError, match="'grouped' does not compute this problem: groups of 16 channels"):
        konv.cuda.conv2d(x, w, groups=2, algorithm="grouped")
    with pytest.raises(ValueError, match="padding_mode is not 'zeros'"):
        konv.cuda.conv2d(
            x, np.ones((32, 1, 3, 3), np.float32), padding=1, groups=32, padding_mode="reflect", algorithm="depthwise"
        )


def test_memory_failure(simulator: Any) -> None:
    case = DEPTHWISE[0]
    data = case.data()
    simulator.release_idle()
    simulator.simulate(failing_call="allocate", calls_before_failure=3)
    with pytest.raises(MemoryError, match="out of memory"):
        konv.cuda.grad.conv2d_weight(data.x, case.weight_shape, data.gy, **case.options, algorithm="depthwise")
    simulator.simulate()
