"""Shape inference: for each operation of a graph, the shape of its output.

A row takes the node's attributes, the shapes of its inputs (batch first, channels last) and those of its variables.
None is a size not known yet. A row raises a ValueError where they do not fit together.
"""

# ruff: noqa: ARG001 - the rows of a table share their signatures

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from .variable import Attributes, Shape

VariableShapes = Sequence[tuple[int, ...]]
Infer = Callable[[Attributes, Sequence[Shape], VariableShapes], Shape]


def _windows(size: int | None, window: int, stride: int, padding: str) -> int | None:
    """Return how many windows of `window` pixels (dilation included) an axis takes."""
    if size is None:
        return None
    length = (size - window) // stride + 1 if padding == "valid" else -(-size // stride)
    if length < 1:
        raise ValueError(f"a window of {window} does not fit into {size} pixels with padding={padding!r}")
    return length


def _spread(window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(size - 1) * distance + 1 for size, distance in zip(window, dilation, strict=True)]


def _convolved(attributes: Attributes, sizes: Sequence[int | None], window: Sequence[int]) -> list[int | None]:
    spread = _spread(window, attributes["dilation"])
    return [
        _windows(size, taps, stride, attributes["padding"])
        for size, taps, stride in zip(sizes, spread, attributes["stride"], strict=True)
    ]


def _expect_channels(expected: int, found: int | None) -> None:
    if found != expected:
        raise ValueError(f"expected {expected} input channels, got {found}")


def _conv(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    *window, group_channels, filters = variables[0]
    _expect_channels(group_channels * attributes["groups"], channels)
    return (batch, *_convolved(attributes, sizes, window), filters)


def _depthwise_conv(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    *window, expected, multiplier = variables[0]
    _expect_channels(expected, channels)
    return (batch, *_convolved(attributes, sizes, window), expected * multiplier)


def _conv_transpose(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    *window, filters, expected = variables[0]
    _expect_channels(expected, channels)
    spread = _spread(window, attributes["dilation"])
    extra = attributes["output_padding"] or (None,) * len(spread)
    grown = [
        _transposed(*axis, attributes["padding"])
        for axis in zip(sizes, spread, attributes["stride"], extra, strict=True)
    ]
    return (batch, *grown, filters)


def _transposed(size: int | None, taps: int, stride: int, extra: int | None, padding: str) -> int | None:
    """Keras's length: without `extra`, a multiple of the stride, and where taps overlap it their rest."""
    if size is None:
        return None
    if padding == "same":
        return size * stride if extra is None else (size - 1) * stride + taps % 2 + extra
    return (size - 1) * stride + (max(taps, stride) if extra is None else taps + extra)


def _dense(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    *leading, features = inputs[0]
    if features != variables[0][0]:
        raise ValueError(f"expected {variables[0][0]} input features, got {features}")
    return (*leading, variables[0][1])


def _pool(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    axes = zip(sizes, attributes["kernel_size"], attributes["stride"], strict=True)
    return (batch, *(_windows(*axis, attributes["padding"]) for axis in axes), channels)


def _global_pool(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    kept = (1,) * len(sizes) if attributes["keepdims"] else ()
    return (batch, *kept, channels)


def _same(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    return inputs[0]


def _batch_normalization(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    _expect_channels(variables[-1][0], inputs[0][-1])
    return inputs[0]


def _flatten(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes = inputs[0]
    return (batch, _product(sizes))


def _product(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return prod(known) if len(known) == len(sizes) else None


def _reshape(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    """One size may be -1: whatever is left."""
    batch, *sizes = inputs[0]
    target = attributes["shape"]
    given, elements = prod(size for size in target if size != -1), _product(sizes)
    if elements is None:
        return (batch, *(None if size == -1 else size for size in target))
    if (elements != given) if -1 not in target else (given == 0 or elements % given):
        raise ValueError(f"shape {inputs[0][1:]} has {elements} elements, which do not make {target}")
    return (batch, *(elements // given if size == -1 else size for size in target))


def _elementwise(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    return _merged(inputs, inputs)


def _merged(shapes: Sequence[Shape], shown: Sequence[Shape]) -> Shape:
    """Return the one shape that all these are, with the sizes that any of them knows."""
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"the inputs must have one shape, got {list(shown)}")
    merged: list[int | None] = []
    for sizes in zip(*shapes, strict=True):
        known = {size for size in sizes if size is not None}
        if len(known) > 1:
            raise ValueError(f"the inputs must have one shape, got {list(shown)}")
        merged.append(known.pop() if known else None)
    return tuple(merged)


def _concatenate(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    axis = attributes["axis"]
    try:
        merged = _merged([(*shape[:axis], *shape[axis + 1 :]) for shape in inputs], inputs)
    except ValueError as error:
        raise ValueError(f"beside axis {axis}, {error}") from None
    joined = [shape[axis] for shape in inputs]
    known = [size for size in joined if size is not None]
    return (*merged[:axis], sum(known) if len(known) == len(joined) else None, *merged[axis:])


def _zero_padding(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    pairs = zip(sizes, attributes["padding"], strict=True)
    return (batch, *(None if size is None else size + before + after for size, (before, after) in pairs), channels)


def _up_sampling(attributes: Attributes, inputs: Sequence[Shape], variables: VariableShapes) -> Shape:
    batch, *sizes, channels = inputs[0]
    pairs = zip(sizes, attributes["size"], strict=True)
    return (batch, *(None if size is None else size * factor for size, factor in pairs), channels)


INFER: dict[str, Infer] = {
    "activation": _same,
    "add": _elementwise,
    "avg_pool": _pool,
    "batch_normalization": _batch_normalization,
    "concatenate": _concatenate,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "depthwise_conv": _depthwise_conv,
    "dropout": _same,
    "flatten": _flatten,
    "global_avg_pool": _global_pool,
    "global_max_pool": _global_pool,
    "max_pool": _pool,
    "multiply": _elementwise,
    "rescaling": _same,
    "reshape": _reshape,
    "softmax": _same,
    "up_sampling": _up_sampling,
    "zero_padding": _zero_padding,
}
