"""The operations a graph may hold: one row each of shape inference, forward and backward.

Arrays are channels-last. Kernels are kept as Keras keeps them, (height, width, in, out) and
(in, out), and reach the engine as transposed views. A dense layer is a 1x1 convolution of an image
one row high, so it runs on the engine's own matrix product.

The contract of a row:

- ``infer(attributes, input shapes, variable shapes)`` returns the output's shape.
- ``forward(call)`` reads ``call.inputs`` and returns the output, usually written into
  ``call.output_buffer()``.
- ``backward(call, grad)`` fills the gradients of the trainable variables and returns the gradient
  of each input, or None where ``call.wanted`` is false. It owns `grad` and may overwrite it; nobody
  else holds what it returns.
"""

# ruff: noqa: ARG001 - the rows of a table share their signatures

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from .. import _core, avg_pool2d, conv2d, max_pool2d
from .. import grad as engine
from .random import generator
from .variable import Array, Attributes, Shape

if TYPE_CHECKING:
    from .._types import Padding2D
    from .execution import Call

Infer = Callable[[Attributes, Sequence[Shape], Sequence[tuple[int, ...]]], Shape]
Forward = Callable[["Call"], Array]
Backward = Callable[["Call", Array], list[Array | None]]


class Op(NamedTuple):
    """A row of the table."""

    infer: Infer
    forward: Forward
    backward: Backward


# --- convolution and dense -----------------------------------------------------------------------


