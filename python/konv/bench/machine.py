"""What the machine can do at most, and what runs on it."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import numpy as np

import konv
from konv import _core
from konv.bench.registry import EVERYONE

READ = 1 << 27  # bytes, more than caches hold


def peak_gflops(threads: int, dtype: str) -> float:
    """Measure the rate of multiply-adds on registers alone, in 10^9 FLOPs a second."""
    return max(_core.multiply_add_gflops(dtype == "float64", threads) for _ in range(40))


def bandwidth(threads: int) -> float:
    """Measure the rate of reading memory, in 10^9 bytes a second."""
    parts = np.array_split(np.ones(READ // 4, np.float32), threads)
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(20):
            start = time.perf_counter()
            list(pool.map(np.max, parts))
            best = max(best, READ / (time.perf_counter() - start) / 1e9)
    return best


def machine(threads: int, dtype: str) -> dict[str, Any]:
    """Describe and measure the machine."""
    info = konv.info()
    return {
        **{name: info[name] for name in ("cpu", "cores", "l2_cache", "isa", "threading")},
        "system": platform.platform(),
        "peak_gflops": peak_gflops(threads, dtype),
        "bandwidth_gb": bandwidth(threads),
    }


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of konv, Python, NumPy and what the named contenders import."""
    found = {"konv": konv.__version__, "python": platform.python_version(), "numpy": np.__version__}
    modules = (module for name in names if name in EVERYONE for module in EVERYONE[name].modules)
    return {**found, **{module: getattr(import_module(module), "__version__", "unknown") for module in modules}}
