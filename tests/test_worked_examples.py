"""Examples worked out by hand: integers in, exactly these numbers out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
from tests.cases import DTYPES, ISA_LEVELS

FILE = Path(__file__).parent / "data" / "worked_examples.json"
EXAMPLES = json.loads(FILE.read_text())["examples"]
CONVOLUTIONS = [example for example in EXAMPLES if example["op"].startswith("conv2d")]


def batched(values: Any, dtype: str) -> np.ndarray:
    """A plane, or an image with channels, as a batch of one."""
    array = np.array(values, dtype)
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def compute(example: dict[str, Any], dtype: str, **options: Any) -> np.ndarray:
    x = batched(example["input"], dtype)
    kind, _, then = example["op"].partition("+")
    if kind == "conv2d":
        weight = batched(example["kernel"], dtype)
        bias = np.array(example["bias"], dtype) if "bias" in example else None
        return konv.conv2d(
            x, weight, bias, example["stride"], example["padding"], activation=then or None,
            **options,
        )  # fmt: skip
    pool = {"max_pool2d": konv.max_pool2d, "avg_pool2d": konv.avg_pool2d}[kind]
    out = pool(x, example["size"], example["stride"], **options)
    return np.floor(out) if then == "floor" else out


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e["name"])
def test_example(example: dict[str, Any], isa: str, dtype: str) -> None:
    with konv.config(isa=isa):
        out = compute(example, dtype)
    np.testing.assert_array_equal(out, batched(example["expected"], dtype))


@pytest.mark.parametrize("algorithm", ["implicit_gemm", "reference"])
@pytest.mark.parametrize("example", CONVOLUTIONS, ids=lambda e: e["name"])
def test_example_by_algorithm(example: dict[str, Any], algorithm: str) -> None:
    out = compute(example, "float32", algorithm=algorithm)
    np.testing.assert_array_equal(out, batched(example["expected"], "float32"))


def test_all_examples_are_of_a_known_kind() -> None:
    kinds = {example["op"].partition("+")[0] for example in EXAMPLES}
    assert kinds == {"conv2d", "max_pool2d", "avg_pool2d"}
    assert len(EXAMPLES) == 11
