"""Dense convolutions as matrix products: every tile, direction, element type and form of operands, against float64.

The truth is that of the operands as they are multiplied: 16-bit arrays as they are; float32 under precision "high" with
each factor rounded to tf32, ten bits of fraction, to nearest with ties away from zero. Their products are exact in
float32, so what remains is the error of a float32 sum, which tests/reference.py bounds, and for 16-bit results one
rounding to them. Results are in memory that was NaN, so that a value nobody wrote shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import konv
from tests import convolution, reference
from tests.cases import CASES, Case, Data, channels_last
from tests.reference import Array
from tests.strategies import cases

NAME = "implicit_gemm"
DIRECTIONS = ("forward", "input", "weight")
# Element types with the precision under which they are multiplied.
KINDS = ("float16", "bfloat16", "tf32", "float32", "float64")
ONE = ((1, 1), (1, 1))
SMALL = tuple(c for c in CASES if c.n * c.c * c.k * np.prod(c.size) * np.prod(c.kernel) < 3e6)
TILES = ((128, 128), (128, 64), (64, 64), (128, 32))
WARPGROUP_TILES = ((128, 256), (256, 128))  # of the simulator and an H100
WEIGHT_TILES = ((128, 128), (64, 64))


@pytest.fixture(autouse=True)
def _free_tiles(cuda: Any) -> Iterator[None]:
    yield
    cuda.force_gemm_tile(0, 0, 0)


def dtype_of(kind: str) -> Any:
    if kind == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype("float32" if kind == "tf32" else kind)


def as_multiplied(x: Array, kind: str) -> Array:
    if kind != "tf32":
        return x.astype(np.float64)
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x1000) & 0xFFFFE000).view(np.float32).astype(np.float64)


def assert_close(out: Array, truth: Array, magnitude: Array, length: int) -> None:
    if out.dtype.itemsize > 2:
        return reference.assert_accurate(out, truth, magnitude, length)
    eps = 2.0**-8 if out.dtype.name == "bfloat16" else 2.0**-11  # half a step of the last bit
    tiny = 2.0**-25 if out.dtype.name == "float16" else 2.0**-133
    error = np.abs(out.astype(np.float64) - truth)
    assert out.shape == truth.shape
    allowed = eps * np.abs(truth) + (1 + eps) * min((length + 2) / 2, 8.0) * 2.0**-23 * magnitude + tiny
    assert np.all(error <= allowed), f"{np.argwhere(~(error <= allowed))[:5]} of {error.shape}"
    return None


def high(kind: str) -> Any:
    return konv.config(precision="high" if kind == "tf32" else "strict")


def check(case: Case, direction: str, kind: str, layout: str = "NCHW", **options: Any) -> Array:
    data = case.data()
    dtype = dtype_of(kind)
    x, w, b, gy = (a.astype(dtype) for a in (data.x, data.w, data.b, data.gy))
    exact = Data(as_multiplied(x, kind), as_multiplied(w, kind), b.astype(np.float64), as_multiplied(gy, kind))
    truth, magnitude = case.truth(direction, exact), case.truth(direction, abs(exact))
    if layout == "last":
        x, gy = channels_last(x), channels_last(gy)
    options = {**case.options, "algorithm": NAME, **options}
    out: Array
    with high(kind):
        if direction == "forward":
            out = konv.cuda.conv2d(x, w, b, **options)
        elif direction == "input":
            out = konv.cuda.grad.conv2d_input(case.input_shape, w, gy, **options)
        else:
            out = konv.cuda.grad.conv2d_weight(x, case.weight_shape, gy, **options)
    assert out.dtype == dtype
    assert_close(out, truth, magnitude, case.length(direction))
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", SMALL, ids=str)
def test_cases(case: Case, direction: str, kind: str) -> None:
    check(case, direction, kind, "last" if case.c % 8 == 0 else "NCHW")


# Two blocks of every tile both ways, with a part of each beyond the last row and column.
WIDE = Case(2, 40, (10, 9), 136, padding=ONE)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("kind", KINDS[:4])
def test_tiles(cuda: Any, kind: str, tile: tuple[int, int], parts: int) -> None:
    cuda.force_gemm_tile(*tile, parts)
    check(WIDE, "forward", kind, "last")
    # Input channels are the columns here; half a vector more than whole ones.
    check(Case(1, 140, (12, 12), 24, (2, 3), (2, 1), ((0, 1), (1, 1))), "input", kind)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("tile", WARPGROUP_TILES, ids=str)
@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_tiles_of_warpgroups(cuda: Any, kind: str, tile: tuple[int, int], parts: int) -> None:
    """Two blocks both ways; fewer and more steps than there are stages."""
    cuda.force_gemm_tile(*tile, parts)
    check(Case(2, 40, (14, 10), 264, padding=ONE), "forward", kind, "last")
    check(Case(1, 24, (5, 6), 42, padding=ONE, groups=3), "forward", kind)
    check(Case(2, 264, (12, 12), 16, (1, 2), (1, 2), ((0, 0), (0, 1))), "input", kind)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("tile", WEIGHT_TILES, ids=str)
@pytest.mark.parametrize("kind", KINDS[:4])
def test_weight_tiles(cuda: Any, kind: str, tile: tuple[int, int], parts: int) -> None:
    cuda.force_gemm_tile(*tile, parts)
    check(WIDE, "weight", kind, "last")
    first = check(Case(3, 19, (9, 11), 70, (3, 2), (2, 1), ((1, 0), (0, 1))), "weight", kind)
    again = check(Case(3, 19, (9, 11), 70, (3, 2), (2, 1), ((1, 0), (0, 1))), "weight", kind)
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "tf32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_first_layers(cuda: Any, kind: str, channels: int, parts: int) -> None:
    for tile in ((128, 64), (128, 32)):
        cuda.force_gemm_tile(*tile, parts)
        check(Case(2, channels, (17, 18), 66, (7, 7), (2, 2), ((3, 3), (3, 2))), "forward", kind, "NCHW")
        check(Case(1, channels, (9, 18), 8, (5, 5), (1, 1), ((3, 3), (3, 2))), "forward", kind, "last")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("per_group", [16, 24, 11])
def test_groups(direction: str, per_group: int, kind: str) -> None:
    case = Case(2, 3 * per_group, (6, 7), 3 * 9, padding=ONE, groups=3)
    for layout in ("last", "NCHW"):
        check(case, direction, kind, layout)


@pytest.mark.parametrize("kind", ["float16", "tf32", "float32"])
@pytest.mark.parametrize("spatial", [1, 3])
def test_dimensions(spatial: int, kind: str) -> None:
    rng = np.random.default_rng(spatial)
    dtype = dtype_of(kind)
    size, kernel = (5, 6, 9)[-spatial:], (2, 3, 3)[-spatial:]
    x, w, b, residual = (
        rng.standard_normal(shape).astype(dtype) for shape in ((2, 10, *size), (12, 10, *kernel), 12, (2, 12, *size))
    )
    keywords: dict[str, Any] = {"padding": "same", "dilation": 2}
    near, far = (as_multiplied(a, kind) for a in (x, w))
    with high(kind):
        out = getattr(konv.cuda, f"conv{spatial}d")(x, w, b, residual=residual, algorithm=NAME, **keywords)
        truth = convolution.conv(near, far, b, **keywords) + residual.astype(np.float64)
        magnitude = convolution.conv(abs(near), abs(far), abs(b), **keywords) + abs(residual.astype(np.float64))
        assert_close(out, truth, magnitude, 10 * int(np.prod(kernel)) + 1)
        gy = rng.standard_normal(truth.shape).astype(dtype)
        gradients = konv.cuda.grad
        for operand, args in (("input", (x.shape, w, gy)), ("weight", (x, w.shape, gy))):
            name = f"conv{spatial}d_{operand}"
            ours = getattr(gradients, name)(*args, algorithm=NAME, **keywords)
            true = getattr(convolution, f"conv_{operand}")
            factors = [as_multiplied(a, kind) if isinstance(a, np.ndarray) else a for a in args]
            sizes = [abs(a) if isinstance(a, np.ndarray) else a for a in factors]
            assert_close(ours, true(*factors, **keywords), true(*sizes, **keywords), 1000)


@pytest.mark.parametrize("kind", ["bfloat16", "tf32", "float32"])
@pytest.mark.parametrize("layout", ["NCHW", "last"])
def test_transposed(kind: str, layout: str) -> None:
    """Strides beyond the kernel: some results are nothing but bias and residual."""
    rng = np.random.default_rng(0)
    dtype = dtype_of(kind)
    for stride, kernel in (((2, 2), (3, 3)), ((3, 1), (2, 4))):
        options: dict[str, Any] = {"stride": stride, "padding": 1, "output_padding": (1, 0)}
        x, w, b = (rng.standard_normal(s).astype(dtype) for s in ((2, 24, 5, 6), (24, 16, *kernel), 16))
        near, far = (as_multiplied(a, kind) for a in (x, w))
        truth = convolution.conv_transpose(near, far, b, **options)
        residual = rng.standard_normal(truth.shape).astype(dtype)
        magnitude = convolution.conv_transpose(abs(near), abs(far), abs(b), **options) + abs(
            residual.astype(np.float64)
        )
        truth = np.maximum(truth + residual.astype(np.float64), 0)
        if layout == "last":
            x, residual = channels_last(x), channels_last(residual)
        with high(kind):
            out = konv.cuda.conv_transpose2d(x, w, b, activation="relu", residual=residual, algorithm=NAME, **options)
        assert_close(out, truth, magnitude, 24 * kernel[0] * kernel[1] + 1)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("layout", ["NCHW", "last"])
@pytest.mark.parametrize(
    "activation", ["relu", "relu6", ("leaky_relu", 0.2), "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hardswish"]
)
def test_what_follows_the_sums(cuda: Any, activation: Any, layout: str, parts: int) -> None:
    """As the reference algorithm does it, from sums in another order."""
    cuda.force_gemm_tile(0, 0, parts)
    case = Case(2, 16, (6, 5), 24)
    data = case.data()
    for dtype in (np.float32, np.float16):
        x, w, b = (a.astype(dtype) for a in (data.x, data.w, data.b))
        residual = np.random.default_rng(1).standard_normal(case.output_shape).astype(dtype)
        if layout == "last":
            x, residual = channels_last(x), channels_last(residual)
        ours, theirs = (
            konv.cuda.conv2d(x, w, b, activation=activation, residual=residual, algorithm=a)
            for a in (NAME, "reference")
        )
        eps = float(np.finfo(dtype).eps)
        np.testing.assert_allclose(ours, theirs, rtol=4 * eps, atol=max(4 * eps, 1e-5))


class Channels:
    """Some channels of an array on a device, (n, h, w, c) seen as (n, c, h, w)."""

    def __init__(self, array: Any, first: int, count: int) -> None:
        self.array = array
        given = array.__cuda_array_interface__
        item = np.dtype(given["typestr"]).itemsize
        n, h, w, c = given["shape"]
        self.__cuda_array_interface__ = {
            **given,
            "shape": (n, count, h, w),
            "strides": (h * w * c * item, item, w * c * item, c * item),
            "data": (given["data"][0] + first * item, False),
        }


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_views(kind: str) -> None:
    """What lies between other channels, on 16 bytes or off them, is read and written where it lies."""
    rng = np.random.default_rng(0)
    dtype = dtype_of(kind)
    w = rng.standard_normal((16, 8, 3, 3)).astype(dtype)
    wide = rng.standard_normal((2, 7, 6, 24)).astype(dtype)
    on_device, weights = konv.cuda.to_device(wide), konv.cuda.to_device(w)
    for first in (0, 3, 8):
        host = wide[..., first : first + 8].transpose(0, 3, 1, 2).astype(np.float64)
        truth, magnitude = convolution.conv(host, w), convolution.conv(abs(host), abs(w))
        for to in (0, 2, 8):
            result = konv.cuda.to_device(np.full((2, 5, 4, 24), np.nan, dtype))
            konv.cuda.conv2d(Channels(on_device, first, 8), weights, out=Channels(result, to, 16), algorithm=NAME)
            written = konv.cuda.to_numpy(result)
            assert_close(written[..., to : to + 16].transpose(0, 3, 1, 2), truth, magnitude, 72)
            assert np.isnan(written[..., :to]).all()
            assert np.isnan(written[..., to + 16 :]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_backwards_weights_and_pixels(kind: str) -> None:
    case = Case(1, 8, (6, 7), 9, (2, 3), padding=((0, 1), (1, 0)))
    data = case.data()
    x, w = (a.astype(dtype_of(kind)) for a in (data.x, data.w))
    with high(kind):
        flipped = konv.cuda.conv2d(x[:, :, ::-1], w[..., ::-1], padding=case.padding, algorithm=NAME)
        plain = konv.cuda.conv2d(x[:, :, ::-1].copy(), w[..., ::-1].copy(), padding=case.padding, algorithm=NAME)
    np.testing.assert_array_equal(flipped, plain)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), direction=st.sampled_from(DIRECTIONS), kind=st.sampled_from(KINDS), parts=st.integers(0, 3))
def test_any_case(cuda: Any, case: Case, direction: str, kind: str, parts: int) -> None:
    cuda.force_gemm_tile(0, 0, parts)
    check(case, direction, kind, "last" if case.k % 2 else "NCHW")


def test_precision() -> None:
    """Factors that tf32 cannot hold: "strict" keeps them, "high" and "medium" round them."""
    x = np.full((1, 8, 4, 4), 1 + 2.0**-12, np.float32)
    w = np.ones((4, 8, 1, 1), np.float32)
    for precision, expected in (("strict", 8 + 2.0**-9), ("high", 8), ("medium", 8)):
        with konv.config(precision=precision):
            np.testing.assert_array_equal(konv.cuda.conv2d(x, w), np.full((1, 4, 4, 4), expected, np.float32))


def test_it_is_chosen_and_says_what_it_refuses() -> None:
    explanation = konv.explain("conv2d", input_shape=(1, 64, 8, 8), weight_shape=(64, 64, 3, 3), device="cuda")
    assert explanation.chosen == NAME
    x, w = np.ones((1, 8, 6, 6), np.float32), np.ones((4, 8, 3, 3), np.float32)
    with pytest.raises(ValueError, match="padding_mode is not 'zeros'"):
        konv.cuda.conv2d(x, w, padding=1, padding_mode="reflect", algorithm=NAME)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_networks(cuda: Any, kind: str, direction: str) -> None:
    """As large as layers are, with tiles and parts as plans choose them."""
    if cuda.simulator:
        pytest.skip("takes a device")
    for case in (
        Case(8, 64, (56, 56), 64, padding=ONE),
        Case(8, 256, (14, 14), 512, (1, 1), (2, 2)),
        Case(4, 3, (224, 224), 64, (7, 7), (2, 2), ((3, 3), (3, 3))),
        Case(8, 512, (7, 7), 512, padding=ONE),
    ):
        check(case, direction, kind, "last")
