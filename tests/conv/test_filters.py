"""Image filters: few channels, kernels of any size, every algorithm that is for them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import convolution
from tests.cases import DTYPES, ISA_LEVELS, LAYOUTS, Case
from tests.convolution import Windows


def filter_case(
    size: tuple[int, int], kernel: tuple[int, int], c: int = 1, k: int = 0, n: int = 1, groups: int = 0,
    stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1), padding: Any = None,
) -> Case:  # fmt: skip
    """Depthwise unless said otherwise, padded to keep the size."""
    if padding is None:
        spans = [d * (s - 1) for s, d in zip(kernel, dilation, strict=True)]
        padding = tuple((span // 2, span - span // 2) for span in spans)
    return Case(n, c, size, k or c, kernel, stride, padding, dilation, groups or c)


# Kernel heights around the number of rows of a strip, widths and images around the vector width.
SIZES = [
    filter_case((height, width), kernel)
    for height, width, kernel in (
        (1, 1, (1, 1)), (1, 100, (1, 9)), (100, 1, (9, 1)), (9, 33, (3, 3)), (17, 31, (4, 4)), (20, 65, (5, 3)),
        (25, 40, (6, 7)), (26, 47, (7, 7)), (23, 64, (8, 5)), (24, 48, (9, 9)), (31, 30, (2, 12)), (40, 50, (15, 15)),
        (50, 45, (21, 20)), (45, 100, (31, 31)), (12, 9, (17, 23)), (5, 5, (9, 9)), (70, 90, (40, 1)),
        (3, 200, (1, 63)), (100, 130, (63, 63)),
    )
]  # fmt: skip
FEW_CHANNELS = [
    filter_case((33, 37), (7, 7), c=3),
    filter_case((33, 37), (7, 7), c=2, n=2),
    filter_case((20, 50), (5, 4), c=4),
    filter_case((20, 50), (5, 4), c=7),
    filter_case((21, 40), (3, 3), c=1, k=4, groups=1),
    filter_case((21, 40), (5, 5), c=3, k=3, groups=1),
    filter_case((21, 40), (5, 5), c=4, k=2, groups=2),
    filter_case((40, 40), (9, 9), c=3, k=1, groups=1),
    filter_case((21, 40), (5, 5), c=2, k=6, groups=2),
    filter_case((30, 40), (5, 3), c=3, dilation=(2, 3)),
    filter_case((41, 44), (9, 2), c=1, dilation=(3, 1), padding=((0, 5), (3, 0))),
    filter_case((41, 44), (11, 11), c=3, stride=(2, 2)),
    filter_case((41, 44), (5, 5), c=1, stride=(2, 1)),
    filter_case((41, 44), (5, 5), c=2, stride=(1, 3)),
]


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SIZES + FEW_CHANNELS, ids=str)
def test_direct(case: Case, dtype: str, isa: str) -> None:
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            for direction in ("forward", "input"):
                refused = direction == "forward" and case.stride != (1, 1)
                with pytest.raises(ValueError, match="steps") if refused else contextlib.nullcontext():
                    case.check(direction, dtype, layout=layout, algorithm="direct")


@st.composite
def filters(draw: st.DrawFn) -> Case:
    c, k, groups = draw(st.sampled_from(((1, 1, 1), (1, 1, 1), (1, 3, 1), (3, 3, 3), (3, 2, 1), (4, 4, 4), (2, 4, 2))))
    size, kernel, dilation, padding = [], [], [], []
    for longest in (40, 90):
        size.append(draw(st.integers(1, longest)))
        kernel.append(draw(st.integers(1, 26)))
        dilation.append(draw(st.sampled_from((1, 1, 1, 2, 3))))
        span = dilation[-1] * (kernel[-1] - 1) + 1
        before = draw(st.integers(0, span + 2))
        padding.append((before, max(span - size[-1] - before, 0) + draw(st.integers(0, 4))))
    stride = draw(st.sampled_from(((1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (1, 2))))
    case = Case(
        draw(st.integers(1, 2)), c, tuple(size), k, tuple(kernel), stride, tuple(padding), tuple(dilation), groups
    )
    assert min(Windows(case.size, case.kernel, case.stride, case.padding, case.dilation).out) >= 1
    return case


@settings(max_examples=200)
@given(case=filters(), layout=st.sampled_from(LAYOUTS), direction=st.sampled_from(("forward", "input")))
def test_random_filters(case: Case, layout: str, direction: str) -> None:
    case.check(direction, layout=layout)
    for algorithm in ("direct", "spectral"):
        with contextlib.suppress(ValueError):
            case.check(direction, layout=layout, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["direct", "spectral"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", [SIZES[-1], *FEW_CHANNELS[:2], filter_case((203, 150), (15, 15))], ids=str)
def test_threads_change_no_bit(case: Case, layout: str, algorithm: str) -> None:
    data = case.data()
    one, *others = (
        case.compute("forward", data, layout=layout, algorithm=algorithm, threads=n).tobytes() for n in (1, 2, 3, 7)
    )
    assert all(other == one for other in others)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SIZES + FEW_CHANNELS, ids=str)
def test_spectral(case: Case, dtype: str, isa: str) -> None:
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            for direction in ("forward", "input"):
                refused = direction == "forward" and case.stride != (1, 1)
                with pytest.raises(ValueError, match="steps") if refused else contextlib.nullcontext():
                    case.check(direction, dtype, layout=layout, algorithm="spectral")


@pytest.mark.parametrize("kernel", [5, 15, 33])
@pytest.mark.parametrize("pixels", ["image", "impulse"])
def test_error_of_spectral_on_images(pixels: str, kernel: int) -> None:
    """Non-negative pixels and weights, all or one of them: within 5 eps of the largest result, whatever the kernel."""
    case = filter_case((300, 400), (kernel, kernel))
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, case.input_shape).astype(np.float32)
    w = rng.uniform(0, 1, case.weight_shape).astype(np.float32)
    if pixels == "impulse":
        w[w < w.max()] = 0
    out = konv.conv2d(x, w, **case.options, algorithm="spectral")
    truth = convolution.conv(x, w, **case.options)
    assert np.abs(out - truth).max() <= 5 * np.finfo(np.float32).eps * truth.max()


def test_spectral_is_not_strict() -> None:
    case = filter_case((300, 300), (41, 41))
    plan = {"input_shape": case.input_shape, "weight_shape": case.weight_shape, **case.options}
    assert konv.explain("conv2d", **plan).chosen == "spectral"
    with konv.config(precision="strict"):
        assert konv.explain("conv2d", **plan).chosen == "direct"
        with pytest.raises(ValueError, match="strict"):
            case.compute("forward", case.data(), algorithm="spectral")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_spectral_spreads_nonfinite_values_over_tiles(value: float) -> None:
    """Whatever the truth makes not finite is so; elsewhere only tiles that read the value may be spoilt."""
    case = filter_case((400, 500), (15, 15))
    data = case.data()
    data.x[0, 0, 17, 20] = value
    with np.errstate(invalid="ignore"):
        expected = case.truth("forward", data)
    actual = case.compute("forward", data, algorithm="spectral")
    assert not np.isfinite(actual[~np.isfinite(expected)]).any()
    assert np.isfinite(actual[0, 0, 300:]).all()


@pytest.mark.parametrize("algorithm", ["direct", "spectral"])
def test_weights_changed_in_place_count(algorithm: str) -> None:
    case = filter_case((60, 70), (9, 9))
    data = case.data()
    case.compute("forward", data, algorithm=algorithm)
    np.multiply(data.w, -2, out=data.w)
    np.testing.assert_array_equal(
        case.compute("forward", data, algorithm=algorithm),
        case.compute("forward", replace(data, w=data.w.copy()), algorithm=algorithm),
    )
    case.compare(
        "forward",
        case.compute("forward", data, algorithm=algorithm),
        case.truth("forward", data),
        case.truth("forward", abs(data)),
        algorithm=algorithm,
    )


def test_small_workspace_makes_small_tiles() -> None:
    case = filter_case((200, 200), (9, 9), c=2)
    for bytes_ in (1 << 16, 1 << 18, 1 << 22):
        case.check("forward", algorithm="spectral", max_workspace=bytes_)
    with pytest.raises(ValueError, match="max_workspace"):
        filter_case((200, 200), (99, 99)).check("forward", algorithm="spectral", max_workspace=1 << 16)


def gaussian(case: Case, dtype: str = "float32") -> np.ndarray:
    """Kernels of rank one, rounded: a smooth one for the first output, differences for the others."""
    kernels = []
    for k in range(case.k):
        column, row = (np.exp(-(np.linspace(-1.5, 1 + k, size) ** 2)) for size in case.kernel)
        if k:
            row[: case.kernel[1] // 2] *= -1
        kernels.append(np.outer(column, row) / column.sum())
    return np.stack(kernels)[:, None].astype(dtype)


SEPARABLE = [
    filter_case((41, 70), (5, 5)),
    filter_case((40, 33), (4, 4)),
    filter_case((90, 50), (15, 15), c=3),
    filter_case((33, 100), (9, 31), n=2),
    filter_case((30, 64), (21, 5), c=2),
    filter_case((40, 41), (7, 7), c=1, k=3, groups=1),
    filter_case((40, 90), (5, 7), c=2, dilation=(2, 3)),
    filter_case((20, 300), (63, 63)),
    filter_case((300, 310), (25, 25)),
]


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SEPARABLE, ids=str)
def test_kernels_of_rank_one(case: Case, dtype: str, isa: str) -> None:
    data = replace(case.data(dtype), w=gaussian(case, dtype))
    truth, magnitude = case.truth("forward", data), case.truth("forward", abs(data))
    with konv.config(isa=isa, precision="strict"):
        for layout in LAYOUTS:
            out = case.compute("forward", data, layout=layout, algorithm="direct")
            case.compare("forward", out, truth, magnitude, algorithm="direct")
    with konv.config(isa=isa):
        automatic = [case.compute("forward", data, threads=threads).tobytes() for threads in (1, 2, 3)]
        assert len(set(automatic)) == 1


@pytest.mark.parametrize("case", SEPARABLE, ids=str)
def test_weights_that_stop_being_of_rank_one(case: Case) -> None:
    """Rank is judged in every call, and an element off by a little more than rounding counts."""
    data = replace(case.data(), w=gaussian(case))
    middle = (0, 0, case.kernel[0] // 2, case.kernel[1] // 2)
    for change in (1.0, 1 + 1e-5, 0.5, 1.0):
        data.w[...] = gaussian(case)
        data.w[middle] *= change
        truth, magnitude = case.truth("forward", data), case.truth("forward", abs(data))
        for algorithm in ("direct", "auto"):
            case.compare(
                "forward", case.compute("forward", data, algorithm=algorithm), truth, magnitude, algorithm=algorithm
            )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_kernels_of_rank_one_spread_nonfinite_values_as_the_truth(value: float) -> None:
    case = filter_case((40, 50), (9, 9))
    data = replace(case.data(), w=gaussian(case))
    data.x[0, 0, 17, 20] = value
    data.w[0, 0, :, 3] = 0
    with np.errstate(invalid="ignore"):
        expected = case.truth("forward", data)
    actual = case.compute("forward", data, algorithm="direct")
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(actual[np.isinf(expected)], expected[np.isinf(expected)])


@pytest.mark.parametrize("weights", [0.0, np.nan, np.inf, 1e-40])
def test_odd_kernels(weights: float) -> None:
    """Nothing to divide by, or nothing finite."""
    case = filter_case((20, 30), (5, 5))
    data = case.data()
    data.w[...] = weights
    with np.errstate(invalid="ignore"):
        expected = case.truth("forward", data)
    actual = case.compute("forward", data, algorithm="direct")
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_allclose(actual[~np.isnan(expected)], expected[~np.isnan(expected)], rtol=1e-6, atol=1e-36)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", [*FEW_CHANNELS[:7], filter_case((40, 50), (15, 15))], ids=str)
def test_epilogue(case: Case, layout: str, activation: Any) -> None:
    data = case.data()
    residual = np.ascontiguousarray(data.gy if layout == "NCHW" else data.gy.transpose(0, 2, 3, 1))
    options: dict[str, Any] = {"layout": layout, "activation": activation}
    theirs = case.compute("forward", data, algorithm="reference", residual=residual, **options)
    for algorithm in ("direct", "spectral"):
        ours = case.compute("forward", data, algorithm=algorithm, residual=residual, **options)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", [filter_case((40, 50), (9, 9)), FEW_CHANNELS[0]], ids=str)
def test_direct_spreads_nonfinite_values_as_the_truth(case: Case, layout: str, value: float) -> None:
    data = case.data()
    data.x[0, -1, 17, 20] = value
    with np.errstate(invalid="ignore"):
        expected = case.truth("forward", data)
    actual = case.compute("forward", data, layout=layout, algorithm="direct")
    np.testing.assert_array_equal(np.isfinite(actual), np.isfinite(expected))


def test_views_and_out() -> None:
    """Rows far apart, columns skipped, results into part of a larger array."""
    case = filter_case((30, 40), (9, 9))
    data = case.data()
    expected = case.compute("forward", data, algorithm="direct")
    wide = np.full((1, 1, 64, 90), np.nan, np.float32)
    wide[:, :, 3:33, 5:45] = data.x
    np.testing.assert_array_equal(
        konv.conv2d(wide[:, :, 3:33, 5:45], data.w, data.b, **case.options, algorithm="direct"), expected
    )
    target = np.zeros((1, 1, 50, 70), np.float32)
    konv.conv2d(data.x, data.w, data.b, **case.options, algorithm="direct", out=target[:, :, 7:37, 11:51])
    np.testing.assert_array_equal(target[:, :, 7:37, 11:51], expected)
    assert np.count_nonzero(target) == np.count_nonzero(expected)
    skipping = np.repeat(data.x, 2, axis=3)[..., ::2]
    target = np.zeros((1, 1, 30, 120), np.float32)
    konv.conv2d(skipping, data.w, data.b, **case.options, algorithm="direct", out=target[..., ::3])
    np.testing.assert_array_equal(target[..., ::3], expected)
    assert np.count_nonzero(target) == np.count_nonzero(expected)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (filter_case((20, 20), (3, 3), c=8, k=8, groups=1), "channels"),
        (filter_case((20, 20), (3, 3), stride=(2, 2)), "steps"),
    ],
    ids=str,
)
def test_direct_refuses(case: Case, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        case.compute("forward", case.data(), algorithm="direct")


def test_large_images_choose_a_filter() -> None:
    for layout, shape in (("NCHW", (1, 3, 1080, 1920)), ("NHWC", (1, 1080, 1920, 3))):
        plan = konv.explain("conv2d", input_shape=shape, weight_shape=(3, 1, 7, 7), padding=3, groups=3, layout=layout)
        assert plan.chosen == "direct"
