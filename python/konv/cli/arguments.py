"""Types of command-line arguments."""

from __future__ import annotations

import argparse
from fractions import Fraction
from typing import Literal

import konv


def positive_int(text: str) -> int:
    """Read a whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number above zero, got {text}")
    return value


def number(text: str) -> float:
    """Read a number, which may be a fraction such as 1/255."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number or a fraction, got {text!r}") from None


def numbers(text: str) -> tuple[float, ...]:
    """Read numbers with commas between."""
    return tuple(number(part) for part in text.split(","))


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas, got {text!r}") from None


def shape(text: str) -> tuple[int, int, int, int]:
    """Read four whole numbers with commas between."""
    found = _integers(text)
    if len(found) != 4:
        raise argparse.ArgumentTypeError(f"expected four numbers, got {text!r}")
    return found


def pair(text: str) -> tuple[int, int]:
    """Read one whole number for both directions, or two."""
    found = _integers(text)
    if len(found) not in (1, 2):
        raise argparse.ArgumentTypeError(f"expected one or two numbers, got {text!r}")
    return found[0], found[-1]


def padding(text: str) -> tuple[int, int] | Literal["same", "valid"]:
    """Read what `pair` does, or a word."""
    words: dict[str, Literal["same", "valid"]] = {"same": "same", "valid": "valid"}
    return words[text] if text in words else pair(text)


def set_threads(threads: int | None) -> None:
    """Obey --threads."""
    if threads is not None:
        konv.set_num_threads(threads)
