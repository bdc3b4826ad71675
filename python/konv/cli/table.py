"""Tables, with rich on a terminal where it is installed, as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are figures.

    Parameters
    ----------
    title : str
        Printed above.
    header : sequence of str
        Names of the columns; a line break makes a heading of two lines.
    rows : sequence of sequence of str
        The last one is set off as a summary.
    """
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _print_plain(title, header, rows)
        return
    console = Console()
    if not console.is_terminal:  # whose width rich would have to guess
        _print_plain(title, header, rows)
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for i, row in enumerate(rows):
        table.add_row(*row, end_section=i == len(rows) - 2)
    console.print(table)


def _print_plain(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    names = [name.replace("\n", " ") for name in header]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    print(title)
    for cells in (names, rule, *rows[:-1], rule, rows[-1]):
        first, *rest = cells
        figures = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *figures]).rstrip())
