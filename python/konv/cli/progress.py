"""A progress bar, with rich on a terminal where it is installed, as a plain line on other terminals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], name: Callable[[T], str]) -> Iterator[T]:
    """Yield the items, and show on standard error how far one is; silent where that is no terminal.

    Parameters
    ----------
    items : sequence
        What to go through.
    name : callable
        Says what stands beside the bar while an item is worked on.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield from _track_plain(items, name)
        return
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    # Drawn only between items: a thread that draws would disturb what is timed.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(items))
        for item in items:
            progress.update(task, description=name(item), refresh=True)
            yield item
            progress.advance(task)


def _track_plain(items: Sequence[T], name: Callable[[T], str]) -> Iterator[T]:
    for i, item in enumerate(items):
        print(f"\r\033[K{i + 1}/{len(items)} {name(item)}", end="", file=sys.stderr, flush=True)
        yield item
    print("\r\033[K", end="", file=sys.stderr, flush=True)
