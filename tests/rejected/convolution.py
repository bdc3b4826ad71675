"""What convolutions, their gradients, plans and streams refuse beyond the rules for single arguments.

An entry: the function, "#" for each number of dimensions; changed arguments; the exception; how its message starts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.rejected.calls import ones

ANY = "float32, float64, float16, bfloat16, int8, uint8, complex64 or complex128"
FLOATS = "float32, float64, float16 or bfloat16"
Table = list[tuple[str, dict[str, Any], type[Exception], str]]


def common(n: int) -> Table:
    """Arrays, channels and sizes of forward convolutions, and so of their plans and gradients."""
    s = (8,) * n
    kernel, thin = (3,) * n, (3,) * (n - 1)
    ranks = f"expected {n + 2} dimensions, or {n + 1} without a batch, got shape"
    x, w, y = ones(2, 4, *s), ones(6, 4, *kernel), ones(2, 6, *(6,) * n)
    spans = "elements, but the padded input has"
    rows: Table = [
        # ranks and shapes
        ("conv#", {"input": ones(*s[1:])}, ValueError, f"input: {ranks}"),
        ("conv#", {"input": x[None]}, ValueError, f"input: {ranks} (1, 2, 4"),
        ("conv#", {"input": x[0]}, ValueError, f"out: expected shape {y.shape[1:]}, got {y.shape}"),
        ("conv#", {"bias": ones(5)}, ValueError, "bias: expected shape (6,), got (5,)"),
        ("conv#", {"bias": ones(6, 1)}, ValueError, "bias: expected shape (6,), got (6, 1)"),
        ("conv#", {"bias": ones()}, ValueError, "bias: expected shape (6,), got ()"),
        ("conv#", {"input": ones(2, 4, *s[1:], 0)}, ValueError, "input: expected spatial sizes of at least 1, got 0"),
        ("conv#", {"input": ones(2, 4, *s[1:], 0), "padding": 2}, ValueError, "input: expected spatial sizes of at"),
        # dtypes
        ("conv#", {"input": x.astype(np.int32)}, TypeError, f"input: expected dtype {ANY}, got int32"),
        ("conv#", {"input": x > 0}, TypeError, f"input: expected dtype {ANY}, got bool"),
        ("conv#", {"input": x.astype(np.float64)}, TypeError, "weight: expected dtype float64 like input, got float32"),
        ("conv#", {"input": x.astype(np.float16)}, TypeError, "weight: expected dtype float16 like input, got float32"),
        ("conv#", {"bias": ones(6, dtype=np.float64)}, TypeError, "bias: expected dtype float32 like input, got float"),
        ("conv#", {"bias": ones(6, dtype=np.int32)}, TypeError, f"bias: expected dtype {FLOATS}, got int32"),
        # borders
        ("conv#", {"padding": 8, "padding_mode": "reflect"}, ValueError,
         "padding: mode 'reflect' takes at most 7 along an axis of 8 elements, got 8"),
        ("conv#", {"padding": ((0, 0),) * (n - 1) + ((0, 9),), "padding_mode": "circular"}, ValueError,
         "padding: mode 'circular' takes at most 8 along an axis of 8 elements, got 9"),
        ("conv#", {"input": ones(2, 4, *s[1:], 1), "padding": "same", "padding_mode": "reflect"}, ValueError,
         "padding: mode 'reflect' takes at most 0 along an axis of 1 elements, got 1"),
        # the result
        ("conv#", {"residual": x}, ValueError, f"residual: expected the result's shape {y.shape}, got {x.shape}"),
        ("conv#", {"residual": y[0]}, ValueError, f"residual: expected the result's shape {y.shape}, got"),
        ("conv#", {"residual": y.astype(np.float64)}, TypeError, "residual: expected dtype float32 like input, got"),
        ("conv#", {"residual": y.tolist()}, TypeError, "residual: expected an array, got list"),
        ("conv#", {"algorithm": "reference", "input": ones(0, 4, *s)}, ValueError, "out: expected shape (0, 6"),
    ]  # fmt: skip
    for f in ("conv#", "plan_conv#", "grad.conv#_input"):
        rows += [
            (f, {"weight": ones(6, *kernel)}, ValueError,
             f"weight: expected {n + 2} dimensions, two of channels and the kernel's, got shape {(6, *kernel)}"),
            (f, {"weight": w[None]}, ValueError, f"weight: expected {n + 2} dimensions, two of channels and"),
            (f, {"weight": ones(6, 4, 0, *thin)}, ValueError, "weight: expected kernel sizes of at least 1, got 0"),
            (f, {"weight": ones(6, 4, 9, *thin)}, ValueError,
             f"weight: a kernel of 9 with dilation 1 spans 9 {spans} 8"),
        ]  # fmt: skip
    for f, size, weight in (
        ("conv#", "input", "weight"), ("plan_conv#", "input_shape", "weight"),
        ("grad.conv#_input", "input_size", "weight"), ("grad.conv#_weight", "input", "weight_size"),
    ):  # fmt: skip

        def sized(*shape: int, name: str) -> Any:
            return ones(*shape) if name in ("input", "weight") else shape

        rows += [
            (f, {weight: sized(6, 3, *kernel, name=weight)}, ValueError,
             f"{weight}: expected 4 input channels a group ({size} has 4 channels in 1 groups), got 3"),
            (f, {size: sized(2, 5, *s, name=size)}, ValueError,
             f"{weight}: expected 5 input channels a group ({size} has 5 channels in 1 groups), got 4"),
            (f, {"groups": 2}, ValueError,
             f"{weight}: expected 2 input channels a group ({size} has 4 channels in 2 groups), got 4"),
            (f, {"groups": 3}, ValueError, f"groups: 3 does not divide the 4 channels of {size}"),
            (f, {"groups": 4}, ValueError, f"groups: 4 does not divide the 6 output channels of {weight}"),
            (f, {weight: sized(0, 4, *kernel, name=weight)}, ValueError, f"{weight}: expected at least one output"),
            (f, {"dilation": 4}, ValueError, f"{weight}: a kernel of 3 with dilation 4 spans 9 {spans} 8"),
            (f, {"dilation": 2**31 - 1}, ValueError, f"{weight}: a kernel of 3 with dilation 2147483647 spans 429"),
            (f, {"dilation": 2**31 - 1, "padding": 1}, ValueError, f"{weight}: a kernel of 3 with dilation 2147483647"),
            (f, {"algorithm": "pointwise"}, ValueError, "algorithm: 'pointwise'"),
        ]  # fmt: skip
        if n > 1:
            rows.append((f, {"padding": 2**31 - 1}, ValueError, "padding: the output would have more than 2^58"))
    return rows


def gradients(n: int) -> Table:
    kernel, s, y = (3,) * n, (8,) * n, (2, 6) + (6,) * n
    x, w = (2, 4, *s), (6, 4, *kernel)
    rows: Table = [
        ("grad.conv#_input", {"input_size": (1, *x[1:])}, ValueError, "grad_output: expected shape (1, 6"),
        ("grad.conv#_input", {"input_size": x[1:]}, ValueError, f"grad_output: expected shape {y[1:]}, got {y}"),
        ("grad.conv#_input", {"input_size": (*x[:-1], 9)}, ValueError, "grad_output: expected shape (2, 6"),
        ("grad.conv#_input", {"input_size": (*x[:-1], 0)}, ValueError, "input_size: expected spatial sizes of at"),
        ("grad.conv#_input", {"weight": ones(*w, dtype=np.float64)}, TypeError,
         "weight: expected dtype float32 like grad_output, got float64"),
        ("grad.conv#_weight", {"weight_size": (6, 4, *kernel[1:], 4)}, ValueError, "grad_output: expected shape (2, 6"),
        ("grad.conv#_weight", {"weight_size": (5, 4, *kernel)}, ValueError, "grad_output: expected shape (2, 5"),
        ("grad.conv#_weight", {"weight_size": (6, 4, 0, *kernel[1:])}, ValueError, "weight_size: expected kernel size"),
        ("grad.conv#_weight", {"input": ones(1, *x[1:])}, ValueError, "grad_output: expected shape (1, 6"),
        ("grad.conv#_weight", {"input": ones(*x, dtype=np.float64)}, TypeError,
         "grad_output: expected dtype float64 like input, got float32"),
        ("grad.conv#_weight", {"input": ones(*x, dtype=np.int64)}, TypeError, f"input: expected dtype {FLOATS}, got"),
    ]  # fmt: skip
    for t in ("", "_transpose"):
        size = {"": x, "_transpose": y}[t]
        back = {"": y, "_transpose": x}[t]
        for d in ("input", "weight"):
            f = f"grad.conv{t}#_{d}"
            rows += [
                (f, {"grad_output": ones(*back[:-1], back[-1] + 1)}, ValueError,
                 f"grad_output: expected shape {back}, got {(*back[:-1], back[-1] + 1)}"),
                (f, {"grad_output": ones(*back[1:])}, ValueError, f"grad_output: expected shape {back}, got"),
                (f, {"grad_output": ones(2, 5, *back[2:])}, ValueError, f"grad_output: expected shape {back}, got (2,"),
                (f, {"grad_output": ones(*back)[None]}, ValueError, f"grad_output: expected {n + 2} dimensions, or"),
                (f, {"grad_output": ones(*back, dtype=np.complex64)}, TypeError, "grad_output: expected dtype float32"),
                (f, {"accumulate": True, "out": None}, ValueError,
                 "accumulate: expected False where `out` is not given, got True"),
                (f, {"stride": 2}, ValueError, "grad_output: expected shape"),
            ]  # fmt: skip
        rows += [
            (f"grad.conv{t}#_weight", {"per_sample": True}, ValueError, "out: expected None where per_sample is True"),
            (f"grad.conv{t}#_weight", {"per_sample": True, "accumulate": True}, ValueError,
             "out: expected None where per_sample is True"),
            (f"grad.conv{t}#_weight", {"per_sample": True, "accumulate": True, "out": None}, ValueError,
             "accumulate: expected False where `out` is not given, got True"),
            (f"grad.conv{t}#_input", {"input_size": (*size[:-1], 2**62)}, ValueError,
             f"input_size: expected an integer from 0 to 2147483647, got {2**62}"),
        ]  # fmt: skip
    return rows


def transposed(n: int) -> Table:
    kernel, s = (3,) * n, (6,) * n
    rows: Table = []
    for f, size, weight in (
        ("conv_transpose#", "input", "weight"), ("plan_conv_transpose#", "input_shape", "weight"),
        ("grad.conv_transpose#_input", "input_size", "weight"), ("grad.conv_transpose#_weight", "input", "weight_size"),
    ):  # fmt: skip

        def sized(*shape: int, name: str) -> Any:
            return ones(*shape) if name in ("input", "weight") else shape

        rows += [
            (f, {weight: sized(5, 4, *kernel, name=weight)}, ValueError,
             f"{weight}: expected 6 input channels, as {size} has, got 5"),
            (f, {size: sized(2, 0, *s, name=size)}, ValueError, f"{size}: expected at least one channel"),
            (f, {weight: sized(6, 0, *kernel, name=weight)}, ValueError, f"{weight}: expected at least one output"),
            (f, {"groups": 4}, ValueError, f"groups: 4 does not divide the 6 channels of {size}"),
            (f, {weight: sized(6, 4, *kernel[1:], 0, name=weight)}, ValueError, f"{weight}: expected kernel sizes"),
            (f, {size: sized(2, 6, *s[1:], 0, name=size)}, ValueError, f"{size}: expected spatial sizes of at least 1"),
            (f, {"output_padding": 1}, ValueError,
             "output_padding: expected less than stride 1 or dilation 1, got 1"),
            (f, {"output_padding": 2, "stride": 2}, ValueError,
             "output_padding: expected less than stride 2 or dilation 1, got 2"),
            (f, {"padding": 4}, ValueError,
             "padding: the output would have 0 elements along one axis; expected at least 1"),
            (f, {"padding": 2**31 - 1}, ValueError, "padding: the output would have -4294967286 elements along one"),
            (f, {"algorithm": "pointwise"}, ValueError, "algorithm: 'pointwise'"),
        ]  # fmt: skip
        if n > 1:
            rows.append((f, {"stride": 2**31 - 1}, ValueError, "stride: the output would have more than 2^58 elements"))
    return [
        *rows,
        ("conv_transpose#", {"weight": ones(6, *kernel)}, ValueError, f"weight: expected {n + 2} dimensions, two of"),
        ("conv_transpose#", {"input": ones(*s[1:])}, ValueError, f"input: expected {n + 2} dimensions, or {n + 1}"),
        ("conv_transpose#", {"bias": ones(6)}, ValueError, "bias: expected shape (4,), got (6,)"),
        ("conv_transpose#", {"bias": ones(4, dtype=np.float64)}, TypeError, "bias: expected dtype float32 like input"),
        ("conv_transpose#", {"input": ones(2, 6, *s, dtype=np.int8)}, TypeError, f"input: expected dtype {FLOATS}, go"),
        ("conv_transpose#", {"input": ones(2, 6, *s, dtype=np.complex64)}, TypeError, "input: expected dtype float32"),
        ("conv_transpose#", {"weight": ones(6, 4, *kernel, dtype=np.float64)}, TypeError,
         "weight: expected dtype float32 like input, got float64"),
        ("conv_transpose#", {"residual": ones(2, 6, *s)}, ValueError, "residual: expected the result's shape (2, 4"),
    ]  # fmt: skip


def table(n: int) -> Table:
    return [*common(n), *gradients(n), *transposed(n)]


X, W, Y = ones(2, 4, 8, 8), ones(6, 4, 3, 3), ones(2, 6, 6, 6)
COMPLEX = {"input": X.astype(np.complex64), "weight": W.astype(np.complex64), "bias": None, "out": None}
BYTES = {"input": X.astype(np.int8), "weight": W.astype(np.int8), "bias": None, "out": None}
TWICE = np.lib.stride_tricks.as_strided(np.zeros(7, np.complex64), (2, 6, 6, 6), (0, 0, 0, 8))
MEMORY = np.zeros(1000, np.float32)
OTHERS: Table = [
    # activations with a parameter
    ("conv2d", {"activation": ("relu", 1.0)}, ValueError, "activation: 'relu' takes no parameter, got 1.0"),
    ("conv2d", {"activation": ("leaky_relu", "a")}, TypeError, "activation: expected a number, got"),
    ("conv2d", {"activation": ("leaky_relu", True)}, TypeError, "activation: expected a number, got"),
    ("conv2d", {"activation": ("leaky_relu", float("nan"))}, ValueError, "activation: expected a finite parameter of"),
    ("conv2d", {"activation": ("leaky_relu", 10**400)}, ValueError, "activation: expected a finite parameter of"),
    ("conv2d", {"residual": MEMORY[1:433].reshape(Y.shape), "out": MEMORY[:432].reshape(Y.shape)}, ValueError,
     "residual: expected `out` itself, or memory that `out` does not share"),
    ("conv2d", {"strides": 2}, TypeError, "conv2d() got an unexpected keyword argument 'strides'"),
    # complex numbers
    ("conv2d", COMPLEX | {"weight": W}, TypeError, "weight: expected dtype complex64 like input, got float32"),
    ("conv2d", COMPLEX | {"input": X}, TypeError, "input: expected dtype complex64 or complex128 like other arrays"),
    ("conv2d", COMPLEX | {"input": X.astype(np.clongdouble)}, TypeError, f"input: expected dtype {ANY}, got complex25"),
    ("conv2d", COMPLEX | {"weight": W.astype(np.complex128)}, TypeError, "weight: expected dtype complex64 like input"),
    ("conv2d", COMPLEX | {"weight": W.tolist()}, TypeError, "weight: expected an array, got list"),
    ("conv2d", COMPLEX | {"bias": ones(6)}, TypeError, "bias: expected dtype complex64 like input, got float32"),
    ("conv2d", COMPLEX | {"activation": "relu"}, ValueError, "activation: complex results take none, got 'relu'"),
    ("conv2d", COMPLEX | {"residual": Y.astype(np.complex64)}, ValueError, "residual: complex results take none"),
    ("conv2d", COMPLEX | {"out": Y}, TypeError, "out: expected dtype complex64, got float32"),
    ("conv2d", COMPLEX | {"out": Y[0].astype(np.complex64)}, ValueError, "out: expected shape (2, 6, 6, 6), got (6, 6"),
    ("conv2d", COMPLEX | {"out": np.broadcast_to(np.complex64(1), Y.shape)}, ValueError, "out: expected a writable"),
    ("conv2d", COMPLEX | {"out": TWICE}, ValueError, "out: its elements overlap one another in memory"),
    ("conv2d", COMPLEX | {"padding": -1}, ValueError, "padding: expected an integer from 0 to 2147483647, got -1"),
    # integers
    ("conv2d", BYTES | {"weight": W}, TypeError, "weight: expected dtype int8 or uint8, got float32"),
    ("conv2d", BYTES | {"bias": ones(6)}, TypeError, "bias: expected dtype int32, got float32"),
    ("conv2d", BYTES | {"activation": "relu"}, ValueError, "activation: convolutions of integers take none, got 'relu"),
    ("conv2d", BYTES | {"residual": Y}, ValueError, "residual: convolutions of integers take none"),
    ("conv2d", BYTES | {"out": Y}, TypeError, "out: expected dtype int32, got float32"),
    ("conv2d", BYTES | {"padding_mode": "reflect"}, ValueError, "padding_mode: convolutions of integers take 'zeros'"),
    ("conv2d", BYTES | {"padding": 1, "padding_mode": "mirror"}, ValueError, "padding_mode: expected 'zeros', 'reflec"),
    # the gradient of a bias
    ("grad.conv_bias", {"grad_output": ones(6)}, ValueError, "grad_output: expected 3 dimensions, or 2 without a batc"),
    ("grad.conv_bias", {"grad_output": ones(2, 6, 4, 4, 4, 4)}, ValueError, "grad_output: expected 5 dimensions, or 4"),
    ("grad.conv_bias", {"grad_output": ones(2, 0, 4, 4)}, ValueError, "grad_output: expected at least one channel"),
    ("grad.conv_bias", {"grad_output": ones(2, 5, 4, 4)}, ValueError, "out: expected shape (5,), got (6,)"),
    ("grad.conv_bias", {"grad_output": ones(2, 6, 4, 4, dtype=int)}, TypeError, "grad_output: expected dtype float32"),
    ("grad.conv_bias", {"layout": "NWC"}, ValueError, "grad_output: expected 3 dimensions, or 2 without a batch"),
    ("grad.conv_bias", {"layout": "HWCN"}, ValueError, "layout: expected 'NCHW', 'NHWC' or None, got 'HWCN'"),
    ("grad.conv_bias", {"layout": ""}, ValueError, "layout: expected 'NCHW', 'NHWC' or None, got ''"),
    # plans
    ("plan_conv2d", {"bias": ones(5)}, ValueError, "bias: expected shape (6,), got (5,)"),
    ("plan_conv2d", {"weight": W.astype(np.int8)}, TypeError, f"weight: expected dtype {FLOATS}, got int8"),
    ("plan_conv2d", {"weight": W.astype(np.complex64)}, TypeError, f"weight: expected dtype {FLOATS}, got complex64"),
    ("plan_conv2d", {"input_shape": (2, None, 8, 8)}, TypeError, "input_shape: expected an integer, got None"),
    ("a plan", {"input": X[0]}, ValueError, "input: expected shape (2, 4, 8, 8), as the plan was made for, got (4, 8"),
    ("a plan", {"input": X[:1]}, ValueError, "input: expected shape (2, 4, 8, 8), as the plan was made for, got (1, 4"),
    ("a plan", {"input": X.astype(np.float64)}, TypeError, "input: expected dtype float32 like the plan's weight, got"),
    ("a plan", {"residual": X}, ValueError, "residual: expected the result's shape (2, 6, 6, 6), got (2, 4, 8, 8)"),
    ("a plan", {"residual": Y.astype(np.float64)}, TypeError, "residual: expected dtype float32 like input, got"),
    ("a plan", {"stride": 1}, TypeError, "a plan takes the keyword arguments 'out' and 'residual', got 'stride'"),
    ("an update", {"weight": W[:5]}, ValueError, "weight: expected shape (6, 4, 3, 3), got (5, 4, 3, 3)"),
    ("an update", {"weight": W.astype(np.float64)}, TypeError, "weight: expected dtype float32"),
    ("an update", {"bias": None}, ValueError, "bias: the plan has one, got None"),
    ("an update", {"bias": ones(5)}, ValueError, "bias: expected shape (6,), got (5,)"),
    ("an update", {"bias": ones(6, dtype=np.float64)}, TypeError, "bias: expected dtype float32"),
    # streams
    ("CausalConv1d", {"weight": ones(6, 4)}, ValueError, "weight: expected 3 dimensions (out, in / groups, kernel), g"),
    ("CausalConv1d", {"weight": ones(6, 4, 0)}, ValueError, "weight: expected kernel sizes of at least 1, got 0"),
    ("CausalConv1d", {"weight": ones(6, 4, 3, dtype=np.int8)}, TypeError, f"weight: expected dtype {FLOATS}, got int8"),
    ("CausalConv1d", {"bias": ones(5)}, ValueError, "bias: expected shape (6,), got (5,)"),
    ("CausalConv1d", {"groups": 4}, ValueError, "groups: 4 does not divide the 6 output channels of weight"),
    ("a stream", {"input": ones(2, 4, 5, dtype=np.float64)}, TypeError, "input: expected dtype float32 like the strea"),
    ("a stream", {"input": ones(2, 3, 5)}, ValueError, "input: expected shape (N, 4, L) or (4, L), got (2, 3, 5)"),
    ("a stream", {"input": ones(4)}, ValueError, "input: expected shape (N, 4, L) or (4, L), got (4,)"),
    ("a stream", {"input": ones(1, 4, 5)}, ValueError, "input: expected shape (2, 4, L) as that of the chunks before"),
    ("a stream", {"input": ones(4, 5)}, ValueError, "input: expected shape (2, 4, L) as that of the chunks before"),
    # explanations
    ("explain", {"op": "conv4d"}, ValueError, "op: expected one of 'conv2d', 'conv2d_input'"),
    ("explain", {"device": "gpu"}, ValueError, "device: expected 'cpu' or 'cuda', got 'gpu'"),
    ("explain", {"op": None}, TypeError, "op: expected a string, got NoneType"),
    ("explain", {"op": []}, TypeError, "op: expected a string, got list"),
    ("explain", {"output_padding": 1}, ValueError, "output_padding: transposed convolutions alone take one, got 1"),
    ("explain", {"op": "conv_transpose2d", "weight_shape": (4, 6, 3, 3), "padding_mode": "circular"}, ValueError,
     "padding_mode: transposed convolutions take 'zeros' alone"),
    ("explain", {"weight_shape": (6, 3, 3, 3)}, ValueError,
     "weight_shape: expected 4 input channels a group (input_shape has"),
]  # fmt: skip
