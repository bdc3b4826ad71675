"""Depthwise planes: heights around the strips of rows, widths around the vectors, many planes a task."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from tests import convolution
from tests.cases import DTYPES, ISA_LEVELS, Case
from tests.convolution import Pads


def planes(size: tuple[int, int], kernel: int, stride: int = 1, c: int = 3, k: int = 0, **options: object) -> Case:
    """Padded to keep the size, or to divide it by the stride, unless said otherwise."""
    padding = options.pop("padding", ((kernel // 2, kernel // 2),) * 2)
    return Case(
        c=c, size=size, k=k or c, kernel=(kernel,) * 2, stride=(stride,) * 2, padding=padding, groups=c, **options
    )  # type: ignore[arg-type]


HEIGHTS = (1, 2, 4, 7, 8, 9, 13, 14, 15, 23, 56)
WIDTHS = (1, 3, 7, 8, 14, 16, 17, 31, 40, 300)
UNEVEN: Pads = ((3, 0), (0, 4))
SIZES = [
    *(planes((height, 14), size, stride) for height in HEIGHTS for size in (3, 5, 7) for stride in (1, 2)),
    *(planes((9, width), size, stride) for width in WIDTHS for size in (3, 5, 7) for stride in (1, 2)),
    *(planes((20, 37), size, stride, padding=UNEVEN) for size in (3, 5, 7) for stride in (1, 2)),
    *(planes((20, 37), size, stride, padding=((0, 0), (0, 0))) for size in (3, 5, 7) for stride in (1, 2)),
    planes((10, 20), 3, c=5, k=15),  # several outputs of a plane
    planes((10, 20), 5, 2, c=5, k=10),
    planes((14, 14), 3, c=200, n=2),  # several tasks of planes
    planes((130, 120), 3, c=1),  # a plane in bands
    planes((7, 7), 5, c=40),  # small enough to be transposed
    planes((7, 7), 7, c=37, n=2),
    planes((14, 14), 5, 2, c=33),
    planes((5, 6), 7, c=16, k=16),
]


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SIZES, ids=str)
def test_planes(case: Case, dtype: str, isa: str) -> None:
    with konv.config(isa=isa):
        one = case.check("forward", dtype, algorithm="depthwise", threads=1)
        if case.stride == (1, 1):
            case.check("input", dtype, algorithm="depthwise")
        for threads in (2, 5):
            other = case.compute("forward", case.data(dtype), algorithm="depthwise", threads=threads)
            assert other.tobytes() == one.tobytes()


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", [*SIZES[:12], *SIZES[-8:]], ids=str)
def test_residual_and_activation(case: Case, isa: str) -> None:
    data = case.data("float64")
    sums = convolution.conv(data.x, data.w, data.b, **case.options)
    with konv.config(isa=isa):
        out = konv.conv2d(
            data.x, data.w, data.b, **case.options, residual=data.gy, activation="relu6", algorithm="depthwise"
        )
    np.testing.assert_allclose(out, np.clip(sums + data.gy, 0, 6), 1e-12, 1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5, 7])
def test_strided_planes(size: int, stride: int) -> None:
    """Rows and planes that lie further apart than they are long; nothing is written between them."""
    case = planes((17, 21), size, stride, c=19)
    data = case.data()
    x = np.full((1, 19, 20, 30), np.nan, np.float32)[:, :, 1:18, 4:25]
    x[...] = data.x
    rows, cols = case.geometry.out
    whole = np.full((1, 19, rows + 3, cols + 5), 7, np.float32)
    out = whole[:, :, 2 : 2 + rows, 3 : 3 + cols]
    for isa in ISA_LEVELS:
        out[...] = 0
        with konv.config(isa=isa):
            konv.conv2d(x, data.w, data.b, **case.options, out=out, algorithm="depthwise")
        case.compare("forward", out, *case.known("forward", "float32", 0)[1:], algorithm="depthwise")
        assert (whole == 7).sum() == whole.size - out.size


def test_infinities_stay_in_their_planes() -> None:
    """Vectors that reach past a row, or a plane, bring nothing of what lies there."""
    for kernel in (3, 5, 7):
        for stride in (1, 2):
            case = planes((7, 7), kernel, stride, c=33)
            data = case.data()
            data.x[0, 1::2] = np.inf
            out = case.compute("forward", data, algorithm="depthwise")
            assert np.isfinite(out[0, ::2]).all()
