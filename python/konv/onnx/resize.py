"""Which elements of an axis each resized element is made of, and with which weights: ONNX's Resize, axis by axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .checks import UnsupportedError

if TYPE_CHECKING:
    from .._graph.ir import Array
    from .importer import Context

Table = tuple["Array", "Array"]


def resize_tables(context: Context, shape: tuple[int, ...]) -> list[tuple[int, Table]]:
    """For each axis that changes: indices and weights, (size, taps); no weights where each element is a copy."""
    rank = len(shape)
    upsample = context.node.op_type == "Upsample"
    roi = scales = sizes = None
    if upsample:
        scales = np.array(context.get("scales")) if context.opset < 9 else context.constant(1)
        transformation, mode = "asymmetric", context.get("mode", "nearest")
    elif context.opset < 11:
        scales, transformation, mode = context.constant(1), "asymmetric", context.get("mode", "nearest")
    else:
        roi, scales, sizes = (context.constant(i) for i in (1, 2, 3))
        transformation = context.get("coordinate_transformation_mode", "half_pixel")
        mode = context.get("mode", "nearest")
    if scales is not None and scales.size == 0:
        scales = None
    if (scales is None) == (sizes is None):
        raise UnsupportedError
    axes = [context.axis(a, rank) for a in context.get("axes") or range(rank)]
    out, factor = list(shape), [1.0] * rank
    if sizes is not None:
        policy = context.get("keep_aspect_ratio_policy", "stretch")
        ratios = [n / shape[a] for a, n in zip(axes, sizes, strict=True)]
        if policy != "stretch":
            ratios = [(min if policy == "not_larger" else max)(ratios)] * len(axes)
        for a, ratio, n in zip(axes, ratios, sizes, strict=True):
            out[a] = int(n) if policy == "stretch" else int(shape[a] * ratio + 0.5)
            factor[a] = float(ratio)
    else:
        assert scales is not None
        for a, s in zip(axes, scales, strict=True):
            out[a], factor[a] = int(np.floor(shape[a] * float(s))), float(s)
    window = {a: (roi[i], roi[i + len(axes)]) for i, a in enumerate(axes)} if roi is not None and roi.size else {}
    if transformation == "tf_crop_and_resize" and not window:
        raise UnsupportedError
    tables = []
    for a in axes:
        if out[a] == shape[a] and factor[a] == 1 and transformation != "tf_crop_and_resize":
            continue
        where = _coordinates(transformation, shape[a], out[a], factor[a], window.get(a, (0.0, 1.0)))
        if transformation == "tf_crop_and_resize" and ((where < 0) | (where > shape[a] - 1)).any():
            raise UnsupportedError  # extrapolates
        if out[a] == 0:
            raise UnsupportedError
        tables.append((a, _table(context, mode, where, shape[a], factor[a])))
    return tables


def _coordinates(mode: str, size: int, out: int, scale: float, window: tuple[Any, Any]) -> Array:
    """Where on the original axis each element lies."""
    i = np.arange(out, dtype=np.float64)
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        last = size * scale - 1
        return i * (size - 1) / last if last > 0 and out > 1 else np.zeros(out)
    if mode == "pytorch_half_pixel":
        return (i + 0.5) / scale - 0.5 if out > 1 else np.zeros(1)
    if mode == "half_pixel_symmetric":
        middle = size / 2 * (1 - out / (scale * size))
        return middle + (i + 0.5) / scale - 0.5
    if mode == "tf_crop_and_resize":
        start, end = float(window[0]), float(window[1])
        if out == 1:
            return np.array([0.5 * (start + end) * (size - 1)])
        return start * (size - 1) + i * (end - start) * (size - 1) / (out - 1)
    return (i + 0.5) / scale - 0.5


def _table(context: Context, mode: str, where: Array, size: int, scale: float) -> Table:
    if mode == "nearest":
        rounding = context.get("nearest_mode", "round_prefer_floor" if context.opset >= 11 else "floor")
        rounded: dict[str, Callable[[Array], Array]] = {
            "floor": np.floor,
            "ceil": np.ceil,
            "round_prefer_floor": lambda x: np.ceil(x - 0.5),
            "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        }
        index = rounded[rounding](where)
        return np.clip(index, 0, size - 1).astype(np.int64)[:, None], np.empty((0, 1))
    wide = max(1.0, 1 / scale) if context.get("antialias", 0) else 1.0
    support = (1 if mode == "linear" else 2) * wide
    low = np.floor(where - support).astype(np.int64) + 1
    taps = int(np.ceil(2 * support))
    index = low[:, None] + np.arange(taps)
    distance = np.abs(index - where[:, None]) / wide
    if mode == "linear":
        weight = np.maximum(0.0, 1 - distance)
    else:
        a = float(context.get("cubic_coeff_a", -0.75))
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    inside = (index >= 0) & (index < size)
    if context.get("exclude_outside", 0):
        weight = weight * inside
    weight = weight / weight.sum(1, keepdims=True)
    return np.clip(index, 0, size - 1), weight
