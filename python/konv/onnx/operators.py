"""ONNX's operators on konv's functions: arrays and attributes in, arrays out.

Semantics are those of https://onnx.ai/onnx/operators/. Attributes that a node leaves out are left out here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import konv

from .._graph.ir import Array
from .windows import Windows, transposed_windows_of, windows_of


def _function(name: str, x: Array) -> Callable[..., Any]:
    """The function of this name for signals, images or volumes."""
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"input: expected (N, C, ...) with one to three spatial axes, got shape {x.shape}")
    found: Callable[..., Any] = getattr(konv, f"{name}{x.ndim - 2}d")
    return found


# --- convolution -------------------------------------------------------------------------------------


def conv(x: Array, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    """Conv."""
    w = windows_of(attributes, x.shape[2:], weight.shape[2:])
    groups = attributes.get("group", 1)
    result: Array = _function("conv", x)(x, weight, bias, w.strides, w.pads, w.dilations, groups)
    return result


def conv_transpose(x: Array, weight: Array, bias: Array | None = None, **attributes: Any) -> Array:
    """ConvTranspose."""
    w, _ = transposed_windows_of(attributes, x.shape[2:], weight.shape[2:])
    pads = tuple((before, max(0, after)) for before, after in w.pads)
    more = tuple(max(0, -after) for _, after in w.pads)
    groups = attributes.get("group", 1)
    result: Array = _function("conv_transpose", x)(x, weight, bias, w.strides, pads, more, groups, w.dilations)
    return result


def conv_integer(
    x: Array, weight: Array, x_zero: Array | None = None, weight_zero: Array | None = None, **attributes: Any
) -> Array:
    """ConvInteger."""
    w = windows_of(attributes, x.shape[2:], weight.shape[2:])
    groups = attributes.get("group", 1)
    x_zero, weight_zero = _one_or_many(x_zero, 0), _one_or_many(weight_zero, 0)
    if x.ndim == 5:  # float64 holds the sums of bytes' products exactly
        by_channel = np.reshape(weight_zero, (-1, 1, 1, 1, 1))
        values, kernel = x.astype(np.float64) - float(x_zero), weight.astype(np.float64) - by_channel
        sums = _function("conv", x)(values, kernel, None, w.strides, w.pads, w.dilations, groups)
        return np.asarray(sums, np.int64).astype(np.int32)
    image, kernel, strides, pads, dilations = _images(x, weight, w)
    result = konv.conv2d_int(image, kernel, x_zero, weight_zero, strides, pads, dilations, groups)
    return result.reshape(*result.shape[:2], *result.shape[4 - len(w.kernel) :])


def qlinear_conv(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    weight: Array,
    weight_scale: Array,
    weight_zero: Array,
    y_scale: Array,
    y_zero: Array,
    bias: Array | None = None,
    **attributes: Any,
) -> Array:
    """QLinearConv."""
    zeros: Any = tuple(_one_or_many(zero, x.dtype.type(0)) for zero in (x_zero, weight_zero, y_zero))
    scales: Any = tuple(_one_or_many(scale, 1.0) for scale in (x_scale, weight_scale, y_scale))
    if x.ndim == 5:
        sums = conv_integer(x, weight, x_zero, weight_zero, **attributes)
        channels = (-1, 1, 1, 1)
        if bias is not None:
            sums = sums + bias.reshape(channels)
        scale = np.reshape(np.float32(scales[0]) * np.float32(scales[1]) / np.float32(scales[2]), channels)
        rounded = np.rint(sums * scale.astype(np.float32)) + int(zeros[2])
        limits = np.iinfo(zeros[2].dtype)
        return np.asarray(rounded.clip(limits.min, limits.max), zeros[2].dtype)
    w = windows_of(attributes, x.shape[2:], weight.shape[2:])
    image, kernel, strides, pads, dilations = _images(x, weight, w)
    result = konv.conv2d_qlinear(
        image, scales[0], zeros[0], kernel, scales[1], zeros[1], scales[2], zeros[2], bias, strides, pads,
        dilations, attributes.get("group", 1),
    )  # fmt: skip
    return result.reshape(*result.shape[:2], *result.shape[4 - len(w.kernel) :])


def _one_or_many(values: Array | None, missing: Any) -> Any:
    """A number for all channels, or one for each."""
    if values is None:
        return missing
    return values.reshape(-1)[0] if values.size == 1 else values


def _images(x: Array, weight: Array, w: Windows) -> tuple[Any, ...]:
    """Images, kernels, strides, pads and dilations; signals are images of one row."""
    if not 3 <= x.ndim <= 4:
        raise ValueError(f"input: expected (N, C, ...) with one to three spatial axes, got shape {x.shape}")
    if x.ndim == 4:
        return x, weight, w.strides, w.pads, w.dilations
    return x[:, :, None], weight[:, :, None], (1, *w.strides), ((0, 0), *w.pads), (1, *w.dilations)


def deform_conv(
    x: Array, weight: Array, offset: Array, bias: Array | None = None, mask: Array | None = None, **attributes: Any
) -> Array:
    """DeformConv: elements between pixels are interpolated, and the columns of them convolved."""
    if x.ndim != 4:
        raise ValueError(f"X: expected (N, C, H, W), got shape {x.shape}")
    w = windows_of(attributes, x.shape[2:], weight.shape[2:])
    parts = attributes.get("offset_group", 1)
    n, channels = x.shape[:2]
    taps, out = int(np.prod(w.kernel)), w.within(x.shape[2:])
    if parts < 1 or channels % parts:
        raise ValueError(f"offset_group: expected a divisor of {channels} channels, got {parts}")
    for name, array, count in (("offset", offset, 2 * taps * parts), ("mask", mask, taps * parts)):
        if array is not None and array.shape != (n, count, *out):
            raise ValueError(f"{name}: expected shape {(n, count, *out)}, got {array.shape}")
    moved = offset.reshape(n, parts, taps, 2, *out)
    steps = np.indices(w.kernel).reshape(2, taps, 1, 1) * np.reshape(w.dilations, (2, 1, 1, 1))
    corners = np.indices(out) * np.reshape(w.strides, (2, 1, 1)) - np.reshape([low for low, _ in w.pads], (2, 1, 1))
    places = steps + corners[:, None]  # (2, taps, H', W')
    columns = np.empty((n, channels, taps, *out), x.dtype)
    each = channels // parts
    for i in range(n):
        for part in range(parts):
            group = slice(part * each, (part + 1) * each)
            found = _between_pixels(x[i, group], moved[i, part, :, 0] + places[0], moved[i, part, :, 1] + places[1])
            columns[i, group] = found if mask is None else found * mask.reshape(n, parts, taps, *out)[i, part]
    flat = columns.reshape(n, channels * taps, *out)
    return konv.conv2d(flat, weight.reshape(len(weight), -1, 1, 1), bias, groups=attributes.get("group", 1))


def _between_pixels(image: Array, rows: Array, columns: Array) -> Array:
    """Bilinear interpolation of (C, H, W) at any places; zero outside."""
    total = np.zeros((len(image), *rows.shape), image.dtype)
    top, left = np.floor(rows), np.floor(columns)
    for row, row_weight in ((top, 1 - (rows - top)), (top + 1, rows - top)):
        for column, column_weight in ((left, 1 - (columns - left)), (left + 1, columns - left)):
            inside = (row >= 0) & (row < image.shape[1]) & (column >= 0) & (column < image.shape[2])
            at = np.where(inside, row, 0).astype(np.int64), np.where(inside, column, 0).astype(np.int64)
            total += image[:, at[0], at[1]] * np.where(inside, row_weight * column_weight, 0).astype(image.dtype)
    return total


def col2im(columns: Array, image_shape: Array, block_shape: Array, **attributes: Any) -> Array:
    """Col2Im."""
    size = tuple(int(n) for n in image_shape)
    w = windows_of(attributes, size, block_shape.tolist())
    padded = tuple(n + before + after for n, (before, after) in zip(size, w.pads, strict=True))
    image = konv.fold(columns, padded, w.kernel, w.dilations, 0, w.strides)
    inside = tuple(slice(before, before + n) for n, (before, _) in zip(size, w.pads, strict=True))
    return np.ascontiguousarray(image[(slice(None), slice(None), *inside)])


# --- pooling -----------------------------------------------------------------------------------------


def _pooling(x: Array, attributes: dict[str, Any]) -> tuple[Windows, bool]:
    """Its windows, and whether their number is rounded up."""
    w = windows_of(attributes, x.shape[2:], attributes["kernel_shape"])
    return w, bool(attributes.get("ceil_mode", 0)) and attributes.get("auto_pad", "NOTSET") == "NOTSET"


def max_pool(x: Array, *, with_indices: bool, **attributes: Any) -> tuple[Array, ...]:
    """MaxPool; the second result counts through all of the input, columns first with `storage_order`."""
    w, round_up = _pooling(x, attributes)
    found = _function("max_pool", x)(
        x, w.kernel, w.strides, _same_or(w, attributes), w.dilations, round_up, with_indices, convention="onnx"
    )
    if not with_indices:
        return (found,)
    values, indices = found
    size = x.shape[2:]
    if attributes.get("storage_order", 0):
        indices = np.ravel_multi_index(np.unravel_index(indices, size), size, order="F")
    return values, indices + _plane_starts(x.shape)


def _same_or(w: Windows, attributes: dict[str, Any]) -> Any:
    """Padding as konv's poolings take it: that of SAME may be wider than a dilated window's number of elements."""
    return {"SAME_UPPER": "same", "SAME_LOWER": "same_lower"}.get(attributes.get("auto_pad", ""), w.pads)


def _plane_starts(shape: Sequence[int]) -> Array:
    """What the number of an element of a plane lacks to count through all planes."""
    planes = np.arange(shape[0] * shape[1]) * int(np.prod(shape[2:]))
    return planes.reshape(*shape[:2], *[1] * (len(shape) - 2))


def max_unpool(x: Array, indices: Array, output_shape: Array | None = None, **attributes: Any) -> Array:
    """MaxUnpool: indices count through the result of the pooling's own size, around which `output_shape` puts zeros."""
    kernel = attributes["kernel_shape"]
    w = windows_of(attributes, x.shape[2:], kernel)
    size = tuple(
        (n - 1) * s - before - after + span
        for n, s, span, (before, after) in zip(x.shape[2:], w.strides, w.spans, w.pads, strict=True)
    )
    if min(size) < 1 or x.shape != indices.shape:
        raise ValueError(
            f"I: expected shape {x.shape}, and a result of at least one element, got {indices.shape}, {size}"
        )
    result = np.zeros((*x.shape[:2], *size), x.dtype)
    if indices.size and not 0 <= indices.min() <= indices.max() < result.size:
        raise ValueError(f"I: expected indices from 0 to {result.size - 1}, got {indices.min()} to {indices.max()}")
    result.reshape(-1)[indices] = x
    if output_shape is None:
        return result
    whole = np.zeros([int(n) for n in output_shape], x.dtype)
    inside = tuple(slice(min(n, m)) for n, m in zip(result.shape, whole.shape, strict=True))
    whole[inside] = result[inside]
    return whole


