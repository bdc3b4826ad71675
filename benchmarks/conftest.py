"""Options of `pytest benchmarks`, and the layers that they choose."""

from __future__ import annotations

import pytest

from konv.bench import load_suite


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--suite", default="layers", help="konv bench --list shows the suites")
    parser.addoption("--only", default="", help="comma-separated parts of layer names")
    parser.addoption("--threads", type=int, default=0, help="0: as many as konv would take")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "layer" in metafunc.fixturenames:
        config = metafunc.config
        parts = config.getoption("--only").split(",")
        layers = [
            layer for layer in load_suite(config.getoption("--suite")) if any(part in layer.name for part in parts)
        ]
        metafunc.parametrize("layer", layers, ids=lambda layer: layer.name)
