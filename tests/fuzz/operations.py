"""The table: every operation, how a call of it is drawn, and what is special about the call. One line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import konv
from tests.fuzz import convolution as conv
from tests.fuzz import features, pooling
from tests.fuzz.draw import Draw
from tests.fuzz.trial import Trial

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}


def planned(make: Callable[..., Any], **arguments: Any) -> Any:
    """Call a plan that is made for the input's shape."""
    latest = {name: arguments.pop(name) for name in ("residual", "out") if name in arguments}
    x = arguments.pop("input")
    return make(input_shape=x.shape, **arguments)(x, **latest)


def streamed(make: Callable[..., Any], **arguments: Any) -> Any:
    """Feed a stream piece by piece."""
    x, cuts = arguments.pop("input"), arguments.pop("cuts")
    axis = -2 if arguments.get("layout") == "NWC" else -1
    stream = make(**arguments)
    return np.concatenate([stream(piece) for piece in np.split(x, cuts, axis)], axis)


@dataclass(frozen=True)
class Operation:
    name: str
    dims: int
    draw: Callable[[Draw], Trial]
    call: Callable[..., Any] | None = None  # with the function first, where it is not called at once
    image: bool = True  # whether the result has the layout of the input
    layouts: bool = True  # whether channels may come last
    broken: bool = True  # whether one argument may be spoilt: not where a call is more than one
    free: frozenset[str] = frozenset()  # arrays whose shape no other argument settles

    @property
    def function(self) -> Callable[..., Any]:
        found = features.function(self.name)
        assert found is not None
        return found if self.call is None else partial(self.call, found)


def _operations(n: int) -> list[Operation]:
    """Those of `n` spatial dimensions."""
    d, pool = f"{n}d", frozenset({"grad_output"})
    return [
        Operation(f"conv{d}", n, conv.convolution(n, f"conv{d}")),
        Operation(f"grad.conv{d}_input", n, conv.convolution_gradient(n, f"grad.conv{d}_input", "input")),
        Operation(
            f"grad.conv{d}_weight", n, conv.convolution_gradient(n, f"grad.conv{d}_weight", "weight"), image=False
        ),
        Operation(f"plan_conv{d}", n, conv.convolution(n, f"conv{d}"), planned, broken=False),
        Operation(f"conv{d}_int", n, conv.integers(n, scaled=False)),
        Operation(f"conv{d}_qlinear", n, conv.integers(n, scaled=True)),
        Operation(f"conv_transpose{d}", n, conv.transposed(n, f"conv_transpose{d}", "output")),
        Operation(
            f"plan_conv_transpose{d}", n, conv.transposed(n, f"conv_transpose{d}", "output"), planned, broken=False
        ),
        Operation(f"grad.conv_transpose{d}_input", n, conv.transposed(n, f"grad.conv_transpose{d}_input", "input")),
        Operation(
            f"grad.conv_transpose{d}_weight", n, conv.transposed(n, f"grad.conv_transpose{d}_weight", "weight"),
            image=False,
        ),
        Operation(f"max_pool{d}", n, pooling.max_pool(n)),
        Operation(f"grad.max_pool{d}", n, pooling.max_pool_gradient(n)),
        Operation(f"avg_pool{d}", n, pooling.avg_pool(n, backward=False)),
        Operation(f"grad.avg_pool{d}", n, pooling.avg_pool(n, backward=True)),
        Operation(f"lp_pool{d}", n, pooling.lp_pool(n, backward=False)),
        Operation(f"grad.lp_pool{d}", n, pooling.lp_pool(n, backward=True)),
        Operation(f"adaptive_avg_pool{d}", n, pooling.adaptive(n, "avg", backward=False)),
        Operation(f"grad.adaptive_avg_pool{d}", n, pooling.adaptive(n, "avg", backward=True), free=pool),
        Operation(f"adaptive_max_pool{d}", n, pooling.adaptive(n, "max", backward=False)),
        Operation(f"grad.adaptive_max_pool{d}", n, pooling.adaptive(n, "max", backward=True)),
        Operation(f"max_unpool{d}", n, pooling.max_unpool(n, backward=False)),
        Operation(f"grad.max_unpool{d}", n, pooling.max_unpool(n, backward=True), free=frozenset({"grad_output"})),
    ]  # fmt: skip


ALL = (
    *(operation for n in (2, 1, 3) for operation in _operations(n)),
    Operation("grad.conv_bias", 2, conv.bias_gradient, image=False, free=frozenset({"grad_output"})),
    Operation("grad.activation", 2, conv.activation_gradient, layouts=False),
    Operation("CausalConv1d", 1, conv.stream, streamed, broken=False),
    Operation("unfold", 2, partial(pooling.columns, name="unfold"), layouts=False),
    Operation("fold", 2, partial(pooling.columns, name="fold"), layouts=False),
)
PRESENT = tuple(operation for operation in ALL if features.function(operation.name))


def named(name: str) -> Operation:
    for operation in PRESENT:
        if operation.name == name:
            return operation
    known = ", ".join(operation.name for operation in PRESENT)
    raise ValueError(f"name: expected one of {known}, got {name!r} (konv {konv.__version__})")
