"""Legal arguments at the edge of what fast paths assume."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests import convolution
from tests.reference import Array, assert_accurate

rng = np.random.default_rng(5)


def normal(*shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("step", [2, -1])
@pytest.mark.parametrize("algorithm", ["auto", "depthwise"])
def test_depthwise_with_one_tap_reads_weights_by_their_stride(algorithm: str, step: int) -> None:
    w = normal(12, 1, 1, 1)[::step]
    gy = normal(2, len(w), 5, 6)
    gx = konv.grad.conv2d_input(gy.shape, w, gy, groups=len(w), algorithm=algorithm)
    np.testing.assert_array_equal(gx, gy * w[:, 0])


@pytest.mark.parametrize(("axis", "padding"), [(3, 1), (2, 1), (3, ((1, 1), (0, 2))), (2, ((0, 2), (1, 1)))], ids=str)
def test_reversed_kernels_of_which_the_image_meets_few_taps(
    axis: int, padding: int | tuple[tuple[int, int], tuple[int, int]]
) -> None:
    w = np.flip(normal(5, 4, 3, 3), axis)
    x = normal(2, 4, 1, 1)
    np.testing.assert_array_equal(
        konv.conv2d(x, w, padding=padding), konv.conv2d(x, np.ascontiguousarray(w), padding=padding)
    )


@pytest.mark.parametrize("shape", [(12, 1, 3, 3), (1, 12, 3, 3), (12, 35, 3, 3), (40, 24, 5, 3)])
@pytest.mark.parametrize("order", ["C", "F", "channels last"])
def test_strided_input_gradient_with_weights_in_any_order(shape: tuple[int, ...], order: str) -> None:
    """All phases' weights are packed in one pass over some orders."""
    w = normal(*shape)
    if order == "channels last":
        w = np.ascontiguousarray(w.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    elif order == "F":
        w = np.asfortranarray(w)
    groups = 12 if shape[1] == 1 else 1
    size = (2, shape[1] * groups, 11, 12)
    options = {"stride": 2, "padding": 1, "groups": groups}
    gy = normal(*konv.conv2d(np.zeros(size, np.float32), w, **options).shape)
    gx = konv.grad.conv2d_input(size, w, gy, algorithm="implicit_gemm", **options)
    wide = [a.astype(np.float64) for a in (w, gy)]
    truth = konv.grad.conv2d_input(size, *wide, algorithm="reference", **options)
    magnitude = konv.grad.conv2d_input(size, *map(abs, wide), algorithm="reference", **options)
    assert_accurate(gx, truth, magnitude, shape[0] * shape[2] * shape[3])


@pytest.mark.parametrize("kernel", [1, 3])
def test_weight_gradient_into_channels_last_memory(kernel: int) -> None:
    x, gy = normal(2, 7, 9, 9), normal(2, 20, 10 - kernel, 10 - kernel)
    out = np.empty((20, kernel, kernel, 7), np.float32).transpose(0, 3, 1, 2)
    konv.grad.conv2d_weight(x, out.shape, gy, out=out)
    magnitude = convolution.conv_weight(abs(x), out.shape, abs(gy))
    assert_accurate(out, convolution.conv_weight(x, out.shape, gy), magnitude, gy.size // 20)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_threads_do_not_change_where_nan_appears(value: float) -> None:
    x, w = normal(1, 64, 7, 7), normal(64, 64, 3, 3)
    w[:, :, 0, :] = value
    results = [konv.conv2d(x, w, padding=1, threads=n) for n in (1, 2, 3)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_empty_batches_of_explanations_and_pooling_gradients() -> None:
    assert konv.explain("conv2d", input_shape=(0, 3, 8, 8), weight_shape=(4, 3, 3, 3)).chosen
    nothing = np.zeros((0, 3, 2, 2))
    assert konv.grad.max_pool2d(nothing, nothing.astype(np.int64), (0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_a_list_that_shrinks_while_it_is_read() -> None:
    class Shrinks:
        def __index__(self) -> int:
            sizes.clear()
            return 1

    sizes: list[object] = [Shrinks(), 1]
    assert konv.conv2d(normal(1, 1, 4, 4), normal(1, 1, 2, 2), stride=sizes).shape == (1, 1, 3, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [5, 7, 13, 21])
@pytest.mark.parametrize("isa", konv.info()["isa_levels"])
def test_border_rows_of_sums_in_several_blocks(isa: str, size: int) -> None:
    """Channels so many that sums are kept between blocks of them, where rows have an odd number of runs."""
    x, w = normal(2, 600, size, size), normal(70, 600, 3, 3)
    with konv.config(isa=isa):
        y = konv.conv2d(x, w, padding=1, algorithm="implicit_gemm", threads=2)
        gx = konv.grad.conv2d_input(x.shape, w, y, padding=1, algorithm="implicit_gemm")
    magnitude = convolution.conv(abs(x), abs(w), padding=1)
    assert_accurate(y, convolution.conv(x, w, padding=1), magnitude, 600 * 9)
    magnitude = convolution.conv_input(x.shape, abs(w), abs(y), padding=1)
    assert_accurate(gx, convolution.conv_input(x.shape, w, y, padding=1), magnitude, 70 * 9)
