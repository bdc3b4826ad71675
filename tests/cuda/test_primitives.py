"""Every part of csrc/cuda/device.h does in the simulator what PTX says, against plain loops (csrc/cuda/tests)."""

from __future__ import annotations

from typing import Any

import pytest

PRIMITIVES = (
    "barrier",
    "copy_async_4",
    "copy_async_8",
    "copy_async_16",
    "copy_before_wait",
    "multiply_add_float16",
    "multiply_add_bfloat16",
    "multiply_add_tf32",
    "shuffles",
    "float16",
    "bfloat16",
    "threads_that_return",
    "threads_that_diverge",
)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive(simulator: Any, name: str) -> None:
    assert simulator.check_primitive(name) == ""


def test_none_is_left_out(simulator: Any) -> None:
    assert set(simulator.primitives()) == set(PRIMITIVES)
