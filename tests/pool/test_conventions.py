"""Other libraries' rules: ONNX by its run-time and its reference, TensorFlow by the formulae that it publishes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import konv
from tests.pool import reference
from tests.pool.reference import Windows

RNG = np.random.default_rng(0)
SIZES = {1: (17,), 2: (9, 12), 3: (5, 8, 7)}


def onnx_session(operator: str, dims: int, outputs: int = 1, **attributes: Any) -> Any:
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    names = ["y", "i"][:outputs]
    kinds = [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64][:outputs]
    node = onnx.helper.make_node(operator, ["x"], names, **attributes)
    shape = [None] * (dims + 2)
    graph = onnx.helper.make_graph(
        [node],
        "pool",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info(n, k, shape) for n, k in zip(names, kinds, strict=True)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)
    return runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


# (kernel, stride, pads before, pads after, ceil_mode) per dimension alike
ONNX = [
    (2, 2, 0, 0, False),
    (3, 2, 1, 1, False),
    (3, 2, 2, 1, False),
    (3, 2, 0, 2, False),
    (3, 2, 0, 0, True),
    (3, 2, 1, 0, True),
    (4, 3, 1, 1, True),
]


@pytest.mark.parametrize("case", ONNX, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_onnx(dims: int, case: tuple[int, int, int, int, bool]) -> None:
    kernel, stride, before, after, ceil = case
    x = RNG.standard_normal((2, 3, *SIZES[dims])).astype(np.float32)
    common: dict[str, Any] = {
        "kernel_shape": [kernel] * dims,
        "strides": [stride] * dims,
        "pads": [before] * dims + [after] * dims,
        "ceil_mode": int(ceil),
    }
    options: dict[str, Any] = {"padding": ((before, after),) * dims, "ceil_mode": ceil, "convention": "onnx"}
    theirs, places = onnx_session("MaxPool", dims, 2, **common).run(None, {"x": x})
    values, indices = getattr(konv, f"max_pool{dims}d")(x, kernel, stride, return_indices=True, **options)
    np.testing.assert_array_equal(values, theirs)
    # ONNX counts places through the whole tensor.
    volume = int(np.prod(SIZES[dims]))
    np.testing.assert_array_equal(indices, places % volume)
    for include in (False, True):
        (theirs,) = onnx_session("AveragePool", dims, **common, count_include_pad=int(include)).run(None, {"x": x})
        ours = getattr(konv, f"avg_pool{dims}d")(x, kernel, stride, count_include_pad=include, **options)
        np.testing.assert_allclose(ours, theirs, 2e-6, 2e-6)


@pytest.mark.parametrize(("rule", "name"), [("SAME_UPPER", "same"), ("SAME_LOWER", "same_lower"), ("VALID", "valid")])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_onnx_auto_pad(dims: int, rule: str, name: str) -> None:
    x = RNG.standard_normal((1, 3, *SIZES[dims])).astype(np.float32)
    for kernel, stride in ((3, 2), (2, 1), (4, 3)):
        common: dict[str, Any] = {"kernel_shape": [kernel] * dims, "strides": [stride] * dims, "auto_pad": rule}
        (theirs,) = onnx_session("MaxPool", dims, **common).run(None, {"x": x})
        ours = getattr(konv, f"max_pool{dims}d")(x, kernel, stride, name, convention="onnx")
        np.testing.assert_array_equal(ours, theirs)
        for include in (False, True):
            (theirs,) = onnx_session("AveragePool", dims, **common, count_include_pad=int(include)).run(None, {"x": x})
            ours = getattr(konv, f"avg_pool{dims}d")(
                x, kernel, stride, name, count_include_pad=include, convention="onnx"
            )
            np.testing.assert_allclose(ours, theirs, 2e-6, 2e-6)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_onnx_lp_pool(dims: int, power: int) -> None:
    x = RNG.standard_normal((2, 3, *SIZES[dims])).astype(np.float32)
    session = onnx_session("LpPool", dims, kernel_shape=[3] * dims, strides=[2] * dims, p=power)
    (theirs,) = session.run(None, {"x": x})
    np.testing.assert_allclose(getattr(konv, f"lp_pool{dims}d")(x, power, 3, 2), theirs, 2e-5)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_onnx_global(dims: int) -> None:
    x = RNG.standard_normal((2, 3, *SIZES[dims])).astype(np.float32)
    for operator, kind in (("GlobalMaxPool", "max"), ("GlobalAveragePool", "avg")):
        (theirs,) = onnx_session(operator, dims).run(None, {"x": x})
        np.testing.assert_allclose(getattr(konv, f"adaptive_{kind}_pool{dims}d")(x, 1), theirs, 1e-5, 1e-6)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_tensorflow(dims: int, padding: str) -> None:
    """SAME: ceil(n / s) windows, max((out - 1) s + k - n, 0) of padding with the larger part behind, never counted.

    https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    x = RNG.standard_normal((2, 3, *SIZES[dims]))
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    layout = {1: "NWC", 2: "NHWC", 3: "NDHWC"}[dims]
    for kernel, stride in ((2, 2), (3, 2), (3, 1), (2, 3), (5, 4)):
        windows = Windows.regular(SIZES[dims], kernel, stride, padding, count_include_pad=False)
        n = SIZES[dims][0]
        assert windows.out[0] == (-(-n // stride) if padding == "same" else -(-(n - kernel + 1) // stride))
        for kind, expected in (("max", reference.max_pool(x, windows)[0]), ("avg", reference.avg_pool(x, windows))):
            ours = getattr(konv, f"{kind}_pool{dims}d")(last, kernel, stride, padding, convention="tf", layout=layout)
            np.testing.assert_allclose(np.moveaxis(ours, -1, 1), expected, 1e-13, 1e-13)
        gy = RNG.standard_normal(expected.shape)
        gradient = getattr(konv.grad, f"avg_pool{dims}d")(gy, x.shape, kernel, stride, padding, convention="tf")
        np.testing.assert_allclose(gradient, reference.avg_pool_grad(gy, x.shape, windows), 1e-13, 1e-13)


def test_tensorflow_by_hand() -> None:
    x = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
    assert konv.avg_pool1d(x, 3, 2, "same", convention="tf").tolist() == [[[1.5, 3, 4.5]]]
    assert konv.avg_pool1d(x, 3, 2, "same", convention="onnx").tolist() == [[[1, 3, 3]]]


def test_limits_of_each_convention() -> None:
    x = np.ones((1, 1, 8, 8), np.float32)
    for convention, limit in (("torch", "at most half of"), ("onnx", "less than"), ("tf", "less than")):
        for function in (konv.max_pool2d, konv.avg_pool2d):
            with pytest.raises(ValueError, match=rf"padding: expected {limit} kernel_size \(3\), got 3"):
                function(x, 3, padding=3, convention=convention)
    assert konv.max_pool2d(x, 3, padding=2, convention="onnx").shape == (1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"ceil_mode: expected False with convention='tf'"):
        konv.max_pool2d(x, 3, ceil_mode=True, convention="tf")
    with pytest.raises(ValueError, match=r"convention: expected 'torch', 'onnx' or 'tf', got 'keras'"):
        konv.avg_pool2d(x, 3, convention="keras")
    with pytest.raises(TypeError, match=r"convention: expected a string, got int"):
        konv.avg_pool2d(x, 3, convention=1)
