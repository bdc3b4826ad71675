"""Plans are cached, and the cache is bounded."""

from __future__ import annotations

import numpy as np

import konv


def convolve(width: int) -> np.ndarray:
    x = np.ones((1, 1, 3, width), np.float32)
    return konv.conv2d(x, np.ones((1, 1, 3, 3), np.float32))


def test_cache_is_bounded() -> None:
    capacity = konv.info()["plan_cache"]["capacity"]
    for width in range(3, capacity + 53):
        assert convolve(width).shape == (1, 1, 1, width - 2)
    assert konv.info()["plan_cache"]["size"] == capacity


def test_repeated_problems_make_one_plan() -> None:
    convolve(5000)
    before = konv.info()["plan_cache"]
    for _ in range(10):
        convolve(5000)
    after = konv.info()["plan_cache"]
    assert after["misses"] == before["misses"]
    convolve(5001)
    assert konv.info()["plan_cache"]["misses"] == before["misses"] + 1


def test_configuration_is_part_of_the_key() -> None:
    levels = konv.info()["isa_levels"]
    convolve(5002)
    before = konv.info()["plan_cache"]["misses"]
    with konv.config(isa=levels[0]):
        convolve(5002)
    assert konv.info()["plan_cache"]["misses"] == before + (len(levels) > 1)


def test_info_says_what_there_is() -> None:
    info = konv.info()
    assert {"version", "cpu", "isa", "isa_levels", "threads", "cuda"} <= set(info)
    assert info["isa"] in info["isa_levels"]
    assert info["threads"] == konv.get_num_threads()
