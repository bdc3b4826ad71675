"""Tables, with rich on a terminal where it is installed and they fit, as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], summary: int = 1) -> None:
    """Print a table; the first column is text, the others are figures.

    Parameters
    ----------
    title : str
        Printed above.
    header : sequence of str
        Names of the columns; a line break makes a heading of two lines.
    rows : sequence of sequence of str
        The lines.
    summary : int
        How many of the last lines are set off.
    """
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(title, header, rows, summary)
        return
    console = Console()
    # Rich would guess the width of what is no terminal, and cut what a narrow one cannot show.
    if not console.is_terminal or table_width(header, rows) > console.width:
        _print_plain(title, header, rows, summary)
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for i, row in enumerate(rows):
        table.add_row(*row, end_section=i == len(rows) - summary - 1)
    console.print(table)


def _head_lines(header: Sequence[str]) -> list[list[str]]:
    heads = [name.split("\n") for name in header]
    height = max(map(len, heads))
    return [[(head + [""] * height)[i] for head in heads] for i in range(height)]


def _widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*_head_lines(header), *rows, strict=True)]


def table_width(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how many characters a line of the table takes on a terminal."""
    widths = _widths(header, rows)
    return sum(widths) + 3 * len(widths) + 1


def _print_plain(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], summary: int) -> None:
    widths = _widths(header, rows)
    rule = ["-" * width for width in widths]
    first_of_summary = len(rows) - summary
    body = [*rows[:first_of_summary], *([rule] if summary else []), *rows[first_of_summary:]]
    print(title)
    for first, *rest in (*_head_lines(header), rule, *body):
        figures = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *figures]).rstrip())
