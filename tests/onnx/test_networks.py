"""Whole classifiers, random weights, beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

import konv.onnx  # noqa: E402
from konv.bench.networks import NETWORKS, network  # noqa: E402


def theirs(model: Any, feeds: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("vgg16", "vgg19", "resnet18")])
def test_against_onnx_runtime(name: str) -> None:
    size = (
        96 if name in ("squeezenet", "mobilenet_v1", "mobilenet_v2", "densenet121", "resnet50", "googlenet") else None
    )
    model = network(name, "N", size)
    session = konv.onnx.load(model)
    height = session.inputs[0].shape[2]
    assert isinstance(height, int)
    for batch in (1, 2):
        x = np.random.default_rng(batch).standard_normal((batch, 3, height, height), np.float32)
        (expected,), (found,) = theirs(model, {"input": x}), session.run({"input": x})
        assert found.shape == expected.shape
        # Both sum in float32, in other orders: some 50 layers of errors of a few eps of the largest sums.
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
