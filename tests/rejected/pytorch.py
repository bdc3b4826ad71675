"""Values to try, alone and in pairs, on a function of torch.nn.functional and on konv's of the same name.

`EXTENSIONS` lists what PyTorch refuses and konv takes, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

Arguments = dict[str, Any]


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def _numbers(n: int) -> tuple[Any, ...]:
    return 1, 2, 0, -1, (1,) * n, (2,) * n, (1,) * (n - 1) + (0,), (1,) * (n + 1), (), 1.0, "1", None


def _images(n: int, channels: int) -> tuple[np.ndarray, ...]:
    s = (6,) * n
    shapes = ((2, channels, *s), (channels, *s), s, (1, 2, channels, *s), (2, channels + 1, *s), (2, 0, *s))
    sizes = ((2, channels, *s[1:], 0), (0, channels, *s), (2, channels, *s[1:], 1))
    kinds = (np.float64, np.int32, np.complex64)
    whole = (2, channels, *s)
    return (*(ones(*shape) for shape in (*shapes, *sizes)), *(ones(*whole, dtype=kind) for kind in kinds))


def _weights(n: int, first: int, second: int) -> tuple[np.ndarray, ...]:
    k = (3,) * n
    shapes = ((first, second, *k), (second, *k), (first, second + 1, *k), (first + 1, second, *k), (first, 0, *k))
    more = ((0, second, *k), (first, second, *k[1:], 0), (first, second, *k[1:], 7), (first, second // 2, *k))
    kinds = (np.float64, np.int32)
    return (*(ones(*s) for s in (*shapes, *more)), *(ones(first, second, *k, dtype=kind) for kind in kinds))


def _values(n: int) -> dict[str, dict[str, tuple[Any, ...]]]:
    """For each function what each argument may be, the good value first."""
    d, numbers = f"{n}d", _numbers(n)
    biases = (None, ones(6), ones(5), ones(6, 1), ones(6, dtype=np.float64))
    paddings = (0, 1, -1, "valid", "same", "full", (1,) * n, (1,) * (n + 1), 1.0, None)
    convolution = {"stride": numbers, "dilation": numbers, "groups": (1, 2, 3, 0, -1, 1.0, None)}
    windows = {"kernel_size": (2, *numbers, 7), "stride": (None, *numbers)}
    sizes = (3, 1, -1, (3,) * n, (3,) * (n + 1), (), (None,) * n, 1.0, "3")
    flags = (False, True)
    indices = tuple(a.astype(np.int64) - 1 for a in _images(n, 3)[:7])
    places = (*indices, indices[0].astype(np.int32), indices[0] + 200, indices[0] - 1, indices[0].astype(np.float32))
    return {
        f"conv{d}": {"input": _images(n, 4), "weight": _weights(n, 6, 4), "bias": biases, "padding": paddings,
                     **convolution},
        f"conv_transpose{d}": {"input": _images(n, 4), "weight": _weights(n, 4, 6), "bias": biases,
                               "padding": (0, 1, -1, 9, (1,) * n, (1,) * (n + 1), 1.0, None),
                               "output_padding": numbers, **convolution},
        f"max_pool{d}": {"input": _images(n, 3), "padding": (0, 1, 2, -1, 1.0, None, (1,) * n, (1,) * (n + 1)),
                         "dilation": numbers, "ceil_mode": flags, "return_indices": flags, **windows},
        f"avg_pool{d}": {"input": _images(n, 3), "padding": (0, 1, 2, -1, 1.0, None, (1,) * n, (1,) * (n + 1)),
                         "ceil_mode": flags, **windows,
                         **({"divisor_override": (None, 1, 0, -1, 1.5, "1")} if n > 1 else {})},
        f"lp_pool{d}": {"input": _images(n, 3), "norm_type": (2, 1.5, "2", None), "ceil_mode": flags, **windows},
        f"adaptive_max_pool{d}": {"input": _images(n, 3), "output_size": sizes, "return_indices": flags},
        f"adaptive_avg_pool{d}": {"input": _images(n, 3), "output_size": sizes},
        f"max_unpool{d}": {"input": _images(n, 3), "indices": places, **windows, "padding": (0, 1, -1, 9, 1.0, None),
                           "output_size": (None, (12,) * n, (13,) * n, (14,) * n, (12,) * (n + 1), 12)},
    }  # fmt: skip


def _columns() -> dict[str, dict[str, tuple[Any, ...]]]:
    numbers, paddings = _numbers(2), (0, 1, -1, (1, 1), 1.0, None)
    columns = (ones(2, 12, 25), ones(12, 25), ones(2, 11, 25), ones(2, 12, 24), ones(2, 3, 6, 6), ones(25))
    common = {"kernel_size": ((2, 2), *numbers, 7), "dilation": numbers, "padding": paddings, "stride": numbers}
    return {
        "unfold": {"input": _images(2, 3), **common},
        "fold": {"input": columns, "output_size": ((6, 6), (7, 6), (6, 0), (6, -6), (6, 6, 6), 6, 1.0, None), **common},
    }


VALUES = {**{name: values for n in (1, 2, 3) for name, values in _values(n).items()}, **_columns()}


def trials(name: str) -> Iterator[Arguments]:
    """Good arguments of which any two are others."""
    values = VALUES[name]
    good = {key: choices[0] for key, choices in values.items()}
    for first, second in combinations(values, 2):
        for a in values[first]:
            for b in values[second]:
                yield {**good, first: a, second: b}


def _is_int32(a: Arguments) -> bool:
    return a["input"].dtype == np.int32


# What PyTorch refuses and konv takes: of which functions, when, and why.
EXTENSIONS: list[tuple[tuple[str, ...], Callable[[Arguments], bool], str]] = [
    (("conv1d", "conv2d", "conv3d"), lambda a: a["padding"] == "same", "with any stride, as in TensorFlow and ONNX"),
    (("max_pool1d", "max_pool2d", "max_pool3d"), _is_int32, "maxima of any integers"),
    (("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"), _is_int32, "maxima of any integers"),
    (("unfold",), _is_int32, "copies of any elements"),
    (("unfold",), lambda a: a["input"].ndim in (2, 5) or len(np.atleast_1d(a["kernel_size"])) == 3, "signals, volumes"),
    (("adaptive_max_pool1d", "adaptive_avg_pool1d"), lambda a: a["output_size"] == (None,), "as in two dimensions"),
    (("lp_pool1d",), lambda a: isinstance(a["kernel_size"], tuple), "as in two dimensions"),
    (("avg_pool3d", "lp_pool3d"), lambda a: a["kernel_size"] == 7 or 1 in a["input"].shape[-3:],
     "padded or cut windows larger than the volume, as of images"),
]  # fmt: skip


def extends(name: str, arguments: Arguments) -> bool:
    return any(name in functions and when(arguments) for functions, when, _ in EXTENSIONS)
