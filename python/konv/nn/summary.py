"""The table that `summary` prints: Keras's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .variable import Variable

if TYPE_CHECKING:
    from .layers import Layer

_HEADER = ("Layer (type)", "Output Shape", "Param #")
_WIDTHS = (33, 24, 15)
_BOXES = ("┏━┳┓", "┃", "┡━╇┩", "│", "├─┼┤", "└─┴┘")
_PLAIN = ("+-++", "|", "+-++", "|", "+-++", "+-++")


def summary_text(name: str, layers: Sequence[Layer], line_length: int | None = None) -> str:
    """Return the table of a model's layers and its totals.

    Parameters
    ----------
    name : str
        Of the model.
    layers : sequence of Layer
        Those not built yet show "?".
    line_length : int, optional
        Of the table; by default 76, or more where a cell needs it.
    """
    rows = [_row(layer) for layer in layers]
    widths = [width * (line_length or 76) // 76 for width in _WIDTHS]
    if line_length is None:
        cells = [_HEADER, *rows]
        widths = [max(w, *(len(c[i]) + 2 for c in cells)) for i, w in enumerate(widths)]
    top, header, under, body, between, bottom = _BOXES if _is_unicode() else _PLAIN
    lines = [f'Model: "{name}"', _rule(widths, top), _line(widths, header, _HEADER)]
    for index, row in enumerate(rows):
        lines += [_rule(widths, between if index else under), _line(widths, body, row)]
    lines.append(_rule(widths, bottom))
    weights = [variable for layer in layers for variable in layer.weights]
    trainable = [variable for variable in weights if variable.trainable]
    frozen = [variable for variable in weights if not variable.trainable]
    lines += [
        f" Total params: {_amount(weights)}",
        f" Trainable params: {_amount(trainable)}",
        f" Non-trainable params: {_amount(frozen)}",
    ]
    return "\n".join(lines)


def _row(layer: Layer) -> tuple[str, str, str]:
    shape = "?" if layer.output is None else str(layer.output.shape)
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return f"{layer.name} ({type(layer).__name__})", shape, count


def _rule(widths: Sequence[int], characters: str) -> str:
    left, line, joint, right = list(characters)
    return left + joint.join(line * width for width in widths) + right


def _line(widths: Sequence[int], border: str, cells: Sequence[str]) -> str:
    texts = [cell[: width - 2] for width, cell in zip(widths, cells, strict=True)]
    padded = [f" {text:<{width - 2}} " for width, text in zip(widths[:2], texts[:2], strict=True)]
    padded.append(f" {texts[2]:>{widths[2] - 2}} ")
    return border + border.join(padded) + border


def _amount(variables: Sequence[Variable]) -> str:
    size = float(sum(variable.value.nbytes for variable in variables))
    units = ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{sum(v.value.size for v in variables):,} ({size:.2f} {units[0]})"


def _is_unicode() -> bool:
    return "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
