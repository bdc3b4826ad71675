"""Plans: what `konv.conv2d` computes, with weights of their own."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import konv
from tests.cases import ALGORITHMS, CASES, DTYPES, ISA_LEVELS, LAYOUTS, Case, channels_last
from tests.reference import Array
from tests.views import VIEWS

SHAPES = (
    Case(2, 6, (7, 9), 5, padding=((1, 1), (1, 1))),
    Case(2, 18, (6, 7), 17, (1, 1)),
    Case(2, 6, (7, 9), 6, padding=((1, 1), (1, 1)), groups=6),
    Case(1, 40, (9, 8), 40, (3, 3), (2, 2), ((1, 0), (0, 1)), groups=40),
    Case(2, 6, (9, 8), 4, (3, 2), (2, 1), ((1, 0), (0, 1)), groups=2),
    Case(1, 3, (6, 40), 37, padding=((1, 1), (1, 1))),
    Case(2, 20, (1, 1), 37, (1, 1)),
    Case(1, 6, (4, 3), 35, (3, 2)),
)
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def arranged(x: Array, layout: str) -> tuple[Array, dict[str, Any]]:
    if layout == "NHWC":
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)), {"layout": "NHWC"}
    return (channels_last(x) if layout == "NCHW-last" else x), {}


def opened(shape: tuple[int, ...], layout: str) -> tuple[int | None, ...]:
    channels = 3 if layout == "NHWC" else 1
    return tuple(n if i == channels else None for i, n in enumerate(shape))


def plain_algorithm(case: Case, shape: tuple[int, ...], **options: Any) -> str:
    return konv.explain("conv2d", input_shape=shape, weight_shape=case.weight_shape, **case.options, **options).chosen


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_like_the_plain_call(case: Case, is_open: bool, layout: str) -> None:
    for dtype in DTYPES:
        data, truth, magnitude = case.known("forward", dtype, 0)
        x, options = arranged(data.x, layout)
        shape = opened(x.shape, layout) if is_open else x.shape
        plan = konv.plan_conv2d(data.w, data.b, input_shape=shape, **case.options, **options)
        plain = konv.conv2d(x, data.w, data.b, **case.options, **options)
        made = [plan(x), plan(x)]
        assert [y.strides for y in made] == [plain.strides] * 2
        for out in (*made, plan(x, out=np.full_like(plain, np.nan))):
            if (
                plan.algorithm == plain_algorithm(case, x.shape, dtype=x.dtype.name, **options)
                and layout != "NCHW-last"
            ):
                np.testing.assert_array_equal(out, plain)
            first = out.transpose(0, 3, 1, 2) if layout == "NHWC" else out
            case.compare("forward", first, truth, magnitude, algorithm=plan.algorithm)


@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize(
    ("case", "algorithm"),
    [(case, name) for case in CASES for name in ALGORITHMS if case.supported_by(name, "forward")],
    ids=str,
)
def test_each_algorithm_has_the_same_bits(case: Case, algorithm: str, isa: str) -> None:
    data = case.data()
    with konv.config(isa=isa):
        plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options, algorithm=algorithm)
        expected = konv.conv2d(data.x, data.w, data.b, **case.options, algorithm=algorithm)
    assert plan.algorithm == algorithm
    assert f"algorithm='{algorithm}'" in repr(plan)
    np.testing.assert_array_equal(plan(data.x), expected)  # settings are those of when the plan was made


@pytest.mark.parametrize("is_open", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_any_strides(case: Case, view: str, is_open: bool) -> None:
    data, truth, magnitude = case.known("forward", "float32", 0)
    strange = replace(data, x=VIEWS[view](data.x), w=VIEWS[view](data.w))
    shape = opened(case.input_shape, "NCHW") if is_open else case.input_shape
    plan = konv.plan_conv2d(strange.w, data.b, input_shape=shape, **case.options)
    for x in (strange.x, data.x, strange.x):
        y = plan(x)
        case.compare("forward", y, truth, magnitude, algorithm=plan.algorithm)
        out = VIEWS["sliced" if view == "read_only" else view](np.full(truth.shape, np.nan, np.float32))
        assert plan(x, out=out) is out
        case.compare("forward", out, truth, magnitude, algorithm=plan.algorithm)


@pytest.mark.parametrize("residual", [False, True])
def test_strides_that_want_weights_packed_differently(residual: bool) -> None:
    """Pixels 2 KiB apart are packed by another algorithm; the plan of one size has no weights for that."""
    case = Case(1, 40, (6, 7), 33, (1, 1))
    data, truth, magnitude = case.known("forward", "float32", 0)
    wide = np.full((1, 6, 7, 512), np.nan, np.float32)
    x = wide[..., :40]
    x[...] = data.x.transpose(0, 2, 3, 1)
    added = np.ones((1, 6, 7, 33), np.float32) if residual else None
    for is_open in (False, True):
        shape = (None, None, None, 40) if is_open else x.shape
        plan = konv.plan_conv2d(data.w, data.b, input_shape=shape, layout="NHWC")
        for out in (None, np.full((1, 6, 7, 33), np.nan, np.float32), np.empty((1, 6, 7, 66), np.float32)[..., ::2]):
            for _ in range(2):
                y = plan(x, residual=added, out=out).transpose(0, 3, 1, 2)
                case.compare("forward", y, truth + residual, magnitude + residual, algorithm=plan.algorithm)
        assert is_open or plan.weight_bytes < 2 * data.w.nbytes + 4096


def test_residual_and_activation() -> None:
    for case in SHAPES:
        data = case.data()
        r = data.gy
        plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options, activation="silu")
        options = {**case.options, "activation": "silu"}
        assert plan.algorithm is not None
        options["algorithm"] = plan.algorithm
        expected = konv.conv2d(data.x, data.w, data.b, **options, residual=r)
        for _ in range(2):
            np.testing.assert_array_equal(plan(data.x), konv.conv2d(data.x, data.w, data.b, **options))
            np.testing.assert_array_equal(plan(data.x, residual=r), expected)
            np.testing.assert_array_equal(plan(data.x, residual=np.asfortranarray(r)), expected)
            out = r.copy()
            assert plan(data.x, residual=out, out=out) is out
            np.testing.assert_array_equal(out, expected)
            strided = np.zeros((*r.shape[:-1], 2 * r.shape[-1]), np.float32)[..., ::2]
            np.testing.assert_array_equal(plan(data.x, residual=r, out=strided), expected)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_open_sizes(layout: str) -> None:
    rng = np.random.default_rng(0)
    w, b = rng.standard_normal((33, 20, 3, 3), np.float32), rng.standard_normal(33, np.float32)
    shape = (None, 20, None, None) if layout == "NCHW" else (None, None, None, 20)
    options: dict[str, Any] = {"padding": "same", "stride": 2, "layout": layout}
    plan = konv.plan_conv2d(w, b, input_shape=shape, **options)
    assert plan.algorithm is None
    assert plan.workspace_bytes is None
    assert "None, None" in repr(plan)
    for _ in range(3):
        for n in (0, 1, 3):
            for h, width in ((1, 1), (2, 9), (17, 12), (40, 41), (5, 300)):
                size = (n, 20, h, width) if layout == "NCHW" else (n, h, width, 20)
                x = rng.standard_normal(size, np.float32)
                y = plan(x)
                name = plan.algorithm if n else "auto"
                np.testing.assert_array_equal(y, konv.conv2d(x, w, b, **options, algorithm=name))
    assert plan.workspace_bytes > 0


def test_one_open_size() -> None:
    w = np.ones((4, 3, 3, 3), np.float32)
    plan = konv.plan_conv2d(w, input_shape=(None, 3, 8, 9))
    assert plan(np.ones((2, 3, 8, 9), np.float32)).shape == (2, 4, 6, 7)
    with pytest.raises(ValueError, match=r"input: expected shape \(None, 3, 8, 9\).*got \(2, 3, 9, 9\)"):
        plan(np.ones((2, 3, 9, 9), np.float32))
    unbatched = konv.plan_conv2d(w, input_shape=(3, None, 9))
    assert unbatched(np.ones((3, 5, 9), np.float32)).shape == (4, 3, 7)
    with pytest.raises(ValueError, match="input: expected shape"):
        unbatched(np.ones((1, 3, 5, 9), np.float32))


def test_empty_batch() -> None:
    plan = konv.plan_conv2d(np.ones((4, 3, 3, 3), np.float32), input_shape=(0, 3, 8, 9))
    assert plan(np.ones((0, 3, 8, 9), np.float32)).shape == (0, 4, 6, 7)


def test_weights_are_private() -> None:
    for case in SHAPES:
        for shape in (case.input_shape, opened(case.input_shape, "NCHW")):
            data = case.data()
            w, b = data.w.copy(), data.b.copy()
            plan = konv.plan_conv2d(w, b, input_shape=shape, **case.options)
            w[...] = b[...] = np.nan
            # In another layout the open plan may pack its own copy again.
            for x in (data.x, channels_last(data.x)):
                y = plan(x)
                case.compare("forward", y, *case.known("forward", "float32", 0)[1:], algorithm=plan.algorithm)


def test_update() -> None:
    for case in SHAPES:
        for shape in (case.input_shape, opened(case.input_shape, "NCHW")):
            data, other = case.data(), case.data(seed=1)
            plan = konv.plan_conv2d(data.w, data.b, input_shape=shape, **case.options)
            first = plan(data.x)
            name = plan.algorithm
            assert name is not None
            assert plan.update(other.w, other.b) is None
            expected = konv.conv2d(data.x, other.w, other.b, **case.options, algorithm=name)
            np.testing.assert_array_equal(plan(data.x), expected)
            plan.update(weight=np.asfortranarray(data.w), bias=data.b)
            np.testing.assert_array_equal(plan(data.x), first)


def test_update_that_is_refused_changes_nothing() -> None:
    case = SHAPES[0]
    data = case.data()
    plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options)
    expected = plan(data.x)
    for arguments, kind, text in [
        ((data.w[:4], data.b), ValueError, r"weight: expected shape \(5, 6, 3, 3\), got \(4, 6, 3, 3\)"),
        ((data.w,), ValueError, "bias: the plan has one"),
        ((data.w, data.b[:4]), ValueError, r"bias: expected shape \(5,\), got \(4,\)"),
        ((data.w.astype(np.float64), data.b), TypeError, "weight: expected dtype float32"),
        ((data.w, data.b.astype(np.float64)), TypeError, "bias: expected dtype float32"),
        ((data.w.tolist(), data.b), TypeError, "weight: expected an array"),
        ((), TypeError, "weight"),
    ]:
        with pytest.raises(kind, match=text):
            plan.update(*arguments)
    np.testing.assert_array_equal(plan(data.x), expected)
    plain = konv.plan_conv2d(data.w, input_shape=case.input_shape, **case.options)
    with pytest.raises(ValueError, match="bias: the plan has none"):
        plain.update(data.w, data.b)


def test_dtype_converts_weights() -> None:
    case = SHAPES[0]
    data = case.data("float64")
    plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options, dtype="float32")
    single = replace(data, x=data.x.astype("f4"), w=data.w.astype("f4"), b=data.b.astype("f4"))
    np.testing.assert_array_equal(plan(single.x), konv.conv2d(single.x, single.w, single.b, **case.options))
    plan.update(-single.w, -data.b)
    np.testing.assert_array_equal(plan(single.x), konv.conv2d(single.x, -single.w, -single.b, **case.options))
    with pytest.raises(TypeError, match="input: expected dtype float32 like the plan's weight, got float64"):
        plan(data.x)


def test_packed_weights_replace_the_copy() -> None:
    """A plan of one size keeps what runs read, and no more."""
    w = np.ones((256, 256, 3, 3), np.float32)
    assert konv.plan_conv2d(w, input_shape=(1, 256, 14, 14), algorithm="implicit_gemm").weight_bytes < 1.1 * w.nbytes
    plan = konv.plan_conv2d(w, input_shape=(None, 256, None, None), algorithm="implicit_gemm")
    assert w.nbytes <= plan.weight_bytes < 1.1 * w.nbytes
    for size in (13, 14, 15):
        plan(np.ones((1, 256, size, size), np.float32))
        assert 2 * w.nbytes <= plan.weight_bytes < 2.1 * w.nbytes


X, W, B = np.ones((1, 4, 8, 8), np.float32), np.ones((6, 4, 3, 3), np.float32), np.ones(6, np.float32)
REJECTED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "weight is a list": ({"weight": W.tolist()}, TypeError, "weight.*list"),
    "bias of wrong length": ({"bias": B[:5]}, ValueError, r"bias: expected shape \(6,\), got \(5,\)"),
    "bias of another dtype": ({"bias": B.astype(np.float64)}, TypeError, "bias: expected dtype float32"),
    "input_shape is None": ({"input_shape": None}, TypeError, "input_shape: expected a tuple"),
    "channels are open": ({"input_shape": (1, None, 8, 8)}, TypeError, "input_shape: expected an integer, got None"),
    "channels differ": ({"input_shape": (1, 5, 8, 8)}, ValueError, "weight: expected 5 input channels"),
    "rank": ({"input_shape": (8, 8)}, ValueError, "input_shape: expected 4 sizes"),
    "kernel too large": ({"input_shape": (None, 4, None, 2)}, ValueError, "kernel of 3"),
    "stride": ({"stride": 0}, ValueError, "stride"),
    "padding": ({"padding": "full"}, ValueError, "padding"),
    "activation": ({"activation": "swish"}, ValueError, "activation"),
    "algorithm unknown": ({"algorithm": "fastest"}, ValueError, "algorithm"),
    "algorithm that cannot": ({"algorithm": "pointwise"}, ValueError, "pointwise"),
    "dtype": ({"dtype": "int16"}, ValueError, "dtype"),
    "threads": ({"threads": 0}, ValueError, "threads"),
    "layout": ({"layout": "NWC"}, ValueError, "layout"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    changes, kind, text = REJECTED[name]
    with pytest.raises(kind, match=text):
        konv.plan_conv2d(**{"weight": W, "bias": B, "input_shape": (1, 4, 8, 8), **changes})


def test_open_plan_with_an_algorithm_that_cannot() -> None:
    plan = konv.plan_conv2d(W, input_shape=(1, 4, None, None), algorithm="pointwise")
    out = np.full((1, 6, 6, 6), 7, np.float32)
    with pytest.raises(ValueError, match="pointwise"):
        plan(X, residual=np.asfortranarray(out), out=out)
    assert (out == 7).all()


def test_calls_are_rejected_as_plain_ones_are() -> None:
    foreign = X.astype(X.dtype.newbyteorder())
    unaligned = np.frombuffer(bytearray(4 * X.size + 1), np.float32, X.size, offset=1).reshape(X.shape)
    good = np.zeros((1, 6, 6, 6), np.float32)
    read_only = good.copy()
    read_only.flags.writeable = False
    memory = np.zeros(400, np.float32)
    for shape in ((1, 4, 8, 8), (None, 4, None, None)):
        plan = konv.plan_conv2d(W, B, input_shape=shape)
        plan(X)
        for _ in range(2):
            for x, keywords, kind, text in [
                (X[0], {}, ValueError, "input: expected shape"),
                (X[:, :3], {}, ValueError, "input: expected shape"),
                (np.ones((8, 8), np.float32), {}, ValueError, "input: expected 4 dimensions"),
                (X.astype(np.float64), {}, TypeError, "input: expected dtype float32"),
                (X.astype(np.int32), {}, TypeError, "input.*int32"),
                (X.tolist(), {}, TypeError, "input.*list"),
                (None, {}, TypeError, "input.*None"),
                (foreign, {}, TypeError, "input.*byte"),
                (unaligned, {}, ValueError, "input.*align"),
                (X, {"out": good[:, :5]}, ValueError, "out: expected shape"),
                (X, {"out": good.astype(np.float64)}, TypeError, "out"),
                (X, {"out": read_only}, ValueError, "out.*writ"),
                (X, {"out": [1.0]}, TypeError, "out.*list"),
                (memory[:256].reshape(X.shape), {"out": memory[100:316].reshape(good.shape)}, ValueError, "out.*share"),
                (X, {"out": np.broadcast_to(good[..., :1], good.shape)}, ValueError, "out"),
                (X, {"residual": X}, ValueError, "residual: expected the result's shape"),
                (X, {"residual": good.astype(np.float64)}, TypeError, "residual"),
                (X, {"residual": memory[1:217].reshape(good.shape), "out": memory[:216].reshape(good.shape)},
                 ValueError, "residual.*share"),
                (X, {"stride": 1}, TypeError, "'out' and 'residual', got 'stride'"),
            ]:  # fmt: skip
                with pytest.raises(kind, match=text):
                    plan(x, **keywords)
            for arguments in ((), (X, X)):
                with pytest.raises(TypeError, match="one positional argument"):
                    plan(*arguments)
            plan(X, out=good)
            plan(X, residual=np.zeros_like(good), out=good)
        assert not memory.any()


def test_axes_of_one_element_may_have_any_stride() -> None:
    plan = konv.plan_conv2d(W, input_shape=(1, 4, None, None))
    expected = plan(X)
    odd = [np.lib.stride_tricks.as_strided(a, a.shape, (7 * 4, *a.strides[1:])) for a in (X, expected)]
    plan(X, residual=np.zeros_like(expected))
    before = konv.info()["plan_cache"]
    np.testing.assert_array_equal(plan(odd[0]), expected)
    np.testing.assert_array_equal(plan(odd[0], residual=odd[1]), 2 * expected)
    assert konv.info()["plan_cache"] == before


def test_keywords_need_not_be_interned() -> None:
    plan = konv.plan_conv2d(W, input_shape=X.shape)
    out = np.zeros((1, 6, 6, 6), np.float32)
    assert plan(X, **{"".join(["o", "u", "t"]): out, "residual": None}) is out
    assert plan.__call__(X, out=out) is out


def test_a_plan_is_itself() -> None:
    plan = konv.plan_conv2d(W, input_shape=X.shape)
    assert isinstance(plan, konv.ConvPlan)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps, lambda _: konv.ConvPlan()):
        with pytest.raises(TypeError):
            attempt(plan)
    with pytest.raises(AttributeError):
        plan.algorithm = "depthwise"  # type: ignore[misc]


def resident() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - the usual way to read procfs
        return int(file.read().split()[1]) * PAGE


@pytest.mark.skipif(sys.platform != "linux", reason="reads the resident memory from Linux' /proc")
def test_memory_stays_flat() -> None:
    rng = np.random.default_rng(0)
    w = np.ones((24, 24, 3, 3), np.float32)
    plan = konv.plan_conv2d(w, input_shape=(None, 24, None, None))

    def work(count: int) -> None:
        for _ in range(count):
            h, width = (int(v) for v in rng.integers(3, 60, 2))
            x = np.ones((1, 24, h, width), np.float32)
            y = plan(x)
            plan(channels_last(x), residual=y)
            plan.update(w)
            konv.plan_conv2d(w, input_shape=x.shape)(x)
            with pytest.raises(ValueError, match="out"):
                plan(x, out=x)

    work(600)
    before = resident()
    work(1500)
    assert resident() - before < 8 << 20
    assert plan.weight_bytes < 24 * w.nbytes


def test_references_are_returned() -> None:
    case = SHAPES[0]
    data = case.data()
    out = np.zeros(case.output_shape, np.float32)
    plan = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options)
    objects = (data.x, data.w, data.b, out, None, data.x.dtype, konv.ConvPlan)
    before = [sys.getrefcount(o) for o in objects]
    for _ in range(2000):
        plan(data.x, out=out)
        plan(data.x)
        plan.update(data.w, data.b)
        made = konv.plan_conv2d(data.w, data.b, input_shape=case.input_shape, **case.options)
        made(data.x, residual=out, out=out)
        with pytest.raises(TypeError):
            plan(None)
    del made
    after = [sys.getrefcount(o) for o in objects]
    assert all(abs(b - a) < 200 for b, a in zip(after, before, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_eight_threads_and_an_update(threads: int) -> None:
    """Each result belongs to one set of weights, whole."""
    rng = np.random.default_rng(0)
    cases = [Case(1, 16, (size, size + 3), 24, padding=((1, 1), (1, 1))) for size in (3, 8, 20, 33)]
    sets = [(d.w, d.b) for d in (cases[0].data(seed=s) for s in range(3))]
    plan = konv.plan_conv2d(*sets[0], input_shape=(None, 16, None, None), padding=1, threads=threads)
    inputs = [rng.standard_normal(c.input_shape, np.float32) for c in cases]
    allowed = []
    for x in inputs:
        plan(x)
        name = plan.algorithm
        allowed.append({konv.conv2d(x, *s, padding=1, algorithm=name).tobytes() for s in sets})
    done = threading.Event()

    def update() -> None:
        i = 0
        while not done.is_set():
            i += 1
            plan.update(*sets[i % 3])

    def work(worker: int) -> int:
        own = np.random.default_rng(worker)
        wrong = 0
        for _ in range(150):
            i = int(own.integers(len(inputs)))
            wrong += plan(inputs[i]).tobytes() not in allowed[i]
        return wrong

    updater = threading.Thread(target=update)
    updater.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(work, range(8))) == [0] * 8
    finally:
        done.set()
        updater.join()


FORK = """
import os, signal, numpy as np, konv
x = np.ones((2, 64, 56, 56), np.float32); w = np.ones((64, 64, 3, 3), np.float32)
plan = konv.plan_conv2d(w, input_shape=(None, 64, None, None), padding=1, threads=2)
before = plan(x)
child = os.fork()
if child == 0:
    signal.alarm(20)
    ok = np.array_equal(plan(x), before) and plan(x[:1]).any()
    plan.update(2 * w)
    ok = ok and np.array_equal(plan(x), 2 * before)
    os._exit(0 if ok else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), np.array_equal(plan(x), before))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_child_of_a_fork_works() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert shown.split() == ["0", "True"]
