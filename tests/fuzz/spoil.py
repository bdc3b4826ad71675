"""Arguments that make no sense, by name: an operation is offered those of its own signature."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tests.fuzz.draw import Draw
from tests.fuzz.operations import Operation

BEYOND = 2**64
WRONG: dict[str, tuple[Any, ...]] = {
    "stride": (0, -1, (1,) * 7, 1.5, "2", True, BEYOND, [[1]]),
    "padding": (-1, (1,) * 7, 0.5, "full", None, True, BEYOND, ((1, 1, 1),) * 2),
    "output_padding": (-1, (1,) * 7, 0.5, "1", True, BEYOND, 1000),
    "dilation": (0, -1, (1,) * 7, 1.5, "2", True, BEYOND),
    "groups": (0, -1, 1.5, "1", None, True, BEYOND, 10007),
    "kernel_size": (0, -1, (1,) * 7, 1.5, "2", None, True, BEYOND),
    "output_size": (-1, (1,) * 7, 1.5, "2", BEYOND),
    "input_size": (None, (), (1,), 3, "size", (1.0,) * 4, (-1,) * 4, (BEYOND,) * 4, (2**31,) * 4),
    "weight_size": (None, (), (1,), 3, "size", (1.0,) * 4, (-1,) * 4, (BEYOND,) * 4, (2**31,) * 4),
    "norm_type": ("2", None),
    "ceil_mode": ("yes", None),
    "return_indices": ("yes", None),
    "count_include_pad": ("yes", None),
    "divisor_override": (0, 1.5, "2", BEYOND),
    "padding_mode": ("mirror", None, 0),
    "convention": ("caffe", None, 0),
    "layout": ("HWCN", 1),
    "activation": ("nothing", 3, np.tanh, ("relu", 1.0)),
    "algorithm": ("nothing", None, 1),
    "threads": (0, -1, 1.5, "2", BEYOND),
    "max_workspace": (-1, 1.5, "2", BEYOND),
    "input_scale": ("1", None),
    "weight_scale": ("1", None),
    "output_scale": ("1", None),
    "input_zero_point": (1000, -1000, 1.5, "1", None),
    "weight_zero_point": (1000, -1000, 1.5, "1", None),
    "output_zero_point": (1000, -1000, 1.5, "1", None),
    "accumulate": ("yes", None),
    "per_sample": ("yes", None),
}
ARRAYS = ("input", "weight", "bias", "grad_output", "indices", "residual")


def _unaligned(a: np.ndarray) -> np.ndarray:
    memory = np.zeros(a.nbytes + 1, np.uint8)
    return memory[1:].view(a.dtype).reshape(a.shape)


def _array(d: Draw, operation: Operation, name: str, a: np.ndarray) -> Any:
    """Another thing than the array `a`."""
    wrong: list[Any] = [a.tolist(), "array", 1.0, a.astype(object), a.astype(np.complex64), a[(None,) * 4]]
    if a.itemsize > 1:
        wrong += [a.astype(a.dtype.newbyteorder()), _unaligned(a)] if a.dtype.name != "bfloat16" else [_unaligned(a)]
    if name not in operation.free and name != "input":
        axis = a.ndim - 1 if name != "weight" else int("transpose" not in operation.name)
        wrong.append(np.concatenate([a, a.take([0], axis)], axis))
    if name == "indices":
        for place in (-1, 2**40, 2**63 - 1, -(2**63)):
            places = np.array(a)
            places[(-1,) * a.ndim] = place
            wrong.append(places)
    return d.choice(wrong)


def _out(d: Draw, arguments: dict[str, Any], out: np.ndarray) -> Any:
    constant = out.copy()
    constant.flags.writeable = False
    other = np.float32 if out.dtype == np.float64 else np.float64
    wrong = [out.tolist(), constant, out.astype(other), _unaligned(out) if out.itemsize > 1 else constant]
    wrong += [np.concatenate([out, out], -1), out[None]]
    inputs = [a for name, a in arguments.items() if name not in ("residual", "out") and isinstance(a, np.ndarray)]
    aliases = [a for a in inputs if a.dtype == out.dtype and a.size >= out.size and a.flags.c_contiguous]
    wrong += [a.reshape(-1)[: out.size].reshape(out.shape) for a in aliases]
    if out.size > 1:
        wrong.append(np.lib.stride_tricks.as_strided(out, out.shape, (0,) * out.ndim))
    return d.choice(wrong)


def spoil(d: Draw, operation: Operation, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of an argument, and all arguments with a wrong one there."""
    known = list(inspect.signature(operation.function).parameters)
    names = [name for name in known if name in WRONG or (arguments.get(name) is not None and name in (*ARRAYS, "out"))]
    name = d.choice([*names, "strides"])
    if name == "strides":
        wrong: Any = 2
    elif name == "out":
        wrong = _out(d, arguments, arguments["out"])
    elif name in ARRAYS:
        wrong = _array(d, operation, name, arguments[name])
    else:
        wrong = d.choice(WRONG[name])
    return name, {**arguments, name: wrong}
