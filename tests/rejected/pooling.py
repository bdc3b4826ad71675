"""What pooling, unpooling, folding and quantised convolutions refuse beyond the rules for single arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.rejected.calls import ones
from tests.rejected.convolution import FLOATS, Table

ORDERED = "float32, float64, float16, bfloat16, int8, uint8, int16, int32, int64 or bool"


def table(n: int) -> Table:
    x, y = (2, 3) + (8,) * n, (2, 3) + (4,) * n
    ranks = f"expected {n + 2} dimensions, or {n + 1} without a batch, got shape"
    plane = 8**n
    rows: Table = []
    for f in ("max_pool#", "avg_pool#", "lp_pool#", "adaptive_max_pool#", "adaptive_avg_pool#"):
        rows += [
            (f, {"input": ones(*x)[0, 0]}, ValueError, f"input: {ranks}" if n > 1 else "input: expected 3 dimensions"),
            (f, {"input": ones(*x)[None]}, ValueError, f"input: {ranks}"),
            (f, {"input": ones(2, 0, *x[2:])}, ValueError, "input: expected at least one channel"),
            (f, {"input": ones(*x[:-1], 0)}, ValueError, "input: expected spatial sizes of at least 1"),
            (f, {"input": ones(*x)[0]}, ValueError, f"out: expected shape {y[1:]}, got {y}"),
            (f, {"input": ones(*x, dtype=np.complex64)}, TypeError, "input: expected dtype float32, float64"),
        ]  # fmt: skip
    for f in ("max_pool#", "adaptive_max_pool#"):
        rows.append(
            (f, {"input": ones(*x, dtype=np.uint16)}, TypeError, f"input: expected dtype {ORDERED}, got uint16")
        )
    for f in ("lp_pool#", "adaptive_avg_pool#"):
        rows.append((f, {"input": ones(*x, dtype=np.int64)}, TypeError, f"input: expected dtype {FLOATS}, got int64"))
    for kind in (np.uint8, np.int32, bool):
        rows.append(("avg_pool#", {"input": ones(*x, dtype=kind)}, TypeError, "input: expected dtype float32, float64"))
    for f in ("max_pool#", "avg_pool#", "lp_pool#", "grad.avg_pool#", "grad.lp_pool#"):
        rows += [
            (f, {"kernel_size": 9}, ValueError,
             "kernel_size: a kernel of 9 with dilation 1 spans 9 elements, but the padded input has 8"),
            (f, {"kernel_size": 2**31 - 1}, ValueError, "kernel_size: input and kernel span 2147483655 elements along"),
            (f, {"kernel_size": 9, "stride": 1, "ceil_mode": True}, ValueError, "kernel_size: a kernel of 9 with dila"),
        ]  # fmt: skip
    for f in ("max_pool#", "avg_pool#", "grad.avg_pool#"):
        rows += [
            (f, {"padding": 2}, ValueError, "padding: expected at most half of kernel_size (2), got 2"),
            (f, {"padding": ((0, 0),) * (n - 1) + ((0, 2),)}, ValueError, "padding: expected at most half of kernel_s"),
            (f, {"padding": 2, "convention": "onnx"}, ValueError, "padding: expected less than kernel_size (2), got 2"),
            (f, {"padding": 2, "convention": "tf"}, ValueError, "padding: expected less than kernel_size (2), got 2"),
            (f, {"convention": "tf", "ceil_mode": True}, ValueError,
             "ceil_mode: expected False with convention='tf', whose windows 'same' and 'valid' describe"),
        ]  # fmt: skip
    rows.append(
        ("max_pool#", {"dilation": 8}, ValueError, "kernel_size: a kernel of 2 with dilation 8 spans 9 elements")
    )
    for f in ("avg_pool#", "grad.avg_pool#"):
        rows += [
            (f, {"divisor_override": 0}, ValueError, "divisor_override: expected a number other than 0, got 0"),
            (f, {"divisor_override": 2.5}, TypeError, "divisor_override: expected an integer, got 2.5"),
            (f, {"divisor_override": True}, TypeError, "divisor_override: expected an integer, got True"),
            (f, {"divisor_override": 2**31}, ValueError,
             "divisor_override: expected an integer from -2147483648 to 2147483647, got 2147483648"),
        ]  # fmt: skip
    for f in ("lp_pool#", "grad.lp_pool#"):
        for value in (0, -1.5, float("inf"), float("nan"), 10**400):
            rows.append(
                (f, {"norm_type": value}, ValueError, f"norm_type: expected a positive finite number, got {value}")
            )
        for value in (True, "2", None, (2,), 1j):
            rows.append((f, {"norm_type": value}, TypeError, f"norm_type: expected a number, got {value!r}"))
    for f in ("adaptive_max_pool#", "adaptive_avg_pool#"):
        for value in (-1, 2**31, 2**64):
            rows.append((f, {"output_size": value}, ValueError,
                         f"output_size: expected an integer from 0 to 2147483647, got {value}"))  # fmt: skip
        for value in (2.0, True, "2", np.ones(1)):
            rows.append((f, {"output_size": value}, TypeError, f"output_size: expected an integer, got {value!r}"))
        for value in ((), (1,) * (n + 1)):
            rows.append((f, {"output_size": value}, ValueError,
                         f"output_size: expected an integer, None or {n} of them, got {value}"))  # fmt: skip
        rows.append((f, {"output_size": 3}, ValueError, f"out: expected shape {(2, 3) + (3,) * n}, got {y}"))
    # what takes indices
    for f, array, where, last in (
        ("grad.max_pool#", "grad_output", "a plane of input_size", plane - 1),
        ("grad.adaptive_max_pool#", "grad_output", "a plane of input_size", plane - 1),
        ("max_unpool#", "input", "the output", plane - 1),
        ("grad.max_unpool#", "grad_output", "a plane of grad_output", plane - 1),
    ):  # fmt: skip
        for index in (-1, plane, 2**62, -(2**63)):
            indices = np.zeros(y, np.int64)
            indices[(1, 2) + (3,) * n] = index
            rows.append(
                (
                    f,
                    {"indices": indices},
                    ValueError,
                    f"indices: expected values from 0 to {last}, the last element of {where}; got {index}",
                )
            )
            if f != "max_unpool#":
                rows.append((f, {"indices": indices, "out": None}, ValueError, "indices: expected values from 0 to"))
        zeros = np.zeros(y, np.int64)
        rows += [
            (f, {"indices": zeros[..., :3].copy()}, ValueError, f"indices: expected shape {y}, got {(*y[:-1], 3)}"),
            (f, {"indices": zeros[0]}, ValueError, f"indices: expected shape {y}, got {y[1:]}"),
            (f, {"indices": zeros.astype(np.int32)}, TypeError, "indices: expected dtype int64, got int32"),
            (f, {"indices": zeros.astype(float)}, TypeError, "indices: expected dtype int64, got float64"),
            (f, {array: np.zeros((2, 3) + (8,) * n if "unpool" in f and "grad" in f else y, np.int64)}, TypeError,
             f"{array}: expected dtype {FLOATS}, got int64"),
        ]  # fmt: skip
    for f in ("grad.max_pool#", "grad.adaptive_max_pool#", "grad.max_unpool#", "grad.adaptive_avg_pool#"):
        good = y if f == "grad.max_unpool#" else x
        same = "input_size: expected the batch and channels of grad_output, whose shape is"
        rows += [
            (f, {"input_size": (1, *good[1:])}, ValueError, same),
            (f, {"input_size": (2, 4, *good[2:])}, ValueError, same),
            (f, {"input_size": good[1:]}, ValueError, same),
            (f, {"input_size": (*good[:-1], 0)}, ValueError, "input_size: expected spatial sizes of at least 1"),
        ]  # fmt: skip
    for f, name in (("grad.avg_pool#", "input_size"), ("grad.lp_pool#", "input")):
        for shape in ((*x[:-1], 12), (1, *x[1:]), x[1:]):
            value: Any = shape if name == "input_size" else ones(*shape)
            rows.append((f, {name: value}, ValueError, "grad_output: expected shape"))
        rows.append((f, {name: (*x[:-1], 0) if name == "input_size" else ones(*x[:-1], 0)}, ValueError,
                     f"{name}: expected spatial sizes of at least 1"))  # fmt: skip
        rows.append((f, {"grad_output": ones(*y)[None]}, ValueError, f"grad_output: {ranks}"))
    rows.append(("grad.lp_pool#", {"input": ones(*x, dtype=np.float64)}, TypeError,
                 "input: expected dtype float32 like grad_output, got float64"))  # fmt: skip
    rows += [
        ("max_unpool#", {"kernel_size": 1, "stride": 1, "padding": 3}, ValueError,
         "kernel_size: windows of 1, 1 apart with padding 3, make -2 elements of 4"),
        ("max_unpool#", {"output_size": 8}, TypeError, "output_size: expected a tuple of integers or None, got 8"),
        ("max_unpool#", {"output_size": (6,) * n}, ValueError, "output_size: expected sizes between 6 and 10, these"),
        ("max_unpool#", {"output_size": (2, 3) + (10,) * n}, ValueError, "output_size: expected sizes between 6 and 1"),
        ("max_unpool#", {"output_size": (8,) * (n + 1)}, ValueError, f"output_size: expected an integer or {n} of the"),
        ("max_unpool#", {"output_size": (8.0,) * n}, TypeError, "output_size: expected an integer, got 8.0"),
        ("max_unpool#", {"output_size": (1, 3) + (8,) * n}, ValueError, "output_size: expected the batch and channels"),
        ("max_unpool#", {"output_size": (2, 4) + (8,) * n}, ValueError, "output_size: expected the batch and channels"),
    ]  # fmt: skip
    return rows


IMAGE, COLUMNS = ones(2, 3, 5, 5), ones(2, 12, 16)
SPANS = "kernel_size: 6 elements with dilation 1 span 6, but the padded"
OTHERS: Table = [
    ("unfold", {"input": IMAGE.astype(np.complex64)}, TypeError, "input: expected dtype float32, float64"),
    ("unfold", {"input": ones(3)}, ValueError, "input: expected 4 dimensions, or 3 without a batch, got shape (3,)"),
    ("unfold", {"input": IMAGE[:, :0]}, ValueError, "input: expected at least one channel"),
    ("unfold", {"input": IMAGE[..., :0].copy(), "padding": 2}, ValueError, "input: expected spatial sizes of at least"),
    ("unfold", {"kernel_size": 0}, ValueError, "kernel_size: expected an integer from 1 to 2147483647, got 0"),
    ("unfold", {"kernel_size": (2, 2.0)}, TypeError, "kernel_size: expected an integer, got 2.0"),
    ("unfold", {"kernel_size": (1,) * 4, "input": IMAGE[None]}, ValueError, "kernel_size: expected an integer or 3 of"),
    ("unfold", {"kernel_size": (6, 6)}, ValueError, f"{SPANS} input has 5"),
    ("unfold", {"dilation": 5}, ValueError, "kernel_size: 2 elements with dilation 5 span 6, but the padded input has"),
    ("unfold", {"padding": 2**31 - 1}, ValueError, "kernel_size: there would be more than 2^58 elements"),
    ("unfold", {"layout": "NCDHW"}, ValueError, "kernel_size: expected an integer or 3 of them, got (2, 2)"),
    ("unfold", {"layout": "HWCN"}, ValueError, "layout: expected 'NCHW', 'NHWC' or None, got 'HWCN'"),
    ("unfold", {"layout": ""}, ValueError, "layout: expected 'NCHW', 'NHWC' or None, got ''"),
    ("fold", {"input": COLUMNS > 0}, TypeError, "input: expected dtype float32, float64"),
    ("fold", {"input": IMAGE}, ValueError, "input: expected shape (N, C * kernel elements, windows), or without N, go"),
    ("fold", {"input": COLUMNS[:, :7].copy()}, ValueError, "input: expected a multiple of the kernel's 4 elements as"),
    ("fold", {"input": COLUMNS[:, :0]}, ValueError, "input: expected a multiple of the kernel's 4 elements as channel"),
    ("fold", {"input": COLUMNS[:, :, :15].copy()}, ValueError, "input: expected 16 windows of output_size, got shape"),
    ("fold", {"output_size": (5, 0)}, ValueError, "output_size: expected an integer from 1 to 2147483647, got 0"),
    ("fold", {"output_size": (5, 5.0)}, TypeError, "output_size: expected an integer, got 5.0"),
    ("fold", {"output_size": None}, TypeError, "output_size: expected an integer, got None"),
    ("fold", {"kernel_size": (6, 6)}, ValueError, f"{SPANS} output_size has 5"),
    ("fold", {"layout": "HWCN"}, ValueError, "layout: expected 'NCHW', 'NHWC' or None, got 'HWCN'"),
    ("fold", {"layout": "NWC"}, ValueError, "output_size: expected an integer or 1 of them, got (5, 5)"),
]  # fmt: skip


def _quantised() -> Table:
    rows: Table = []
    for f, output in (("conv2d_int", False), ("conv2d_qlinear", True)):
        rows += [
            (f, {"input": ones(2, 4, 8, 8)}, TypeError, "input: expected dtype int8 or uint8, got float32"),
            (f, {"weight": ones(6, 4, 3, 3, dtype=np.int16)}, TypeError, "weight: expected dtype int8 or uint8, got i"),
            (f, {"weight": ones(6, 3, 3, 3, dtype=np.int8)}, ValueError, "weight: expected 4 input channels a group"),
            (f, {"input": ones(8, 8, dtype=np.int8)}, ValueError, "input: expected 4 dimensions, or 3 without a batch"),
            (f, {"weight": ones(6, 4, 9, 3, dtype=np.int8)}, ValueError, "weight: a kernel of 9 with dilation 1 spans"),
            (f, {"groups": 3}, ValueError, "groups: 3 does not divide the 4 channels of input"),
        ]  # fmt: skip
        for name, low, dtype, of in (
            ("input_zero_point", 0, np.uint8, "input is uint8"), ("weight_zero_point", -128, np.int8, "weight is int8"),
            *([("output_zero_point", 0, np.uint8, "the output is uint8")] if output else []),
        ):  # fmt: skip
            for value in (low - 1, low + 256, 2**40, 2**70, 10**400):
                text = f"{name}: expected integers from {low} to {low + 255}, as {of}, got {value}"
                rows.append((f, {name: value}, ValueError, text))
            for value in (1.0, True, np.float32(1), np.True_):
                rows.append((f, {name: value}, TypeError, f"{name}: expected an integer, got {value!r}"))
            many = name == "weight_zero_point"
            rows += [
                (f, {name: "1"}, TypeError, f"{name}: expected an array, got str"),
                (f, {name: None}, TypeError, f"{name}: expected an array, got NoneType"),
                (f, {name: [0]}, TypeError, f"{name}: expected an array, got list"),
                (f, {name: np.zeros(1)}, TypeError, f"{name}: expected dtype int8, uint8, int16, int32 or int64, got"),
                (f, {name: np.zeros(3, dtype)}, ValueError,
                 f"{name}: expected one value{' or one an output channel' if many else ''}, got shape (3,)"),
                (f, {name: np.zeros((1, 1), dtype)}, ValueError, f"{name}: expected one value"),
            ]  # fmt: skip
    for name in ("input_scale", "weight_scale", "output_scale"):
        for value in (0, -1.0, float("nan"), float("inf"), 1e300, 1e-300, 10**400):
            rows.append(("conv2d_qlinear", {name: value}, ValueError,
                         f"{name}: expected positive finite float32 numbers, got {value}"))  # fmt: skip
        for value in (True, np.True_, np.complex64(1), np.datetime64("2000")):
            rows.append(("conv2d_qlinear", {name: value}, TypeError, f"{name}: expected a number, got {value!r}"))
        rows += [
            ("conv2d_qlinear", {name: "1"}, TypeError, f"{name}: expected an array, got str"),
            ("conv2d_qlinear", {name: np.ones(1, int)}, TypeError, f"{name}: expected dtype float32, float64 or float"),
            ("conv2d_qlinear", {name: np.ones(5)}, ValueError, f"{name}: expected one value"),
        ]  # fmt: skip
    return [
        *rows,
        ("conv2d_qlinear", {"weight_scale": np.array([1, 1, 1, 1, 1, -1.0])}, ValueError,
         "weight_scale: expected positive finite float32 numbers, got"),
        ("conv2d_qlinear", {"output_scale": 1e-40}, ValueError,
         "output_scale: input_scale * weight_scale / output_scale overflows float32"),
        ("conv2d_qlinear", {"bias": ones(6)}, TypeError, "bias: expected dtype int32, got float32"),
        ("conv2d_qlinear", {"bias": ones(5, dtype=np.int32)}, ValueError, "bias: expected shape (6,), got (5,)"),
        ("conv2d_qlinear", {"output_zero_point": np.int8(3)}, TypeError, "out: expected dtype int8, got uint8"),
    ]  # fmt: skip


QUANTISED = _quantised()
