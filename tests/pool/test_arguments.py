"""Pooling: odd memory, `out=`, and arguments that make no sense."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import konv
from tests.pool import reference
from tests.pool.cases import Pool, arranged
from tests.views import VIEWS

POOL = Pool((2, 5, 9, 11), 3, 2, 1)
GY = POOL.gradient()
INDICES = reference.max_pool(POOL.data(), POOL.windows())[1]
# Each function of one array, whose other arguments are fixed.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "max_pool2d": lambda x, **o: konv.max_pool2d(x, 3, 2, 1, **o),
    "avg_pool2d": lambda x, **o: konv.avg_pool2d(x, 3, 2, 1, **o),
    "lp_pool2d": lambda x, **o: konv.lp_pool2d(x, 2, 3, 2, **o),
    "adaptive_max_pool2d": lambda x, **o: konv.adaptive_max_pool2d(x, (4, 3), **o),
    "adaptive_avg_pool2d": lambda x, **o: konv.adaptive_avg_pool2d(x, (4, 3), **o),
    "global_avg_pool2d": lambda x, **o: konv.adaptive_avg_pool2d(x, 1, **o),
}
GRADIENTS: dict[str, Callable[..., Any]] = {
    "max_pool2d": lambda gy, **o: konv.grad.max_pool2d(gy, INDICES, POOL.shape, **o),
    "avg_pool2d": lambda gy, **o: konv.grad.avg_pool2d(gy, POOL.shape, 3, 2, 1, **o),
    "lp_pool2d": lambda gy, **o: konv.grad.lp_pool2d(gy, POOL.data(), 2, 2, 2, True, **o),
    "adaptive_max_pool2d": lambda gy, **o: konv.grad.adaptive_max_pool2d(gy, INDICES, POOL.shape, **o),
    "adaptive_avg_pool2d": lambda gy, **o: konv.grad.adaptive_avg_pool2d(gy, POOL.shape, **o),
    "max_unpool2d": lambda gy, **o: konv.max_unpool2d(gy, INDICES, 3, 2, 1, POOL.shape, **o),
}
CALLS = [(FUNCTIONS[name], POOL.data()) for name in FUNCTIONS] + [(GRADIENTS[name], GY) for name in GRADIENTS]
IDS = [*FUNCTIONS, *(f"{name}_grad" for name in GRADIENTS)]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("function", "x"), CALLS, ids=IDS)
def test_strided_arrays(function: Callable[..., Any], x: np.ndarray, view: str) -> None:
    strange = VIEWS[view](x)
    np.testing.assert_allclose(function(strange), function(x), 1e-6, 1e-6)
    np.testing.assert_array_equal(strange, x)


@pytest.mark.parametrize("view", VIEWS)
def test_strided_indices(view: str) -> None:
    strange = VIEWS[view](INDICES.astype(np.float64)).astype(np.int64)
    np.testing.assert_array_equal(
        konv.grad.max_pool2d(GY, strange, POOL.shape), konv.grad.max_pool2d(GY, INDICES, POOL.shape)
    )
    x = VIEWS[view](POOL.data())
    np.testing.assert_array_equal(konv.max_pool2d(x, 3, 2, 1, return_indices=True)[1], INDICES)
    gradient = konv.grad.max_unpool2d(x, INDICES, INDICES.shape)
    np.testing.assert_array_equal(gradient, konv.grad.max_unpool2d(POOL.data(), INDICES, INDICES.shape))


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "read_only"])
@pytest.mark.parametrize(("function", "x"), CALLS, ids=IDS)
def test_out(function: Callable[..., Any], x: np.ndarray, view: str) -> None:
    expected = function(x)
    out = VIEWS[view](np.full(expected.shape, np.nan, np.float32))
    assert function(x, out=out) is out
    np.testing.assert_allclose(out, expected, 1e-6, 1e-6)


@pytest.mark.parametrize(("function", "x"), CALLS, ids=IDS)
def test_overlap_is_refused(function: Callable[..., Any], x: np.ndarray) -> None:
    size = function(x).size
    memory = np.zeros(x.size + size - 1, np.float32)
    given, out = memory[: x.size].reshape(x.shape), memory[x.size - 1 :].reshape(function(x).shape)
    with pytest.raises(ValueError, match=r"out: expected memory that no input shares"):
        function(given, out=out)


@pytest.mark.parametrize("layout", ["last", "memory"])
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_results_keep_the_memory_order(name: str, layout: str) -> None:
    given, options = arranged(POOL.data(), layout)
    out = FUNCTIONS[name](given, **options)
    assert (out if layout == "last" else out.transpose(0, 2, 3, 1)).flags.c_contiguous


X = np.ones((1, 3, 8, 8), np.float32)
SMALL = np.ones((1, 3, 4, 4), np.float32)
ZEROS = np.zeros((1, 3, 4, 4), np.int64)
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "rank 2": ({"input": np.ones((8, 8), np.float32)}, r"input: expected 4 dimensions.*\(8, 8\)"),
    "list": ({"input": X.tolist()}, "input: expected an array, got list"),
    "None": ({"input": None}, "input: expected an array, got None"),
    "objects": ({"input": X.astype(object)}, "input: expected dtype .*got object"),
    "unsigned words": ({"input": X.astype(np.uint16)}, "input: expected dtype .*got uint16"),
    "no channels": ({"input": X[:, :0]}, "input: expected at least one channel"),
    "no rows": ({"input": X[:, :, :0]}, "input: expected spatial sizes of at least 1"),
    "no kernel": ({"kernel_size": 0}, "kernel_size: expected an integer from 1.*got 0"),
    "negative kernel": ({"kernel_size": (2, -2)}, "kernel_size: expected.*got -2"),
    "kernel is a float": ({"kernel_size": 2.0}, "kernel_size: expected an integer, got 2.0"),
    "kernel is None": ({"kernel_size": None}, "kernel_size: expected.*None"),
    "kernel of rank 3": ({"kernel_size": (2, 2, 2)}, r"kernel_size: expected.*\(2, 2, 2\)"),
    "kernel too large": ({"kernel_size": 9}, "kernel_size: a kernel of 9.*has 8"),
    "huge kernel": ({"kernel_size": 2**62}, "kernel_size: expected.*got 4611686018427387904"),
    "kernel beyond int64": ({"kernel_size": 2**64}, "kernel_size: expected.*got 18446744073709551616"),
    "zero stride": ({"stride": 0}, "stride: expected.*got 0"),
    "stride is a bool": ({"stride": True}, "stride: expected an integer, got True"),
    "negative padding": ({"padding": -1}, "padding: expected.*got -1"),
    "padding over half the kernel": ({"padding": 2}, r"padding: expected at most half of kernel_size \(2\), got 2"),
    "huge padding": ({"padding": 2**62}, "padding: expected.*got 4611686018427387904"),
    "padding unknown": ({"padding": "full"}, "padding: expected.*'full'"),
    "layout unknown": ({"layout": "HWCN"}, "layout: expected.*'HWCN'"),
    "layout of volumes": ({"layout": "NCDHW"}, "layout: expected.*'NCDHW'"),
    "no threads": ({"threads": 0}, "threads: expected.*got 0"),
    "negative workspace": ({"max_workspace": -1}, "max_workspace: expected.*got -1"),
    "out of wrong shape": ({"out": np.ones((1, 3, 4, 5), np.float32)}, r"out: expected shape \(1, 3, 4, 4\), got"),
    "out of wrong dtype": ({"out": np.ones((1, 3, 4, 4), np.float64)}, "out: expected dtype float32, got float64"),
    "argument unknown": ({"kernel": 2}, "kernel"),
    "ceil_mode is text": ({"ceil_mode": "yes"}, "ceil_mode: expected a bool, got 'yes'"),
}


@pytest.mark.parametrize("function", [konv.max_pool2d, konv.avg_pool2d], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str, function: Any) -> None:
    changes, message = REJECTED[name]
    arguments = {"input": X.copy(), "kernel_size": 2, "out": SMALL.copy()}
    arguments.update(changes)
    with pytest.raises((ValueError, TypeError)) as caught:
        function(**arguments)
    assert re.search(message, str(caught.value)), str(caught.value)
    if name not in ("out of wrong shape", "out of wrong dtype"):
        assert (arguments["out"] == 1).all()


OTHERS: dict[str, tuple[Callable[[], Any], str]] = {
    "dilation 0": (lambda: konv.max_pool2d(X, 2, dilation=0), "dilation: expected.*got 0"),
    "huge dilation": (lambda: konv.max_pool2d(X, 2, dilation=2**62), "dilation: expected.*got 4611686018427387904"),
    "dilation over the input": (lambda: konv.max_pool2d(X, 2, dilation=8), "kernel_size.*dilation 8 spans 9"),
    "divisor 0": (lambda: konv.avg_pool2d(X, 2, divisor_override=0), "divisor_override: expected.*got 0"),
    "divisor a float": (lambda: konv.avg_pool2d(X, 2, divisor_override=2.5), "divisor_override: .*got 2.5"),
    "average of bytes": (lambda: konv.avg_pool2d(X.astype(np.uint8), 2), "input: expected dtype.*got uint8"),
    "average of bool": (lambda: konv.avg_pool1d(X[0] > 0, 2), "input: expected dtype.*got bool"),
    "parts of integers": (lambda: konv.adaptive_avg_pool2d(X.astype(np.int64), 2), "input: expected dtype.*int64"),
    "norm of integers": (lambda: konv.lp_pool2d(X.astype(np.int64), 2, 2), "input: expected dtype.*got int64"),
    "norm 0": (lambda: konv.lp_pool2d(X, 0, 2), "norm_type: expected a positive finite number, got 0"),
    "norm negative": (lambda: konv.lp_pool2d(X, -1.5, 2), "norm_type: expected a positive finite number, got -1.5"),
    "norm infinite": (lambda: konv.lp_pool2d(X, float("inf"), 2), "norm_type: expected a positive finite.*inf"),
    "norm NaN": (lambda: konv.lp_pool2d(X, float("nan"), 2), "norm_type: expected a positive finite.*nan"),
    "norm text": (lambda: konv.lp_pool2d(X, "2", 2), "norm_type: expected a number, got '2'"),
    "norm bool": (lambda: konv.lp_pool2d(X, True, 2), "norm_type: expected a number, got True"),
    "parts negative": (lambda: konv.adaptive_max_pool2d(X, -1), "output_size: expected.*got -1"),
    "parts of rank 3": (lambda: konv.adaptive_max_pool2d(X, (1, 1, 1)), r"output_size: expected.*\(1, 1, 1\)"),
    "parts a float": (lambda: konv.adaptive_avg_pool2d(X, 2.0), "output_size: expected an integer, got 2.0"),
    "indices of another shape": (
        lambda: konv.grad.max_pool2d(SMALL, ZEROS[..., :3], X.shape),
        r"indices: expected shape \(1, 3, 4, 4\), got \(1, 3, 4, 3\)",
    ),
    "indices are floats": (lambda: konv.grad.max_pool2d(SMALL, ZEROS.astype(float), X.shape), "indices: .*float64"),
    "indices are a list": (lambda: konv.grad.max_pool2d(SMALL, ZEROS.tolist(), X.shape), "indices: .*got list"),
    "size of rank 2": (lambda: konv.grad.max_pool2d(SMALL, ZEROS, (3, 8)), r"input_size: .*\(3, 8\)"),
    "size of other channels": (lambda: konv.grad.max_pool2d(SMALL, ZEROS, (1, 4, 8, 8)), "input_size: .*channels"),
    "gradient of integers": (lambda: konv.grad.max_pool2d(ZEROS, ZEROS, X.shape), "grad_output: .*got int64"),
    "gradient of another size": (
        lambda: konv.grad.avg_pool2d(SMALL, (1, 3, 9, 12), 2),
        r"grad_output: expected shape \(1, 3, 4, 6\), got \(1, 3, 4, 4\)",
    ),
    "gradient with kernel 0": (lambda: konv.grad.avg_pool2d(SMALL, X.shape, 0), "kernel_size: .*got 0"),
    "gradient is a list": (lambda: konv.grad.avg_pool2d(SMALL.tolist(), X.shape, 2), "grad_output: .*got list"),
    "adaptive gradient of other channels": (
        lambda: konv.grad.adaptive_avg_pool2d(SMALL, (1, 4, 8, 8)),
        "input_size: expected the batch and channels of grad_output",
    ),
    "norm gradient of another size": (
        lambda: konv.grad.lp_pool2d(SMALL, X, 2, 3),
        r"grad_output: expected shape \(1, 3, 2, 2\), got \(1, 3, 4, 4\)",
    ),
    "norm gradient of another type": (
        lambda: konv.grad.lp_pool2d(SMALL, X.astype(np.float64), 2, 2),
        "input: expected dtype float32 like grad_output, got float64",
    ),
    "unpooling integers": (lambda: konv.max_unpool2d(ZEROS, ZEROS, 2), "input: expected dtype.*int64"),
    "unpooling to nothing": (lambda: konv.max_unpool2d(SMALL, ZEROS, 1, 1, 3), "kernel_size: windows of 1.*padding 3"),
    "unpooling to an integer": (lambda: konv.max_unpool2d(SMALL, ZEROS, 2, output_size=8), "output_size: .*got 8"),
    "unpooling of other indices": (lambda: konv.max_unpool2d(SMALL, ZEROS[:, :2], 2), "indices: expected shape"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_rejected_elsewhere(name: str) -> None:
    call, message = OTHERS[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("index", [-1, 64, 2**62, -(2**63)])
def test_indices_outside_the_plane(index: int) -> None:
    """Indices come from the caller: none may write outside the result."""
    indices = ZEROS.copy()
    indices[0, 2, 3, 3] = index
    out = X.copy()
    for given in (out, None):
        with pytest.raises(ValueError, match=rf"indices: expected values from 0 to 63.*got {index}"):
            konv.grad.max_pool2d(SMALL, indices, X.shape, out=given)
    assert (out == 1).all()
