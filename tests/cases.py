"""Convolution problems as the tests state them: data, truth, konv's answer, for each direction.

A case is always described channels-first. `layout` says how konv is called: "NCHW" passes the
arrays as they are, "NHWC" passes channels-last arrays with `layout="NHWC"`, and "NCHW-last" passes
channels-first shapes whose memory is channels-last.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

import konv
from tests import convolution, reference
from tests.convolution import Pads, Windows
from tests.reference import Array, Pair

DIRECTIONS = ("forward", "input", "weight")
LAYOUTS = ("NCHW", "NHWC", "NCHW-last")
DTYPES = ("float32", "float64")
ISA_LEVELS: tuple[str, ...] = tuple(konv.info()["isa_levels"])
INTEGER_ALGORITHMS = ("implicit_gemm_int8", "implicit_gemm_int16", "int8_in_float32")  # see test_int.py
ALGORITHMS = (
    *INTEGER_ALGORITHMS,
    "implicit_gemm",
    "implicit_gemm_bf16",
    "pointwise",
    "direct",
    "depthwise",
    "gemv",
    "grouped",
    "spectral",
    "winograd",
    "winograd_2x2",
    "reference",
)
# Algorithms whose error is a multiple of eps times the largest magnitude around, not that of each result alone. Few
# channels spread magnitudes widely: networks' sizes have constants of their own, see test_winograd.py.
SPREADING = {"winograd": 16.0, "winograd_2x2": 4.0, "spectral": 8.0}


def channels_last(x: Array) -> Array:
    """The same values and shape in channels-last memory."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@dataclass(frozen=True)
class Data:
    """Input, weight, bias and output gradient of a case; abs() of all four gives magnitudes."""

    x: Array
    w: Array
    b: Array
    gy: Array

    def __abs__(self) -> Data:
        return Data(*(np.abs(getattr(self, f.name)) for f in fields(self)))


