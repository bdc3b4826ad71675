"""Pooling: konv, NumPy and PyTorch, on the layers of pooling.txt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from pytest_benchmark.fixture import BenchmarkFixture

import konv
from konv.bench import Layer, parse_layers

LAYERS = parse_layers((Path(__file__).parent / "pooling.txt").read_text())


def with_konv(kind: str, x: Any, layer: Layer) -> Callable[[], Any]:
    function = konv.max_pool2d if kind == "max" else konv.avg_pool2d
    return lambda: function(x, (layer.R, layer.S), layer.stride, layer.pad)


def with_numpy(kind: str, x: Any, layer: Layer) -> Callable[[], Any]:
    fill = -np.inf if kind == "max" else 0.0
    (top, left), step = layer.pad, layer.stride

    def run() -> Any:
        padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=fill)
        windows = sliding_window_view(padded, (layer.R, layer.S), (2, 3))[:, :, ::step, ::step]
        return windows.max((4, 5)) if kind == "max" else windows.mean((4, 5))

    return run


def with_torch(kind: str, x: Any, layer: Layer) -> Callable[[], Any]:
    torch = pytest.importorskip("torch")
    function = getattr(torch.nn.functional, f"{kind}_pool2d")
    tensor = torch.from_numpy(x)

    def run() -> Any:
        with torch.inference_mode():
            return function(tensor, (layer.R, layer.S), layer.stride, layer.pad)

    return run


@pytest.mark.parametrize("contender", [with_konv, with_numpy, with_torch])
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("pool", LAYERS, ids=lambda layer: layer.name)
def test_pool2d(
    benchmark: BenchmarkFixture,
    pool: Layer,
    kind: str,
    contender: Callable[[str, Any, Layer], Callable[[], Any]],
) -> None:
    x = np.random.default_rng(0).standard_normal(pool.input_shape, np.float32)
    benchmark(contender(kind, x, pool))
