"""ONNX's own tests of its operators."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto
from onnx.backend.test.loader import load_model_tests
from onnx.numpy_helper import to_array

from konv.onnx import backend

# What konv does not run, and says so when it loads; and what cannot be compared.
LEFT_OUT = {
    r"sequence|optional|_opt\b|_seq\b|loop|scan\d*_|^test_if|range_.*expanded": "control flow, sequences",
    r"string|strnorm|regex|tfidf|label_encoder|image_decoder": "strings and files",
    r"bernoulli|training_dropout": "random numbers",
    r"float8|FLOAT8|e4m3|e5m2|e8m0|u?int4|U?INT4|int2|INT2|float4|FLOAT4": "types that NumPy lacks",
    r"bfloat16|BFLOAT16": "the file holds it as other numbers",
    r"flexattention|linear_attention": "operators of ONNX's preview",
    r"affine_grid_.*expanded": "control flow",
    r"^test_(ai_onnx_ml|adam|adagrad|momentum|nesterov)": "operators outside ONNX's own domain",
}


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the making of their data
        return [case for case in load_model_tests(kind="node") if not any(re.search(p, case.name) for p in LEFT_OUT)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_operator(case: Any) -> None:
    prepared = backend.prepare(case.model)
    for data in case.data_sets:
        inputs, outputs = ([to_array(a) if isinstance(a, TensorProto) else a for a in arrays] for arrays in data)
        for found, expected in zip(prepared.run(inputs), outputs, strict=True):
            assert found.dtype == expected.dtype
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, case.rtol, case.atol)
