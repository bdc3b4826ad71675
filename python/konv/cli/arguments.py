"""Types of command-line arguments, and checks of the files that they name."""

from __future__ import annotations

import argparse
import os
from fractions import Fraction
from pathlib import Path
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


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


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
    try:
        return words[text] if text in words else pair(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"expected same, valid, or one or two whole numbers, got {text!r}") from None


def check_target(option: str, path: Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it is to hold."""
    if path.is_dir():
        why = "it is a folder"
    elif not path.absolute().parent.is_dir():
        why = f"there is no folder {path.parent}"
    elif not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        why = "permission denied"
    else:
        return
    raise ValueError(f"{option}: cannot write {path}: {why}")


def check_figure(option: str, path: Path) -> None:
    """Do the same for a picture that matplotlib is to write."""
    from matplotlib.backend_bases import FigureCanvasBase

    check_target(option, path)
    if path.suffix.lower().removeprefix(".") not in FigureCanvasBase.get_supported_filetypes():
        raise ValueError(f"{option}: expected a name that ends in .png, .svg or .pdf, got {path}")


def set_threads(threads: int | None) -> None:
    """Obey --threads."""
    if threads is not None:
        konv.set_num_threads(threads)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Declare what all commands that train take."""
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads to compute with (default: all cores)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the first weights and of the images' order (default: 0)",
    )
