"""Windows of ONNX's convolutions and poolings: https://onnx.ai/onnx/operators/ says what attributes mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._words import counted

LONGEST = 2**31 - 1  # elements along an axis, padding included


@dataclass(frozen=True)
class Windows:
    """Windows over an image: a number for each axis, and a pair (before, after) of padding.

    Those of a transposed convolution lie over its result; a negative number after an axis is then what the result has
    beyond the last window.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    @property
    def spans(self) -> tuple[int, ...]:
        """Elements from the first to the last of a window."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def within(self, size: Sequence[int], *, round_up: bool = False) -> tuple[int, ...]:
        """How many windows lie within an image of this size.

        Raises
        ------
        ValueError
            There is none.
        """
        result = []
        for n, span, s, (before, after) in zip(size, self.spans, self.strides, self.pads, strict=True):
            room = n + before + after - span
            count = (-(-room // s) if round_up else room // s) + 1
            if round_up and (count - 1) * s >= n + before:  # the last window would start in the padding behind
                count -= 1
            if n < 1 or room < 0 or count < 1:
                raise ValueError(
                    f"kernel_shape: a window spans {span} elements, but the padded input has {room + span}"
                )
            result.append(count)
        return tuple(result)

    def __post_init__(self) -> None:
        for name, values in (("kernel_shape", self.kernel), ("strides", self.strides), ("dilations", self.dilations)):
            if any(not 1 <= value <= LONGEST for value in values):
                raise ValueError(f"{name}: expected numbers from 1 to 2^31 - 1, got {list(values)}")
        if max(self.spans) > LONGEST:
            raise ValueError(f"dilations: a window spans {max(self.spans)} elements, more than 2^31 - 1")


def windows_of(attributes: Mapping[str, Any], size: Sequence[int], kernel: Sequence[int]) -> Windows:
    """The windows that a node's attributes describe, over an image of this size.

    Raises
    ------
    ValueError
        An attribute has too few numbers or too many, or one out of range.
    """
    axes = len(size)
    strides, dilations = _numbers(attributes, "strides", [1] * axes), _numbers(attributes, "dilations", [1] * axes)
    _check_length("kernel_shape", kernel, axes)
    windows = Windows(tuple(int(k) for k in kernel), strides, dilations, ((0, 0),) * axes)
    automatic = _automatic(attributes)
    if automatic.startswith("SAME"):
        each = zip(size, windows.spans, strides, strict=True)
        totals = [max((-(-n // s) - 1) * s + span - n, 0) for n, span, s in each]
        pads = tuple(_halves(total, automatic) for total in totals)
    elif automatic == "VALID":
        pads = windows.pads
    else:
        pads = _pads(attributes, axes)
    if any(n + before + after > LONGEST for n, (before, after) in zip(size, pads, strict=True)):
        raise ValueError(f"pads: the padded input would have more than 2^31 - 1 elements along an axis, got {pads}")
    return Windows(windows.kernel, strides, dilations, pads)


def transposed_windows_of(
    attributes: Mapping[str, Any], size: Sequence[int], kernel: Sequence[int]
) -> tuple[Windows, tuple[int, ...]]:
    """The windows of a transposed convolution of an image of this size, and the size of its result.

    Raises
    ------
    ValueError
        As `windows_of`; or the result would have no elements, or some that lie too far from all windows.
    """
    axes = len(size)
    strides, dilations = _numbers(attributes, "strides", [1] * axes), _numbers(attributes, "dilations", [1] * axes)
    more = _numbers(attributes, "output_padding", [0] * axes)
    _check_length("kernel_shape", kernel, axes)
    windows = Windows(tuple(int(k) for k in kernel), strides, dilations, ((0, 0),) * axes)
    covered = [(n - 1) * s + span for n, s, span in zip(size, strides, windows.spans, strict=True)]
    full = [n + m for n, m in zip(covered, more, strict=True)]
    automatic, wanted = _automatic(attributes), attributes.get("output_shape")
    if wanted is None and automatic.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, strides, strict=True)]
    if wanted is not None:
        out = tuple(int(n) for n in wanted[-axes:])
        _check_length("output_shape", out, axes)
        # Where the number is odd SAME_UPPER alone puts the smaller half in front.
        rule = automatic if automatic == "SAME_UPPER" else "SAME_LOWER"
        before = [_halves(max(0, f - n), rule)[0] for f, n in zip(full, out, strict=True)]
    else:
        pads = _pads(attributes, axes) if automatic != "VALID" else ((0, 0),) * axes
        out = tuple(f - low - high for f, (low, high) in zip(full, pads, strict=True))
        before = [low for low, _ in pads]
    if not all(1 <= n <= LONGEST for n in out):
        raise ValueError(f"pads: expected a result with at least one element, got the spatial shape {out}")
    rest = tuple((b, n - b - o) for b, n, o in zip(before, covered, out, strict=True))
    for (_, after), s, d in zip(rest, strides, dilations, strict=True):
        if -after >= max(s, d):
            raise ValueError(f"output_padding: expected less than stride {s} or dilation {d}, got {-after}")
    return Windows(windows.kernel, strides, dilations, rest), out


def _halves(total: int, automatic: str) -> tuple[int, int]:
    half = total // 2
    return (total - half, half) if automatic == "SAME_LOWER" else (half, total - half)


def _automatic(attributes: Mapping[str, Any]) -> str:
    found = str(attributes.get("auto_pad") or "NOTSET")
    if found not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise ValueError(f"auto_pad: expected NOTSET, VALID, SAME_UPPER or SAME_LOWER, got {found!r}")
    return found


def _numbers(attributes: Mapping[str, Any], name: str, default: list[int]) -> tuple[int, ...]:
    found = tuple(int(n) for n in attributes.get(name) or default)
    _check_length(name, found, len(default))
    if min(found) < 0:
        raise ValueError(f"{name}: expected numbers from 0, got {list(found)}")
    return found


def _pads(attributes: Mapping[str, Any], axes: int) -> tuple[tuple[int, int], ...]:
    found = _numbers(attributes, "pads", [0] * (2 * axes))
    return tuple(zip(found[:axes], found[axes:], strict=True))


def _check_length(name: str, values: Sequence[int], expected: int) -> None:
    if len(values) != expected:
        raise ValueError(f"{name}: expected {counted(expected, 'number')}, got {list(values)}")
