"""ONNX's evaluator on konv's operators gives what it gives without, and what ONNX Runtime gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402

import konv.onnx  # noqa: E402

from .models import node_model, runtime  # noqa: E402

RNG = np.random.default_rng(0)


def normal(*shape: int, dtype: Any = np.float32) -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def integers(low: int, high: int, *shape: int, dtype: Any = np.uint8) -> Any:
    return RNG.integers(low, high, shape).astype(dtype)


def ours(model: Any, feeds: dict[str, Any]) -> list[Any]:
    return ReferenceEvaluator(model, new_ops=konv.onnx.reference_ops()).run(None, feeds)  # type: ignore[no-any-return]


def assert_close(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype.kind == "f":
            assert np.abs(a.astype(np.float64) - b).max() <= tolerance * max(1.0, np.abs(b).max())
        else:
            np.testing.assert_array_equal(a, b)


WINDOWS: list[dict[str, Any]] = [
    {},
    {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"dilations": [2, 1], "pads": [2, 0, 0, 1], "strides": [2, 3]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 3]},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"auto_pad": "VALID", "strides": [1, 2]},
]


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("groups", [1, 2])
def test_conv(windows: dict[str, Any], groups: int) -> None:
    feeds = {"x": normal(2, 4, 9, 10), "w": normal(6, 4 // groups, 3, 2), "b": normal(6)}
    model = node_model("Conv", feeds, group=groups, **windows)
    assert_close(ours(model, feeds), runtime(model, feeds))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conv_of_any_number_of_axes(axes: int, dtype: Any) -> None:
    feeds = {"x": normal(1, 2, *[7] * axes, dtype=dtype), "w": normal(3, 2, *[3] * axes, dtype=dtype)}
    model = node_model("Conv", feeds, pads=[1] * (2 * axes))
    assert_close(ours(model, feeds), ReferenceEvaluator(model).run(None, feeds))


@pytest.mark.parametrize(
    "windows",
    [
        *WINDOWS[:2],
        {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 0, 0, 1]},
        {"strides": [2, 2], "output_shape": [19, 18]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [3, 2], "auto_pad": "SAME_LOWER"},
        {"strides": [2, 2], "output_shape": [18, 17], "auto_pad": "SAME_UPPER"},
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_conv_transpose(windows: dict[str, Any], groups: int) -> None:
    feeds = {"x": normal(2, 4, 9, 8), "w": normal(4, 3, 3, 3), "b": normal(3 * groups)}
    model = node_model("ConvTranspose", feeds, group=groups, **windows)
    assert_close(ours(model, feeds), runtime(model, feeds))


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_conv_integer(windows: dict[str, Any], per_channel: bool) -> None:
    zeros = integers(100, 150, 6) if per_channel else np.uint8(128)
    feeds = {
        "x": integers(0, 256, 2, 4, 9, 10), "w": integers(0, 256, 6, 2, 3, 3), "xz": np.array(7, np.uint8),
        "wz": np.asarray(zeros),
    }  # fmt: skip
    model = node_model("ConvInteger", feeds, group=2, **windows)
    # float32 holds these sums exactly.
    x, w = feeds["x"].astype(np.float32) - 7, feeds["w"].astype(np.float32) - feeds["wz"].reshape(-1, 1, 1, 1)
    expected = runtime(node_model("Conv", {"x": x, "w": w}, group=2, **windows), {"x": x, "w": w})
    assert_close(ours(model, feeds), [expected[0].astype(np.int32)])


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("per_channel", [False, True])
def test_qlinear_conv(axes: int, per_channel: bool) -> None:
    feeds = {
        "x": integers(0, 256, 2, 3, *[6] * axes), "xs": np.float32(0.02), "xz": np.uint8(120),
        "w": integers(-128, 128, 4, 3, *[3] * axes, dtype=np.int8),
        "ws": RNG.uniform(0.01, 0.02, 4).astype(np.float32) if per_channel else np.float32(0.015),
        "wz": np.zeros(4, np.int8) if per_channel else np.int8(0),
        "ys": np.float32(0.05), "yz": np.uint8(117), "b": integers(-500, 500, 4, dtype=np.int32),
    }  # fmt: skip
    feeds = {name: np.asarray(array) for name, array in feeds.items()}
    model = node_model("QLinearConv", feeds, pads=[1] * (2 * axes))
    found, expected = ours(model, feeds)[0], runtime(model, feeds)[0]
    assert found.dtype == expected.dtype
    # Products of scales may round differently in their last bit.
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != expected).mean() < 0.01


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": [3, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [0, 1, 1, 0], "ceil_mode": 1},
    {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [2, 3], "dilations": [3, 2], "strides": [2, 1], "pads": [1, 2, 0, 2]},
    {"kernel_shape": [2, 2], "dilations": [2, 3], "strides": [2, 3], "ceil_mode": 1},
]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("storage_order", [0, 1])
def test_max_pool_and_its_indices(pool: dict[str, Any], storage_order: int) -> None:
    feeds = {"x": normal(2, 3, 11, 10)}
    model = node_model("MaxPool", feeds, outputs=2, storage_order=storage_order, **pool)
    assert_close(ours(model, feeds), runtime(model, feeds))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("count_include_pad", [0, 1])
def test_average_pool(pool: dict[str, Any], count_include_pad: int) -> None:
    feeds = {"x": normal(2, 3, 11, 10)}
    model = node_model("AveragePool", feeds, 19, count_include_pad=count_include_pad, **pool)
    assert_close(ours(model, feeds), runtime(model, feeds))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_lp_pool(pool: dict[str, Any], p: int) -> None:
    feeds = {"x": normal(2, 3, 11, 10)}
    model = node_model("LpPool", feeds, 18, p=p, **pool)
    assert_close(ours(model, feeds), runtime(model, feeds))


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_global_pools(op: str, axes: int) -> None:
    feeds = {"x": normal(2, 3, *[5] * axes)}
    model = node_model(op, feeds)
    assert_close(ours(model, feeds), runtime(model, feeds))


def test_max_unpool() -> None:
    x = normal(2, 3, 8, 6)
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    values, indices = ours(node_model("MaxPool", {"x": x}, outputs=2, **pool), {"x": x})
    feeds = {"x": values, "i": indices}
    model = node_model("MaxUnpool", feeds, **pool)
    assert_close(ours(model, feeds), runtime(model, feeds))
    with pytest.raises(ValueError, match="I: expected indices from 0 to 287"):
        ours(model, {"x": values, "i": indices + 288})


def test_deform_conv() -> None:
    groups, parts = 2, 2
    feeds = {
        "x": normal(2, 4, 7, 8), "w": normal(6, 4 // groups, 3, 2), "offset": 3 * normal(2, parts * 3 * 2 * 2, 4, 8),
        "b": normal(6), "mask": normal(2, parts * 3 * 2, 4, 8),
    }  # fmt: skip
    model = node_model(
        "DeformConv", feeds, 19, group=groups, offset_group=parts, strides=[2, 1], pads=[1, 1, 1, 0], dilations=[1, 1]
    )
    assert_close(ours(model, feeds), ReferenceEvaluator(model).run(None, feeds))
    with pytest.raises(ValueError, match="offset: expected shape"):
        ours(model, feeds | {"offset": feeds["offset"][:, :-1]})


def test_col2im() -> None:
    feeds = {"x": normal(2, 2 * 6, 20), "size": np.array([8, 7]), "block": np.array([3, 2])}
    windows = {"strides": [2, 2], "pads": [1, 1, 1, 1], "dilations": [1, 2]}
    feeds["x"] = normal(2, 12, 4 * 4)
    model = node_model("Col2Im", feeds, 18, **windows)
    assert_close(ours(model, feeds), ReferenceEvaluator(model).run(None, feeds))


def test_windows_that_do_not_fit_are_named() -> None:
    feeds = {"x": normal(1, 1, 3, 3)}
    model = node_model("MaxPool", feeds, kernel_shape=[2, 2])
    model.graph.node[0].attribute[0].ints[:] = [5, 2]
    with pytest.raises(ValueError, match="spans 5 elements, but the padded input has 3"):
        ours(model, feeds)
    with pytest.raises(ValueError, match="one to three spatial axes, got shape"):
        ours(node_model("GlobalMaxPool", {"x": normal(1, 1, 2, 2, 2, 2)}), {"x": normal(1, 1, 2, 2, 2, 2)})


@pytest.mark.parametrize("name", ["mnist", "super_resolution_std", "ultraface_RFB-320", "SqueezeNet_fp32"])
def test_real_models(name: str, data_dir: Path) -> None:
    model = onnx.load(data_dir / "models" / f"{name}.onnx")
    constants = {t.name for t in model.graph.initializer}
    (given,) = (v for v in model.graph.input if v.name not in constants)
    shape = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
    if name == "super_resolution_std":
        shape[2:] = [30, 20]
    feeds = {given.name: RNG.uniform(0, 1, shape).astype(np.float32)}
    assert_close(ours(model, feeds), ReferenceEvaluator(model).run(None, feeds), 1e-4)
