"""Large results: memory that is used again, and only when nobody looks at it any more."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import konv

X = np.random.default_rng(0).standard_normal((1, 4, 96, 96)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((16, 4, 3, 3)).astype(np.float32)


def test_large_results_lie_on_cache_lines() -> None:
    assert konv.conv2d(X, W).ctypes.data % 64 == 0
    assert konv.plan_conv2d(W, input_shape=X.shape)(X).ctypes.data % 64 == 0
    assert konv.max_pool2d(np.repeat(X, 16, 0), 2).ctypes.data % 64 == 0


@pytest.mark.parametrize("keep", [lambda y: y, lambda y: y[0, 3:5, ::2], lambda y: memoryview(y), lambda y: y.T[3:]])
def test_what_is_kept_stays(keep: object) -> None:
    kept = keep(konv.conv2d(X, W))  # type: ignore[operator]
    before = np.array(kept)
    for i in range(8):
        konv.conv2d(X * i, W)
    np.testing.assert_array_equal(np.array(kept), before)


def test_memory_is_used_again() -> None:
    x = np.repeat(X, 2, 0)  # a result of 1.1 MB
    seen = {konv.conv2d(x, W).ctypes.data for _ in range(8)}
    assert len(seen) == 1


def test_from_several_threads() -> None:
    expected = konv.conv2d(X, W)
    wrong: list[int] = []

    def work(seed: int) -> None:
        results = [konv.conv2d(X, W) for _ in range(20)]
        wrong.extend(seed for r in results if not np.array_equal(r, expected))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