def average_pool(x: Array, **attributes: Any) -> Array:
    """AveragePool."""
    w, round_up = _pooling(x, attributes)
    counts_padding = bool(attributes.get("count_include_pad", 0))
    if max(w.dilations) == 1:
        result: Array = _function("avg_pool", x)(
            x, w.kernel, w.strides, _same_or(w, attributes), round_up, counts_padding, convention="onnx"
        )
        return result
    everywhere = np.ones((1, 1, *x.shape[2:]), np.float64)
    counts = _window_sums(everywhere, w, round_up=round_up, padding=float(counts_padding))
    return (_window_sums(x, w, round_up=round_up) / counts).astype(x.dtype)


def lp_pool(x: Array, **attributes: Any) -> Array:
    """LpPool."""
    w, round_up = _pooling(x, attributes)
    power = attributes.get("p", 2)
    sums = _window_sums(np.abs(x.astype(np.float64)) ** power, w, round_up=round_up)
    result: Array = (sums ** (1 / power)).astype(x.dtype)
    return result


def _window_sums(x: Array, w: Windows, *, round_up: bool, padding: float = 0.0) -> Array:
    """Sums of windows, in float64: a convolution with ones. Rounding up reaches zeros beyond the padding."""
    out = w.within(x.shape[2:], round_up=round_up)
    pads = [(0, 0), (0, 0), *w.pads]
    padded = np.pad(x.astype(np.float64), pads, constant_values=padding)
    reach = [(n - 1) * s + span for n, s, span in zip(out, w.strides, w.spans, strict=True)]
    beyond = tuple((0, max(0, r - n)) for r, n in zip(reach, padded.shape[2:], strict=True))
    ones = np.ones((x.shape[1], 1, *w.kernel))
    sums: Array = _function("conv", x)(padded, ones, None, w.strides, beyond, w.dilations, x.shape[1])
    return sums


def global_average_pool(x: Array) -> Array:
    """GlobalAveragePool."""
    result: Array = _function("adaptive_avg_pool", x)(x, 1)
    return result


def global_max_pool(x: Array) -> Array:
    """GlobalMaxPool."""
    result: Array = _function("adaptive_max_pool", x)(x, 1)
    return result


def global_lp_pool(x: Array, **attributes: Any) -> Array:
    """GlobalLpPool."""
    result: Array = _function("lp_pool", x)(x, attributes.get("p", 2), x.shape[2:])
    return result