def _output_size(size: int | None, window: int, stride: int, padding: str) -> int | None:
    """Length of one axis after a window of `window` pixels (dilation included) slid over it."""
    if size is None:
        return None
    length = -(-size // stride) if padding == "same" else (size - window) // stride + 1
    if length < 1:
        raise ValueError(f"a window of {window} does not fit into {size} pixels with padding={padding!r}")
    return length


def _infer_conv2d(attributes: Attributes, inputs: Sequence[Shape], variables: Sequence[tuple[int, ...]]) -> Shape:
    batch, height, width, channels = inputs[0]
    kernel_height, kernel_width, group_channels, filters = variables[0]
    if channels != group_channels * attributes["groups"]:
        raise ValueError(f"expected {group_channels * attributes['groups']} input channels, got {channels}")
    (stride_y, stride_x), (dilation_y, dilation_x) = attributes["stride"], attributes["dilation"]
    padding = attributes["padding"]
    return (
        batch,
        _output_size(height, (kernel_height - 1) * dilation_y + 1, stride_y, padding),
        _output_size(width, (kernel_width - 1) * dilation_x + 1, stride_x, padding),
        filters,
    )


def _conv2d(call: Call) -> Array:
    a, x = call.attributes, call.inputs[0]
    kernel, *bias = call.variables
    return conv2d(
        x,
        kernel.value.transpose(3, 2, 0, 1),
        bias[0].value if bias else None,
        a["stride"],
        a["padding"],
        a["dilation"],
        a["groups"],
        layout="NHWC",
        activation=a["activation"],
        out=call.output_buffer(),
    )


def _conv2d_grad(call: Call, grad: Array) -> list[Array | None]:
    a, x = call.attributes, call.inputs[0]
    kernel, *bias = call.variables
    geometry = (a["stride"], a["padding"], a["dilation"], a["groups"])
    weight = kernel.value.transpose(3, 2, 0, 1)
    _undo_relu(call, grad)
    if bias and bias[0].trainable:
        engine.conv_bias(grad, layout="NHWC", out=bias[0].grad)
    if kernel.trainable:
        out = kernel.grad.transpose(3, 2, 0, 1)
        engine.conv2d_weight(x, weight.shape, grad, *geometry, layout="NHWC", out=out)
    if not call.wanted[0]:
        return [None]
    out = call.buffer("grad", x.shape, x.dtype)
    return [engine.conv2d_input(x.shape, weight, grad, *geometry, layout="NHWC", out=out)]


def _infer_dense(attributes: Attributes, inputs: Sequence[Shape], variables: Sequence[tuple[int, ...]]) -> Shape:
    *leading, features = inputs[0]
    if features != variables[0][0]:
        raise ValueError(f"expected {variables[0][0]} input features, got {features}")
    return (*leading, variables[0][1])


def _row_image(a: Array) -> Array:
    """View (..., features) as an image of one row whose pixels are the samples; no image for none."""
    rows = prod(a.shape[:-1])
    return a.reshape(min(rows, 1), 1, max(rows, 1), a.shape[-1])


def _dense(call: Call) -> Array:
    x = call.inputs[0]
    kernel, *bias = call.variables
    y = call.output_buffer()
    conv2d(
        _row_image(x),
        kernel.value.T[:, :, None, None],
        bias[0].value if bias else None,
        layout="NHWC",
        activation=call.attributes["activation"],
        out=_row_image(y),
    )
    return y


def _dense_grad(call: Call, grad: Array) -> list[Array | None]:
    x = call.inputs[0]
    kernel, *bias = call.variables
    weight = kernel.value.T[:, :, None, None]
    _undo_relu(call, grad)
    pixels, rows = _row_image(grad), _row_image(x)
    if bias and bias[0].trainable:
        engine.conv_bias(pixels, layout="NHWC", out=bias[0].grad)
    if kernel.trainable:
        out = kernel.grad.T[:, :, None, None]
        engine.conv2d_weight(rows, weight.shape, pixels, layout="NHWC", out=out)
    if not call.wanted[0]:
        return [None]
    grad_x = call.buffer("grad", x.shape, x.dtype)
    engine.conv2d_input(rows.shape, weight, pixels, layout="NHWC", out=_row_image(grad_x))
    return [grad_x]


def _undo_relu(call: Call, grad: Array) -> None:
    """Take a fused relu's derivative, unless the pooling behind it has done so already."""
    if call.attributes["activation"] == "relu" and not call.relu_undone:
        _core.relu_grad(call.output, grad, grad)


# --- pooling -------------------------------------------------------------------------------------


def _infer_pool2d(attributes: Attributes, inputs: Sequence[Shape], variables: Sequence[tuple[int, ...]]) -> Shape:
    batch, height, width, channels = inputs[0]
    (window_y, window_x), (stride_y, stride_x) = attributes["kernel_size"], attributes["stride"]
    padding = attributes["padding"]
    return (
        batch,
        _output_size(height, window_y, stride_y, padding),
        _output_size(width, window_x, stride_x, padding),
        channels,
    )


def _pool_padding(call: Call) -> Padding2D:
    return "same" if call.attributes["padding"] == "same" else 0


def _max_pool2d(call: Call) -> Array:
    a, x = call.attributes, call.inputs[0]
    size, stride, padding, out = a["kernel_size"], a["stride"], _pool_padding(call), call.output_buffer()
    if not call.training:
        return max_pool2d(x, size, stride, padding, layout="NHWC", out=out)
    y, call.saved = max_pool2d(x, size, stride, padding, return_indices=True, layout="NHWC", out=out)
    return y


def _max_pool2d_grad(call: Call, grad: Array) -> list[Array | None]:
    x = call.inputs[0]
    if call.undoes_relu:
        _core.relu_grad(call.output, grad, grad)
    out = call.buffer("grad", x.shape, x.dtype)
    return [engine.max_pool2d(grad, call.saved, x.shape, layout="NHWC", out=out)]


def _avg_pool2d(call: Call) -> Array:
    a, x = call.attributes, call.inputs[0]
    return avg_pool2d(
        x,
        a["kernel_size"],
        a["stride"],
        _pool_padding(call),
        count_include_pad=False,
        layout="NHWC",
        out=call.output_buffer(),
    )


def _avg_pool2d_grad(call: Call, grad: Array) -> list[Array | None]:
    a, x = call.attributes, call.inputs[0]
    out = call.buffer("grad", x.shape, x.dtype)
    return [
        engine.avg_pool2d(
            grad,
            x.shape,
            a["kernel_size"],
            a["stride"],
            _pool_padding(call),
            count_include_pad=False,
            layout="NHWC",
            out=out,
        )
    ]


# --- element by element, and shapes --------------------------------------------------------------


def _infer_same(attributes: Attributes, inputs: Sequence[Shape], variables: Sequence[tuple[int, ...]]) -> Shape:
    return inputs[0]


def _relu(call: Call) -> Array:
    a, x = call.attributes, call.inputs[0]
    out = call.output_buffer()
    _core.clipped_relu(x, out, a["negative_slope"], a["max_value"], a["threshold"])
    return out


def _relu_grad(call: Call, grad: Array) -> list[Array | None]:
    a = call.attributes
    limits = (a["negative_slope"], a["max_value"], a["threshold"])
    _core.clipped_relu_grad(call.inputs[0], grad, grad, *limits)
    return [grad]


def _sigmoid(call: Call) -> Array:
    out = call.output_buffer()
    _core.sigmoid(call.inputs[0], out)
    return out


def _sigmoid_grad(call: Call, grad: Array) -> list[Array | None]:
    _core.sigmoid_grad(call.output, grad, grad)
    return [grad]


def _tanh(call: Call) -> Array:
    out = call.output_buffer()
    _core.tanh(call.inputs[0], out)
    return out


def _tanh_grad(call: Call, grad: Array) -> list[Array | None]:
    _core.tanh_grad(call.output, grad, grad)
    return [grad]


def _softmax(call: Call) -> Array:
    out = call.output_buffer()
    _core.softmax(call.inputs[0], out)
    return out


def _softmax_grad(call: Call, grad: Array) -> list[Array | None]:
    _core.softmax_grad(call.output, grad, grad)
    return [grad]


def _dropout(call: Call) -> Array:
    x = call.inputs[0]
    if not call.training:
        return x
    seed, out = call.attributes["seed"], call.output_buffer()
    rng = generator() if seed is None else generator((seed, call.runs))
    call.saved = int(rng.integers(2**63))
    _core.dropout(x, out, call.attributes["rate"], call.saved)
    return out


def _dropout_grad(call: Call, grad: Array) -> list[Array | None]:
    """Drop the same elements again: the mask is a function of the seed, so it is never stored."""
    _core.dropout(grad, grad, call.attributes["rate"], call.saved)
    return [grad]


def _infer_flatten(attributes: Attributes, inputs: Sequence[Shape], variables: Sequence[tuple[int, ...]]) -> Shape:
    batch, *sizes = inputs[0]
    known = [size for size in sizes if size is not None]
    return (batch, prod(known) if len(known) == len(sizes) else None)


def _flatten(call: Call) -> Array:
    x = call.inputs[0]
    return x.reshape(x.shape[0], prod(x.shape[1:]))


def _flatten_grad(call: Call, grad: Array) -> list[Array | None]:
    return [grad.reshape(call.inputs[0].shape)]


OPS: dict[str, Op] = {
    "conv2d": Op(_infer_conv2d, _conv2d, _conv2d_grad),
    "dense": Op(_infer_dense, _dense, _dense_grad),
    "max_pool2d": Op(_infer_pool2d, _max_pool2d, _max_pool2d_grad),
    "avg_pool2d": Op(_infer_pool2d, _avg_pool2d, _avg_pool2d_grad),
    "relu": Op(_infer_same, _relu, _relu_grad),
    "sigmoid": Op(_infer_same, _sigmoid, _sigmoid_grad),
    "tanh": Op(_infer_same, _tanh, _tanh_grad),
    "softmax": Op(_infer_same, _softmax, _softmax_grad),
    "dropout": Op(_infer_same, _dropout, _dropout_grad),
    "flatten": Op(_infer_flatten, _flatten, _flatten_grad),
}
