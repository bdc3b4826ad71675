"""Convolution and its gradients: konv, NumPy (im2col and BLAS) and PyTorch.

    pytest benchmarks --suite resnet50 --only 3x3 --benchmark-group-by=param:layer,param:direction

The shapes are those of `konv bench`.
"""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import konv
from konv.bench import DIRECTIONS, Layer, Problem, contenders, installed

NAMES = ("konv", "numpy", "torch", "torch_channels_last")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_conv2d(
    benchmark: BenchmarkFixture,
    request: pytest.FixtureRequest,
    layer: Layer,
    direction: str,
    name: str,
) -> None:
    threads = request.config.getoption("--threads") or konv.get_num_threads()
    if name not in installed():
        pytest.skip(f"{name} is not installed")
    if layer.separable and direction != "forward":
        pytest.skip("two passes have no gradient of their own")
    prepared = contenders(threads, [name])[-1].prepare(Problem.random(layer, direction))
    if prepared is None:
        pytest.skip(f"{name} would need too much memory")
    benchmark.extra_info["gflop"] = layer.flops / 1e9
    benchmark(prepared.run)
