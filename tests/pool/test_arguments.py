"""Pooling: odd memory, `out=`, and arguments that make no sense."""

from __future__ import annotations

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
