"""What a call costs beside its arithmetic: a 3x3 kernel on an 8x8 image."""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import konv

X = np.ones((1, 1, 8, 8), np.float32)
W = np.ones((1, 1, 3, 3), np.float32)


def test_konv(benchmark: BenchmarkFixture) -> None:
    benchmark(konv.conv2d, X, W)


def test_konv_out(benchmark: BenchmarkFixture) -> None:
    out = np.empty((1, 1, 6, 6), np.float32)
    benchmark(lambda: konv.conv2d(X, W, out=out))


def test_konv_plan_out(benchmark: BenchmarkFixture) -> None:
    plan = konv.plan_conv2d(W, input_shape=X.shape)
    out = np.empty((1, 1, 6, 6), np.float32)
    benchmark(lambda: plan(X, out=out))


def test_torch(benchmark: BenchmarkFixture) -> None:
    torch = pytest.importorskip("torch")
    x, w = torch.from_numpy(X), torch.from_numpy(W)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        benchmark(torch.nn.functional.conv2d, x, w)
    torch.set_num_threads(before)
