"""No byte outside an argument is read or written: arrays lie against pages that fault."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import konv
from tests.cases import DIRECTIONS, ISA_LEVELS, Case
from tests.reference import Array
from tests.views import VIEWS

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="guards pages, or maps memory, by Linux' own calls")

PAGE = mmap.PAGESIZE
SHAPES = (
    Case(1, 3, (5, 7), 5, padding=((1, 1), (1, 1))),
    Case(1, 17, (3, 5), 19, padding=((1, 1), (1, 1))),
    Case(1, 33, (7, 7), 35, (1, 1)),
    Case(1, 8, (5, 5), 8, (1, 1), (2, 2)),
    Case(2, 5, (9, 11), 5, padding=((1, 1), (1, 1)), groups=5),
    Case(1, 19, (6, 7), 19, (3, 3), (2, 2), ((1, 1), (1, 1)), groups=19),
    Case(1, 3, (13, 13), 8, (7, 7), (2, 2), ((3, 3), (3, 3))),
    Case(1, 8, (6, 35), 12, groups=4),
    Case(1, 4, (9, 8), 6, (3, 2), (2, 1), ((0, 2), (1, 3)), (1, 3)),
    Case(1, 64, (15, 15), 64, padding=((1, 1), (1, 1))),
    Case(3, 35, (1, 1), 70, (1, 1)),
    Case(1, 12, (4, 4), 24, (4, 4), padding=((1, 0), (1, 0)), groups=3),
    Case(1, 32, (7, 7), 35, (1, 1)),
    Case(1, 3, (40, 43), 9, padding=((1, 1), (1, 1))),
    Case(2, 20, (11, 13), 24, (3, 5), (2, 2)),
    Case(1, 20, (1, 45), 7, (1, 1), (1, 2)),
)


@contextmanager
def fenced(a: Array, end: bool) -> Iterator[Array]:
    """A copy of `a` in its order of memory, whose first or last byte touches a page that may not be accessed."""
    flips = tuple(slice(None, None, -1 if stride < 0 else 1) for stride in a.strides)
    libc = ctypes.CDLL(None, use_errno=True)
    pages = -(-a.nbytes // PAGE) + 2
    memory = mmap.mmap(-1, pages * PAGE)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    fences = (start, start + (pages - 1) * PAGE)
    for fence in fences:
        assert libc.mprotect(ctypes.c_void_p(fence), PAGE, 0) == 0
    offset = (pages - 1) * PAGE - a.nbytes if end else PAGE
    copy = np.frombuffer(memory, a.dtype, a.size, offset).reshape(a.shape)[flips]
    copy[...] = a
    try:
        yield copy
    finally:
        for fence in fences:
            libc.mprotect(ctypes.c_void_p(fence), PAGE, 3)


@on_linux
@pytest.mark.parametrize("end", [True, False], ids=["end", "start"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("view", ["contiguous", "flipped", "mirrored"])
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_convolution(case: Case, isa: str, view: str, layout: str, end: bool) -> None:
    data = case.data()
    x, gy, options, size = data.x, data.gy, case.options, case.input_shape
    if layout == "NHWC":
        x, gy = (a.transpose(0, 2, 3, 1) for a in (x, gy))
        size = (size[0], *size[2:], size[1])
        options["layout"] = "NHWC"
    x, gy = (VIEWS[view](a) if view in VIEWS else np.ascontiguousarray(a) for a in (x, gy))
    with (
        konv.config(isa=isa),
        fenced(x, end) as x,
        fenced(data.w, end) as w,
        fenced(data.b, end) as b,
        fenced(gy, end) as gy,
        fenced(np.empty_like(gy), end) as y,
        fenced(np.empty_like(x), end) as gx,
        fenced(np.empty_like(w), end) as gw,
    ):
        konv.conv2d(x, w, b, **options, out=y)
        konv.grad.conv2d_input(size, w, gy, **options, out=gx)
        konv.grad.conv2d_weight(x, case.weight_shape, gy, **options, out=gw)
        results = (y, gx, gw)
        if layout == "NHWC":
            results = (y.transpose(0, 3, 1, 2), gx.transpose(0, 3, 1, 2), gw)
        for direction, result in zip(DIRECTIONS, results, strict=True):
            _, truth, magnitude = case.known(direction, "float32", 0)
            case.compare(direction, result.copy(), truth, magnitude)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident memory from Linux' /proc")
def test_memory_stays_flat() -> None:
    """Plans and scratch of thousands of random shapes do not pile up."""
    pages = "/proc/self/statm"

    def resident() -> int:
        with open(pages) as file:  # noqa: PTH123 - the usual way to read procfs
            return int(file.read().split()[1]) * PAGE

    rng = np.random.default_rng(0)

    def shapes(count: int) -> None:
        for _ in range(count):
            c, k, h, w = (int(v) for v in rng.integers(1, 24, 4))
            x = np.ones((1, c, h + 2, w + 2), np.float32)
            konv.conv2d(x, np.ones((k, c, 3, 3), np.float32))

    shapes(1500)
    before = resident()
    shapes(3000)
    assert resident() - before < 16 << 20


def test_denormals_and_the_floating_point_state() -> None:
    """Kernels may flush denormals; the caller's own arithmetic keeps them."""
    tiny = np.full((1, 1, 8, 8), 1e-40, np.float32)
    konv.conv2d(tiny, np.ones((1, 1, 3, 3), np.float32))
    assert (tiny * np.float32(2) > 0).all()
    with konv.config(denormals="keep"):
        out = konv.conv2d(tiny, np.ones((1, 1, 3, 3), np.float32))
    np.testing.assert_array_equal(out, np.full(out.shape, 9 * tiny[0, 0, 0, 0]))


def spread(shape: tuple[int, ...], step: int) -> Array:
    """An array whose first axis steps over `step` elements of memory that is never touched."""
    no_reserve = 0x4000  # MAP_NORESERVE: only pages that are touched count
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    inner = np.empty(shape[1:], np.float32)
    memory = mmap.mmap(-1, 4 * step * (shape[0] - 1) + inner.nbytes, flags=flags)
    flat = np.frombuffer(memory, np.float32)
    return np.lib.stride_tricks.as_strided(flat, shape, (4 * step, *inner.strides))


@on_linux
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("algorithm", ["auto", "reference"])
def test_strides_beyond_32_bits(algorithm: str, layout: str) -> None:
    case = Case(2, 5, (6, 7), 4, padding=((1, 1), (1, 1)))
    data = case.data()
    order = (0, 2, 3, 1) if layout == "NHWC" else (0, 1, 2, 3)
    back = (0, 3, 1, 2) if layout == "NHWC" else (0, 1, 2, 3)
    options = {**case.options, "layout": layout, "algorithm": algorithm}
    far = []
    for source in (data.x, data.gy, data.gy, data.x):
        source = source.transpose(order)
        far.append(spread(source.shape, 2**31 + 40))
        far[-1][...] = source
    x, gy, y, gx = far
    konv.conv2d(x, data.w, data.b, **options, out=y)
    konv.grad.conv2d_input(x.shape, data.w, gy, **options, out=gx)
    gw = konv.grad.conv2d_weight(x, case.weight_shape, gy, **options)
    results = (y.transpose(back), gx.transpose(back), gw)
    for direction, result in zip(DIRECTIONS, results, strict=True):
        _, truth, magnitude = case.known(direction, "float32", 0)
        case.compare(direction, result, truth, magnitude)
