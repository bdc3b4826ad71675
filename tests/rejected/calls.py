"""One good call of each public function, from which every rejected one differs in what its entry says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import konv

DIMS = (1, 2, 3)
LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


@dataclass(frozen=True)
class Call:
    function: Callable[..., Any]
    n: int  # spatial dimensions
    make: Callable[[], dict[str, Any]]  # fresh arguments by name

    @property
    def arguments(self) -> tuple[str, ...]:
        parameters = inspect.signature(self.function).parameters.values()
        return (
            tuple(self.make())
            if any(p.kind is p.VAR_KEYWORD for p in parameters)
            else tuple(p.name for p in parameters)
        )


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def planned(**arguments: Any) -> Any:
    """Call a plan of a two-dimensional convolution."""
    plan = konv.plan_conv2d(ones(6, 4, 3, 3), ones(6), input_shape=(2, 4, 8, 8))
    return plan(arguments.pop("input"), **arguments)


def updated(**arguments: Any) -> Any:
    """Give such a plan other weights."""
    return konv.plan_conv2d(ones(6, 4, 3, 3), ones(6), input_shape=(2, 4, 8, 8)).update(**arguments)


def streamed(**arguments: Any) -> Any:
    """Feed a stream its second chunk."""
    stream = konv.CausalConv1d(ones(6, 4, 3))
    stream(ones(2, 4, 5))
    return stream(arguments.pop("input"), **arguments)


def _convolutions(n: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """An image of 8 elements each way, 4 channels, 6 outputs, a kernel of 3."""
    d, x, w, y = f"{n}d", (2, 4) + (8,) * n, (6, 4) + (3,) * n, (2, 6) + (6,) * n
    forward = lambda: {"input": ones(*x), "weight": ones(*w), "bias": ones(6), "out": ones(*y)}  # noqa: E731
    back = lambda: {"input": ones(*y), "weight": ones(*w), "bias": ones(4), "out": ones(*x)}  # noqa: E731
    return {
        f"conv{d}": forward,
        f"conv_transpose{d}": back,
        f"plan_conv{d}": lambda: {"weight": ones(*w), "bias": ones(6), "input_shape": x},
        f"plan_conv_transpose{d}": lambda: {"weight": ones(*w), "bias": ones(4), "input_shape": y},
        f"grad.conv{d}_input": lambda: {
            "input_size": x, "weight": ones(*w), "grad_output": ones(*y), "out": ones(*x)},
        f"grad.conv{d}_weight": lambda: {
            "input": ones(*x), "weight_size": w, "grad_output": ones(*y), "out": ones(*w)},
        f"grad.conv_transpose{d}_input": lambda: {
            "input_size": y, "weight": ones(*w), "grad_output": ones(*x), "out": ones(*y)},
        f"grad.conv_transpose{d}_weight": lambda: {
            "input": ones(*y), "weight_size": w, "grad_output": ones(*x), "out": ones(*w)},
    }  # fmt: skip


def _poolings(n: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """An image of 8 elements each way in windows of 2, and the way back."""
    d, x, y = f"{n}d", (2, 3) + (8,) * n, (2, 3) + (4,) * n
    pool = lambda: {"input": ones(*x), "kernel_size": 2, "out": ones(*y)}  # noqa: E731
    indices = lambda: np.zeros(y, np.int64)  # noqa: E731
    by_index = lambda: {"grad_output": ones(*y), "indices": indices(), "input_size": x, "out": ones(*x)}  # noqa: E731
    parts = lambda: {"input": ones(*x), "output_size": 4, "out": ones(*y)}  # noqa: E731
    return {
        f"max_pool{d}": pool,
        f"avg_pool{d}": pool,
        f"lp_pool{d}": lambda: {"norm_type": 2, **pool()},
        f"adaptive_max_pool{d}": parts,
        f"adaptive_avg_pool{d}": parts,
        f"max_unpool{d}": lambda: {
            "input": ones(*y), "indices": indices(), "kernel_size": 2, "out": ones(*x)},
        f"grad.max_pool{d}": by_index,
        f"grad.adaptive_max_pool{d}": by_index,
        f"grad.max_unpool{d}": lambda: {
            "grad_output": ones(*x), "indices": indices(), "input_size": y, "out": ones(*y)},
        f"grad.avg_pool{d}": lambda: {
            "grad_output": ones(*y), "input_size": x, "kernel_size": 2, "out": ones(*x)},
        f"grad.lp_pool{d}": lambda: {
            "grad_output": ones(*y), "input": ones(*x), "norm_type": 2, "kernel_size": 2, "out": ones(*x)},
        f"grad.adaptive_avg_pool{d}": lambda: {
            "grad_output": ones(*y), "input_size": x, "out": ones(*x)},
    }  # fmt: skip


def _bytes() -> dict[str, Any]:
    return {
        "input": ones(2, 4, 8, 8, dtype=np.uint8), "input_zero_point": 1,
        "weight": ones(6, 4, 3, 3, dtype=np.int8), "weight_zero_point": 0,
    }  # fmt: skip


_OTHERS: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
    "grad.conv_bias": (2, lambda: {"grad_output": ones(2, 6, 4, 4), "out": ones(6)}),
    "grad.activation": (
        2, lambda: {"name": "silu", "grad_output": ones(2, 3), "preactivation": ones(2, 3), "out": ones(2, 3)},
    ),
    "conv2d_int": (2, lambda: {**_bytes(), "out": ones(2, 6, 6, 6, dtype=np.int32)}),
    "conv2d_qlinear": (
        2,
        lambda: {
            **_bytes(), "input_scale": 1.0, "weight_scale": 1.0, "output_scale": 1.0, "output_zero_point": 0,
            "bias": ones(6, dtype=np.int32), "out": ones(2, 6, 6, 6, dtype=np.uint8),
        },
    ),
    "unfold": (2, lambda: {"input": ones(2, 3, 5, 5), "kernel_size": (2, 2), "out": ones(2, 12, 16)}),
    "fold": (
        2,
        lambda: {"input": ones(2, 12, 16), "output_size": (5, 5), "kernel_size": (2, 2), "out": ones(2, 3, 5, 5)},
    ),
    "CausalConv1d": (1, lambda: {"weight": ones(6, 4, 3), "bias": ones(6)}),
    "explain": (2, lambda: {"op": "conv2d", "input_shape": (2, 4, 8, 8), "weight_shape": (6, 4, 3, 3)}),
}  # fmt: skip


def _calls() -> dict[str, Call]:
    named = {name: (n, make) for n in DIMS for name, make in {**_convolutions(n), **_poolings(n)}.items()}
    calls = {}
    for name, (n, make) in {**named, **_OTHERS}.items():
        home = konv.grad if name.startswith("grad.") else konv
        calls[name] = Call(getattr(home, name.removeprefix("grad.")), n, make)
    return calls | {
        "a plan": Call(planned, 2, lambda: {"input": ones(2, 4, 8, 8), "out": ones(2, 6, 6, 6)}),
        "an update": Call(updated, 2, lambda: {"weight": ones(6, 4, 3, 3), "bias": ones(6)}),
        "a stream": Call(streamed, 1, lambda: {"input": ones(2, 4, 5), "out": ones(2, 6, 5)}),
    }


CALLS = _calls()
