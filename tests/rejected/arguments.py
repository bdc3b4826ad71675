"""What no function takes for an argument of some name, whatever the function does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.rejected.calls import LAYOUTS

FLOATS = "float32, float64, float16 or bfloat16"
BEYOND = 2**64
TOP = 2**31 - 1


class Entry(NamedTuple):
    changes: dict[str, Any]
    exception: type[Exception]
    message: str  # what it starts with


def integer(name: str, low: int, high: int = TOP) -> Iterator[tuple[Any, type[Exception], str]]:
    """What is no integer from `low` to `high`."""
    for value in (low - 1, -(2**40), high + 1, BEYOND):
        reason = f"{name}: expected an integer from {low} to {TOP}, got {value}"
        yield value, ValueError, reason if value != 1025 else f"{name}: expected at most 1024, got 1025"
    for value in (True, 1.0, float("nan"), np.float32(1), 1 + 0j, "2", b"2", np.ones(1)):
        yield value, TypeError, f"{name}: expected an integer, got {value!r}"


def integers(name: str, low: int, n: int) -> Iterator[tuple[Any, type[Exception], str]]:
    """What is neither one such integer nor `n` of them."""
    yield from integer(name, low)
    for value, exception, message in integer(name, low):
        if not isinstance(value, np.ndarray):
            yield (low,) * (n - 1) + (value,), exception, message
    for value in ((), (low,) * (n + 1), [low] * (n + 1)):
        yield value, ValueError, f"{name}: expected an integer or {n} of them, got {value!r}"


def padding(n: int, names: str) -> Iterator[tuple[Any, type[Exception], str]]:
    yield from ((v, e, m) for v, e, m in integer("padding", 0) if not isinstance(v, str))
    yield None, TypeError, "padding: expected an integer, got None"
    for value in ("full", "SAME", "", *(() if "causal" in names else ("causal",))):
        yield value, ValueError, f"padding: expected an integer, a tuple, 'valid', 'same'{names}, got {value!r}"
    for value in ((), (0,) * (n + 1), ((0, 0),) * (n + 1)):
        yield value, ValueError, f"padding: expected an integer, or {n} integers or (before, after) pairs, got {value}"
    for pair in ((), (1,), (1, 1, 1)):
        value = (pair,) * n
        yield value, ValueError, f"padding: expected (before, after) pairs, got {value}"
    for wrong, exception, message in integer("padding", 0):
        yield (0,) * (n - 1) + (wrong,), exception, message
        yield ((0, 0),) * (n - 1) + ((0, wrong),), exception, message


def sizes(name: str, n: int, good: tuple[int, ...], ranks: str) -> Iterator[tuple[Any, type[Exception], str]]:
    """What is no shape."""
    for value in (None, 8, "88", np.ones(n + 2, np.int64), {8}):
        kind = "numpy.ndarray" if isinstance(value, np.ndarray) else type(value).__name__
        yield value, TypeError, f"{name}: expected a tuple of integers, got {kind}"
    for value in ((), good[:n], (*good, 8)):
        yield value, ValueError, f"{name}: expected {ranks}, got {value}"
    for wrong, exception, message in integer(name, 0):
        yield (*good[:-1], wrong), exception, message


def names(name: str, known: str, wrong: tuple[str, ...]) -> Iterator[tuple[Any, type[Exception], str]]:
    for value in wrong:
        yield value, ValueError, f"{name}: expected {known}, got {value!r}"
    for value in (1, True, ("zeros",), b"zeros"):
        yield value, TypeError, f"{name}: expected a string, got {type(value).__name__}"


def layout(n: int) -> Iterator[tuple[Any, type[Exception], str]]:
    first, last = LAYOUTS[n]
    others = [name for dims, pair in LAYOUTS.items() if dims != n for name in pair]
    for value in (*others, "HWCN", first.lower(), ""):
        yield value, ValueError, f"layout: expected '{first}', '{last}' or None, got {value!r}"
    for value in (1, True, (first,)):
        yield value, TypeError, f"layout: expected a string or None, got {type(value).__name__}"


def boolean(name: str) -> Iterator[tuple[Any, type[Exception], str]]:
    for value in (None, 0, 1, 1.0, "yes", np.True_, ()):
        yield value, TypeError, f"{name}: expected a bool, got {value!r}"


def activation(_: int) -> Iterator[tuple[Any, type[Exception], str]]:
    for value in ("swish", "RELU", "", ("swish", 1.0)):
        known = "'relu', 'relu6', 'leaky_relu', 'sigmoid', 'tanh', 'silu', 'gelu', 'gelu_tanh', 'hardswish'"
        yield value, ValueError, f"activation: expected None or one of {known}"
    for value in (1, np.tanh, True, ["relu"]):
        yield value, TypeError, "activation: expected"
    for value in (("leaky_relu",), ("leaky_relu", 0.1, 1), ()):
        yield value, ValueError, f"activation: expected a name or a (name, parameter) pair, got {value!r}"


def foreign(a: np.ndarray) -> np.ndarray:
    return a.astype(a.dtype.newbyteorder())


def unaligned(a: np.ndarray) -> np.ndarray:
    """Data that starts one byte past an element boundary."""
    return np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)


def field(a: np.ndarray) -> np.ndarray:
    """Elements one byte too far apart: the strides are no multiple of the size."""
    return np.zeros(a.shape, [("value", a.dtype), ("tag", "u1")])["value"]


def array(name: str, good: np.ndarray, *, optional: bool) -> Iterator[tuple[Any, type[Exception], str]]:
    """What no array argument takes."""
    for value in (good.tolist(), 3.0, "image.png", object(), *(() if optional else (None,))):
        yield value, TypeError, f"{name}: expected an array, got {type(value).__name__}; numpy.asarray converts"
    yield good.dtype.type(1), TypeError, f"{name}: expected an array, got"
    for dtype in (object, np.longdouble, np.uint64, "U1", "M8[s]", [("a", "f4")]):
        value = np.empty(good.shape, dtype)
        yield value, TypeError, f"{name}: expected dtype"
    if good.itemsize > 1:
        yield foreign(good), TypeError, f"{name}: expected native byte order"
        yield unaligned(good), ValueError, f"{name}: expected an aligned array; pass a copy"
        aligned = field(good).flags.aligned
        yield field(good), ValueError, f"{name}: " + ("the stride of axis" if aligned else "expected an aligned array")


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def out(good: np.ndarray) -> Iterator[tuple[Any, type[Exception], str]]:
    shape, dtype = good.shape, good.dtype
    for value in (good[..., :-1], good[None], good[:1], np.concatenate([good, good]), good.reshape(-1)[:0]):
        yield value.copy(), ValueError, f"out: expected shape {shape}, got {value.shape}"
    for other in ("float32", "float64", "float16", "int32", "int8", "bool"):
        if other != dtype:
            yield good.astype(other), TypeError, f"out: expected dtype {dtype}, got {other}"
    yield read_only(good), ValueError, "out: expected a writable array"
    for value in (np.broadcast_to(good[:1], shape), np.broadcast_to(good.ravel()[0], shape)):
        yield value, ValueError, "out: expected a writable array"
    once = np.lib.stride_tricks.as_strided(good.copy(), shape, (0,) * good.ndim)
    yield once, ValueError, "out: its elements overlap one another in memory"


def shared(good: dict[str, Any], name: str) -> Entry:
    """An input whose last element is the first of `out`."""
    a, b = good[name], good["out"]
    memory = np.zeros(a.nbytes + b.nbytes, np.uint8)
    start = a.nbytes - max(a.itemsize, b.itemsize)
    first, second = memory[: a.nbytes].view(a.dtype), memory[start : start + b.nbytes].view(b.dtype)
    changes = {name: first.reshape(a.shape), "out": second.reshape(b.shape)}
    return Entry(changes, ValueError, "out: expected memory that no input shares")


# By name of the argument, for `n` dimensions; low ends and choices as the names tell.
RULES: dict[str, Callable[[int], Iterator[tuple[Any, type[Exception], str]]]] = {
    "stride": lambda n: integers("stride", 1, n),
    "dilation": lambda n: integers("dilation", 1, n),
    "kernel_size": lambda n: integers("kernel_size", 1, n),
    "output_padding": lambda n: integers("output_padding", 0, n),
    "groups": lambda _: integer("groups", 1),
    "threads": lambda _: integer("threads", 1, 1024),
    "max_workspace": lambda _: integer("max_workspace", 0),
    "padding_mode": lambda _: names(
        "padding_mode", "'zeros', 'reflect', 'replicate' or 'circular'", ("mirror", "Zeros", "symmetric", "")
    ),
    "convention": lambda _: names("convention", "'torch', 'onnx' or 'tf'", ("keras", "TF", "")),
    "layout": layout,
    "ceil_mode": lambda _: boolean("ceil_mode"),
    "count_include_pad": lambda _: boolean("count_include_pad"),
    "return_indices": lambda _: boolean("return_indices"),
    "accumulate": lambda _: boolean("accumulate"),
    "per_sample": lambda _: boolean("per_sample"),
    "plan": lambda _: boolean("plan"),
    "activation": activation,
    "algorithm": lambda _: (
        *((value, ValueError, "algorithm: expected one of 'auto', ") for value in ("fastest", "", "AUTO")),
        *((value, TypeError, f"algorithm: expected a string, got {type(value).__name__}") for value in (None, 1, ())),
    ),
    "dtype": lambda _: (
        (value, ValueError, f"dtype: expected 'float32', 'float64', 'float16' or 'bfloat16', got {value!r}")
        for value in ("int8", "f4", "", np.float32, np.dtype(np.float32), 1)
    ),
    "padding": lambda n: padding(n, ", 'same_lower' or 'causal'" if n == 1 else " or 'same_lower'"),
}
# Where a function takes other things for an argument than the name tells; its own entries then say what it refuses.
SPECIAL: dict[tuple[str, str], Callable[[int], Iterator[tuple[Any, type[Exception], str]]]] = {
    **{(f"max_unpool{n}d", "padding"): lambda n: integers("padding", 0, n) for n in (1, 2, 3)},
    **{
        (name, "padding"): lambda n: padding(n, " or 'same_lower'")
        for name in ("max_pool1d", "avg_pool1d", "grad.avg_pool1d")
    },
    ("CausalConv1d", "dilation"): lambda _: integer("dilation", 1),
    # The number of dimensions is that of one of these.
    ("unfold", "kernel_size"): lambda _: integer("kernel_size", 1),
    **{(name, "layout"): lambda _: iter(()) for name in ("grad.conv_bias", "unfold", "fold")},
    ("grad.activation", "name"): activation,
}
OPTIONAL = {"bias", "residual", "out"}
SHAPES = {
    "input_size": "{} sizes, or {} without a batch",
    "input_shape": "{} sizes, or {} without a batch",
    "weight_shape": "{} sizes, or {} without a batch",
    "weight_size": "{} sizes",
}


def _wrong(function: str, name: str, n: int, good: dict[str, Any]) -> Iterator[tuple[Any, type[Exception], str]]:
    if (function, name) in SPECIAL:
        yield from SPECIAL[function, name](n)
    elif name == "out":
        yield from array("out", good["out"], optional=True)
        yield from out(good["out"])
    elif isinstance(good.get(name), np.ndarray):
        yield from array(name, good[name], optional=name in OPTIONAL)
    elif name in SHAPES:
        yield from sizes(name, n, good[name], SHAPES[name].format(n + 2, n + 1))
    elif name in RULES:
        yield from RULES[name](n)


def entries(function: str, n: int, arguments: tuple[str, ...], good: dict[str, Any]) -> Iterator[Entry]:
    """All that `function` refuses by the names of its arguments."""
    for name in arguments:
        for wrong, exception, message in _wrong(function, name, n, good):
            yield Entry({name: wrong}, exception, message)
        if "out" in good and name != "out" and isinstance(good.get(name), np.ndarray):
            yield shared(good, name)
