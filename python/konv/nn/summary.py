"""The table that `summary` prints: Keras's."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .symbolic import SymbolicTensor
from .variable import Variable

if TYPE_CHECKING:
    from .layers import Layer
    from .network import Network

_HEADER = ("Layer (type)", "Output Shape", "Param #", "Connected to", "Trainable")
_WIDTHS = {3: (33, 24, 15), 4: (21, 19, 12, 19)}  # of the columns of a stack, and of layers that branch
_TRAINABLE_WIDTH = 9
_BOXES = ("┏━┳┓", "┃", "┡━╇┩", "│", "├─┼┤", "└─┴┘")
_PLAIN = ("+-++", "|", "+-++", "|", "+-++", "+-++")


def summary_text(
    network: Network, line_length: int | None = None, *, expand_nested: bool = False, show_trainable: bool = False
) -> str:
    """Return the table of a network's layers and its totals.

    Parameters
    ----------
    network : Network
        Layers not built yet show "?".
    line_length : int, optional
        Of the table.
    expand_nested : bool
        Whether to show the layers of models that serve as layers.
    show_trainable : bool
        Whether to show which layers training changes.
    """
    branches = _branches(network)
    rows = _rows(network, expand_nested=expand_nested)
    columns = [0, 1, 2] + [3] * branches + [4] * show_trainable
    widths = list(_WIDTHS[3 + branches])
    if line_length is not None:
        widths = [width * line_length // 76 for width in widths]
    widths += [_TRAINABLE_WIDTH + 2] * show_trainable
    top, header, under, body, between, bottom = _BOXES if _is_unicode() else _PLAIN
    lines = [f'Model: "{network.name}"', _rule(widths, top)]
    lines += _cells(widths, header, [_HEADER[i] for i in columns])
    for index, row in enumerate(rows):
        lines.append(_rule(widths, between if index else under))
        lines += _cells(widths, body, [row[i] for i in columns])
    lines.append(_rule(widths, bottom))
    weights = network.weights
    lines += [
        f" Total params: {_amount(weights)}",
        f" Trainable params: {_amount([v for v in weights if v.trainable])}",
        f" Non-trainable params: {_amount([v for v in weights if not v.trainable])}",
    ]
    return "\n".join(lines)


def _branches(network: Network) -> bool:
    """Whether the layers are more than a chain, in which each follows the one before."""
    calls = network.layer_calls
    one_each = len({call.layer for call in calls}) == len(calls)
    chained = all(len(call.inputs) == 1 for call in calls)
    sources = [call.inputs[0] for call in calls if call.inputs]
    return not (one_each and chained and len(set(sources)) == len(sources))


def _rows(network: Network, prefix: str = "", *, expand_nested: bool) -> list[Sequence[str]]:
    from .network import Network

    rows: list[Sequence[str]] = []
    is_stack = not network.layer_calls or type(network).may_be_empty
    for row in network.layers if is_stack else network.rows:
        rows.append(_row(network, row, prefix))
        if expand_nested and isinstance(row, Network):
            rows += _rows(row, f"{prefix}└\N{NO-BREAK SPACE}", expand_nested=True)
    return rows


def _row(network: Network, row: Layer | SymbolicTensor, prefix: str) -> Sequence[str]:
    if isinstance(row, SymbolicTensor):
        return f"{prefix}{row.name} (InputLayer)", str(row.shape), "0", "-", "-"
    calls = [call for call in network.layer_calls if call.layer is row]
    shapes = [str(x.shape) for x in calls[0].outputs] if calls else ["?"]
    sources = [_source(x) for call in calls for x in call.inputs]
    return (
        f"{prefix}{row.name} ({getattr(type(row), 'automatic_name', type(row).__name__)})",
        ", ".join(shapes),
        f"{row.count_params():,}" if row.built else "0 (unbuilt)",
        ", ".join(sources),
        ("Y" if row.trainable else "N") if row.weights else "-",
    )


def _source(x: SymbolicTensor) -> str:
    if x.call is None:
        return f"{x.name}[0][0]"
    return f"{x.name}[{x.call.layer.calls.index(x.call)}][{x.call.outputs.index(x)}]"


def _rule(widths: Sequence[int], characters: str) -> str:
    left, line, joint, right = list(characters)
    return left + joint.join(line * width for width in widths) + right


def _cells(widths: Sequence[int], border: str, texts: Sequence[str]) -> list[str]:
    """Return the lines of a row; long cells go on in the next line, at a space where there is one."""
    cells = [_wrapped(text, width - 2) for text, width in zip(texts, widths, strict=True)]
    lines = []
    for i in range(max(map(len, cells))):
        parts = [cell[i] if i < len(cell) else "" for cell in cells]
        padded = [
            f" {part:>{width - 2}} " if column == 2 else f" {part:<{width - 2}} "
            for column, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        lines.append(border + border.join(padded) + border)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    words = [word if len(word) <= width else f"{word[: width - 1]}…" for word in text.split(" ")]
    lines = textwrap.wrap(" ".join(words), width) or [""]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _amount(variables: Sequence[Variable]) -> str:
    size = float(sum(variable.value.nbytes for variable in variables))
    units = ["B", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{sum(v.value.size for v in variables):,} ({size:.2f} {units[0]})"


def _is_unicode() -> bool:
    return "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
