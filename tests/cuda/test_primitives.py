"""Every part of csrc/cuda/device.h does what PTX says, against plain loops (csrc/cuda/tests)."""

from __future__ import annotations

from typing import Any

import pytest

PRIMITIVES = (
    "barrier",
    "copy_async_4",
    "copy_async_8",
    "copy_async_16",
    "multiply_add_float16",
    "multiply_add_bfloat16",
    "multiply_add_tf32",
    "multiply_warpgroup_float16_128",
    "multiply_warpgroup_float16_256",
    "multiply_warpgroup_bfloat16_128",
    "multiply_warpgroup_bfloat16_256",
    "shuffles",
    "float16",
    "bfloat16",
    "threads_that_return",
)
SIMULATED = ("copy_before_wait", "threads_that_diverge")


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(cuda: Any, name: str) -> None:
    assert cuda.check_primitive(name) == ""


@pytest.mark.parametrize("name", SIMULATED)
def test_what_the_simulator_finds(simulator: Any, name: str) -> None:
    assert simulator.check_primitive(name) == ""


def test_none_is_left_out(cuda: Any) -> None:
    assert set(cuda.primitives()) == {*PRIMITIVES, *(SIMULATED if cuda.simulator else ())}
