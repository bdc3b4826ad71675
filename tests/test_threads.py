"""The newer operations from many threads, across forks, and with any number of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv

HALF = "float16"


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    x = np.random.default_rng(sum(shape)).standard_normal(shape) * 4
    return x.astype(dtype)


def indices() -> np.ndarray:
    return konv.max_pool2d(numbers(3, 20, 40, 42), 2, return_indices=True)[1]


# Every one is large enough to be cut among threads.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "conv1d": lambda **o: konv.conv1d(numbers(2, 24, 3001), numbers(40, 24, 5), padding="causal", **o),
    "conv2d halves": lambda **o: konv.conv2d(
        numbers(2, 24, 41, 43, dtype=HALF), numbers(33, 24, 3, 3, dtype=HALF), **o),
    "conv2d int8": lambda **o: konv.conv2d(
        numbers(2, 24, 41, 43, dtype="int8"), numbers(33, 24, 3, 3, dtype="int8"), **o),
    "conv2d complex": lambda **o: konv.conv2d(
        numbers(2, 12, 31, 33, dtype="complex64"), numbers(20, 12, 3, 3, dtype="complex64"), **o),
    "conv2d reflect": lambda **o: konv.conv2d(
        numbers(2, 24, 41, 43), numbers(33, 24, 3, 3), padding=1, padding_mode="reflect", activation="gelu", **o),
    "conv3d": lambda **o: konv.conv3d(numbers(1, 12, 13, 21, 22), numbers(24, 12, 3, 3, 3), **o),
    "conv_transpose2d": lambda **o: konv.conv_transpose2d(numbers(2, 24, 21, 23), numbers(24, 18, 3, 3), None, 2, **o),
    "conv_transpose3d": lambda **o: konv.conv_transpose3d(numbers(1, 12, 9, 11, 10), numbers(12, 9, 3, 3, 3), **o),
    "conv3d weight": lambda **o: konv.grad.conv3d_weight(
        numbers(2, 12, 9, 13, 14), (8, 12, 3, 3, 3), numbers(2, 8, 7, 11, 12), **o),
    "conv1d input": lambda **o: konv.grad.conv1d_input((2, 24, 3001), numbers(40, 24, 5), numbers(2, 40, 2997), **o),
    "samples": lambda **o: konv.grad.conv2d_weight(
        numbers(5, 12, 33, 35), (16, 12, 3, 3), numbers(5, 16, 31, 33), per_sample=True, **o),
    "qlinear": lambda **o: konv.conv2d_qlinear(
        numbers(2, 24, 41, 43, dtype="int8"), 0.1, 3, numbers(33, 24, 3, 3, dtype="int8"), 0.2, 0, 0.5, 1, **o),
    "max_pool3d": lambda **o: konv.max_pool3d(numbers(2, 16, 17, 30, 31), 3, 2, 1, return_indices=True, **o),
    "max_pool2d bytes": lambda **o: konv.max_pool2d(numbers(3, 20, 80, 81, dtype="int8"), 3, 2, **o),
    "avg_pool2d halves": lambda **o: konv.avg_pool2d(numbers(3, 20, 80, 81, dtype=HALF), 3, 1, 1, **o),
    "lp_pool2d": lambda **o: konv.lp_pool2d(numbers(3, 20, 80, 81), 2, 3, 2, **o),
    "adaptive_avg_pool3d": lambda **o: konv.adaptive_avg_pool3d(numbers(2, 16, 17, 30, 31), (5, 7, 6), **o),
    "adaptive_max_pool1d": lambda **o: konv.adaptive_max_pool1d(numbers(4, 16, 4001), 37, **o),
    "max_unpool2d": lambda **o: konv.max_unpool2d(numbers(3, 20, 20, 21), indices(), 2, **o),
    "avg_pool3d gradient": lambda **o: konv.grad.avg_pool3d(numbers(2, 16, 8, 14, 15), (2, 16, 17, 30, 31), 3, 2, **o),
    "lp_pool1d gradient": lambda **o: konv.grad.lp_pool1d(numbers(4, 16, 2000), numbers(4, 16, 4001), 3, 2, **o),
    "unfold": lambda **o: konv.unfold(numbers(2, 9, 60, 61), 3, padding=1, **o),
    "fold": lambda **o: konv.fold(numbers(2, 81, 3660), (60, 61), 3, padding=1, **o),
}  # fmt: skip


def bits(result: Any) -> bytes:
    return b"".join(part.tobytes() for part in (result if isinstance(result, tuple) else (result,)))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", OPERATIONS)
def test_same_bits_for_any_number_of_threads(name: str) -> None:
    one, *others = (bits(OPERATIONS[name](threads=threads)) for threads in (1, 2, 3, 7))
    assert all(other == one for other in others)


@pytest.mark.parametrize("threads", [1, 2])
def test_many_python_threads_at_once(threads: int) -> None:
    names = list(OPERATIONS)
    expected = {name: bits(OPERATIONS[name](threads=threads)) for name in names}

    def work(worker: int) -> list[str]:
        order = np.random.default_rng(worker).permutation(names)
        return [name for name in order if bits(OPERATIONS[name](threads=threads)) != expected[name]]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[]] * 8


FORK = """
import os, signal
from tests.test_threads import OPERATIONS, bits
before = {name: bits(call(threads=2)) for name, call in OPERATIONS.items()}
child = os.fork()
if child == 0:
    signal.alarm(60)  # a child that waits for threads it does not have must not outlive the test
    os._exit(3 * any(bits(call(threads=2)) != before[name] for name, call in OPERATIONS.items()))
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, [name for name, call in OPERATIONS.items() if bits(call(threads=2)) != before[name]])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_parent_and_child_of_a_fork_work() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.stdout.split() == ["0", "[]"], result.stderr


TINY: dict[str, tuple[str, float]] = {"float32": ("float32", 1e-40), "float64": ("float64", 1e-310)}


@pytest.mark.parametrize("dtype", TINY)
def test_denormals_of_averages(dtype: str) -> None:
    x = np.full((1, 3, 8, 8), TINY[dtype][1], dtype)
    calls: list[Callable[[], np.ndarray]] = [
        lambda: konv.avg_pool2d(x, 2),
        lambda: konv.adaptive_avg_pool2d(x, 1),
        lambda: konv.adaptive_avg_pool2d(x, 3),
        lambda: konv.grad.avg_pool2d(x, (1, 3, 10, 10), 3, 1),
        lambda: konv.grad.adaptive_avg_pool2d(x, (1, 3, 9, 9)),
    ]
    for call in calls:
        with konv.config(denormals="keep"):
            assert (call() > 0).all()
        with konv.config(denormals="flush"):
            assert (call() == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("setting", ["keep", "flush"])
def test_denormals_of_halves(dtype: str, setting: str) -> None:
    """The smallest numbers of float16 are none of float32, so either setting keeps them; bfloat16's are float32's."""
    if dtype == "bfloat16":
        kind = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
        tiny = np.array(0x0010, np.uint16).view(kind)
    else:
        kind, tiny = np.dtype(np.float16), np.float16(2**-20)
    x, w = np.full((1, 4, 6, 6), tiny, kind), np.ones((4, 4, 1, 1), kind)
    kept = setting == "keep" or dtype == "float16"
    with konv.config(denormals=setting):
        for out in (konv.conv2d(x, w), konv.conv_transpose2d(x, w), konv.avg_pool2d(x, 2)):
            assert ((out.astype(np.float64) > 0) == kept).all()
        assert (konv.max_pool2d(x, 2) == tiny).all()
        assert (konv.unfold(x, 2) == tiny).all()