@dataclass(frozen=True)
class Case:
    """One convolution. Sizes may be given as an int where height and width agree."""

    n: int = 1
    c: int = 1
    size: Pair = (8, 8)
    k: int = 1
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    padding: Any = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1

    def __str__(self) -> str:
        parts = [f"{self.n}x{self.c}x{self.size[0]}x{self.size[1]}-{self.k}"]
        parts.append(f"{self.kernel[0]}x{self.kernel[1]}")
        given = {f.name: getattr(self, f.name) for f in fields(self)[5:]}
        given = {name: value for name, value in given.items() if value != getattr(Case, name)}
        parts += [f"{name[0]}{value}".replace(" ", "") for name, value in given.items()]
        return "-".join(parts)

    @property
    def geometry(self) -> Windows:
        return Windows(self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def pads(self) -> Pads:
        return self.geometry.pads

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return (self.n, self.c, *self.size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return (self.k, self.c // self.groups, *self.kernel)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        return (self.n, self.k, *self.geometry.out)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def data(self, dtype: str = "float32", seed: int = 0) -> Data:
        rng = np.random.default_rng(seed)
        shapes = self.input_shape, self.weight_shape, (self.k,), self.output_shape
        return Data(*(rng.standard_normal(shape).astype(dtype) for shape in shapes))

    @lru_cache(maxsize=4096)  # noqa: B019 - cases live as long as the run
    def known(self, direction: str, dtype: str, seed: int) -> tuple[Data, Array, Array]:
        """Data, truth and magnitude, computed once for all algorithms, ISAs and layouts."""
        data = self.data(dtype, seed)
        return data, self.truth(direction, data), self.truth(direction, abs(data))

    def truth(self, direction: str, data: Data) -> Array:
        if direction == "forward":
            return convolution.conv(data.x, data.w, data.b, **self.options)
        if direction == "input":
            return convolution.conv_input(self.input_shape, data.w, data.gy, **self.options)
        return convolution.conv_weight(data.x, self.weight_shape, data.gy, **self.options)

    def length(self, direction: str) -> int:
        """How many products one value of the result adds up, at most."""
        taps = self.kernel[0] * self.kernel[1]
        out = self.geometry.out
        return {
            "forward": self.c // self.groups * taps,
            "input": self.k // self.groups * taps,
            "weight": self.n * out[0] * out[1],
        }[direction]

    def compute(self, direction: str, data: Data, *, layout: str = "NCHW", **keywords: Any) -> Array:
        """konv's answer, channels-first whatever the layout."""
        x, gy, input_size = data.x, data.gy, self.input_shape
        options = {**self.options, **keywords}
        if layout == "NHWC":
            x, gy = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, gy))
            input_size = (self.n, *self.size, self.c)
            options["layout"] = "NHWC"
        elif layout == "NCHW-last":
            x, gy = channels_last(x), channels_last(gy)
        if direction == "forward":
            out = konv.conv2d(x, data.w, data.b, **options)
        elif direction == "input":
            out = konv.grad.conv2d_input(input_size, data.w, gy, **options)
        else:
            return konv.grad.conv2d_weight(x, self.weight_shape, gy, **options)
        return out.transpose(0, 3, 1, 2) if layout == "NHWC" else out

    def check(self, direction: str, dtype: str = "float32", seed: int = 0, **call: Any) -> Array:
        """Compute with konv, compare with the truth, return konv's answer."""
        data, truth, magnitude = self.known(direction, dtype, seed)
        out = self.compute(direction, data, **call)
        assert out.dtype == np.dtype(dtype)
        self.compare(direction, out, truth, magnitude, **call)
        return out

    def compare(self, direction: str, out: Array, truth: Array, magnitude: Array, **call: Any) -> None:
        algorithm = call.get("algorithm", "auto")
        candidates = {algorithm}
        if algorithm == "auto":
            candidates = self.candidates(direction, str(out.dtype), call.get("layout", "NCHW"))
        spreading = max(SPREADING.get(name, 0.0) for name in candidates)
        if spreading:
            magnitude = np.full_like(magnitude, spreading / 2 * magnitude.max(initial=0))
            reference.assert_accurate(out, truth, magnitude, 2)
        else:
            reference.assert_accurate(out, truth, magnitude, self.length(direction))

    def candidates(self, direction: str, dtype: str, layout: str) -> set[str]:
        """The algorithm that runs where none is asked for; all that may where `explain` does not know the strides."""
        op = "conv2d" if direction == "forward" else f"conv2d_{direction}"
        n, c, h, w = self.input_shape
        shape = (n, c, h, w) if layout == "NCHW" else (n, h, w, c)
        options = {**self.options, "dtype": dtype, "layout": "NCHW" if layout == "NCHW" else "NHWC"}
        explanation = konv.explain(op, input_shape=shape, weight_shape=self.weight_shape, **options)
        if layout == "NCHW-last":
            return {c.algorithm for c in explanation.candidates if not c.reason}
        return {explanation.chosen}

    def supported_by(self, algorithm: str, direction: str) -> bool:
        """Whether the algorithm must be able to run the case; otherwise it may refuse."""
        if algorithm == "pointwise":
            plain = self.kernel == self.stride == (1, 1) and self.pads == ((0, 0), (0, 0))
            return plain and self.groups == 1 and direction != "weight"
        if algorithm == "implicit_gemm_bf16":  # the tests' precision is the default one
            return False
        if algorithm in INTEGER_ALGORITHMS:
            return False
        if algorithm == "depthwise":
            return self.groups == self.c == self.k
        if algorithm == "gemv":
            n, _, height, width = self.output_shape
            return direction == "forward" and n * height * width <= 4
        if algorithm == "grouped":
            return False  # what fits depends on the layout and the vectors; see test_grouped.py
        if algorithm in ("direct", "spectral"):
            few = self.c * self.k <= 16 * self.groups**2
            return few and self.stride == (1, 1) and direction != "weight"
        if algorithm in ("winograd", "winograd_2x2"):
            (height, width), (down, right) = self.kernel, self.stride
            size, stride = max(self.kernel), max(self.stride)
            square = height == width <= 8 and down == right
            line = size <= 16 and ((height == 1 and down == 1) or (width == 1 and right == 1))
            known = (square or line) and stride <= 2 and size > stride and self.groups < self.c
            if direction == "weight":
                known = known and square and (size, stride) == (3, 1) and algorithm == "winograd"
            if algorithm == "winograd_2x2":
                known = known and square and -(-size // stride) == 3
            spans = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
            sees_the_image = max(map(max, self.pads)) <= 2 and all(
                n >= k for n, k in zip(self.size, spans, strict=True)
            )
            return known and sees_the_image and (stride == 1 or self.dilation == (1, 1))
        return True


# Each is there for a reason; together they reach every path that a convolution can take.
CASES = (
    Case(2, 3, (9, 11), 5),  # nothing a multiple of anything
    Case(1, 1, (8, 8), 1),  # the smallest useful image
    Case(1, 64, (14, 14), 64, padding=((1, 1), (1, 1))),  # full vectors, padded as in ResNet
    Case(1, 3, (20, 19), 8, (7, 7), (2, 2), ((3, 3), (3, 3))),  # a first layer
    Case(2, 33, (7, 7), 35, padding=((1, 1), (1, 1))),  # one channel more than a panel
    Case(1, 16, (12, 12), 32, (1, 1)),  # pointwise
    Case(2, 35, (5, 7), 33, (1, 1)),  # pointwise with tails on all sides
    Case(1, 8, (13, 13), 12, (1, 1), (2, 2)),  # pointwise that skips pixels
    Case(1, 8, (6, 6), 12, (1, 1), padding=((1, 1), (1, 1))),  # pointwise kernel, but padded
    Case(2, 24, (10, 13), 24, padding=((1, 1), (1, 1)), groups=24),  # depthwise
    Case(1, 17, (15, 14), 17, (3, 3), (2, 2), ((1, 1), (1, 1)), groups=17),  # the same, stride 2
    Case(1, 5, (12, 12), 5, (5, 5), dilation=(2, 2), padding=((4, 4), (4, 4)), groups=5),
    Case(1, 6, (9, 9), 18, padding=((1, 1), (1, 1)), groups=6),  # depth multiplier 3
    Case(2, 16, (9, 9), 24, padding=((1, 1), (1, 1)), groups=4),  # grouped
    Case(1, 32, (8, 8), 32, groups=8, stride=(2, 2)),  # few channels a group
    Case(1, 4, (17, 16), 6, padding=((2, 2), (2, 2)), dilation=(2, 2)),  # dilated
    Case(1, 4, (17, 16), 6, (3, 2), (2, 1), ((0, 2), (1, 3)), (1, 3)),  # nothing symmetric
    Case(1, 4, (16, 16), 6, (2, 5), (3, 4)),  # stride above the kernel: unread pixels
    Case(3, 2, (5, 5), 3, (5, 5)),  # a kernel as large as the image
    Case(1, 2, (3, 3), 3, (7, 7), padding=((3, 3), (3, 3))),  # a kernel larger than the image
    Case(1, 2, (4, 4), 3, (3, 3), padding=((5, 4), (6, 5))),  # windows that see only padding
    Case(1, 3, (1, 40), 4, (1, 9), padding=((0, 0), (4, 4))),  # a signal as an image
    Case(1, 3, (40, 1), 4, (9, 1), (2, 1), ((4, 4), (0, 0))),  # and upright
    Case(2, 7, (1, 1), 9, (1, 1)),  # a matrix product
    Case(3, 35, (1, 1), 70, (1, 1)),  # one on three vectors
    Case(1, 12, (4, 4), 24, (4, 4), padding=((1, 0), (1, 0)), groups=3),  # a window that is all of the image
    Case(1, 256, (6, 6), 40, padding=((1, 1), (1, 1))),  # a long reduction
)
