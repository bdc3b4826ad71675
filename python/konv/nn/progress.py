"""The progress bar of fit, evaluate and predict: Keras's line, coloured where rich is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

_WIDTH = 20


class Progress:
    """One line that grows: steps, time, and the figures so far.

    On a terminal the line is redrawn as steps pass; elsewhere it is printed once, at the end.

    Parameters
    ----------
    steps : int, optional
        How many there will be; None where nobody knows.
    verbose : {"auto", 0, 1, 2}
        0 is silent, 1 ("auto") draws a bar, 2 prints only the final line, without a bar.
    title : str
        Printed on a line of its own before the bar.
    """

    def __init__(self, steps: int | None, verbose: str | int = "auto", title: str = "") -> None:
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
        self.steps = steps
        self._silent = verbose == 0
        self._bar = verbose in ("auto", 1)
        self._live = self._bar and not self._silent and _can_redraw()
        self._console = _console() if self._live else None
        self._start = time.perf_counter()
        self._drawn = 0.0
        self._width = 0
        if title and not self._silent:
            print(title)

    def is_due(self) -> bool:
        """Whether to call `update` now: at most ten times a second, and only on a terminal."""
        return self._live and time.perf_counter() - self._drawn >= 0.1

    def update(self, step: int, figures: Mapping[str, float]) -> None:
        """Redraw after `step` steps."""
        self._drawn = time.perf_counter()
        passed = self._drawn - self._start
        clock = _duration(passed) if self.steps is None else f"{_duration(passed / step * (self.steps - step))} left"
        self._draw(step, clock, figures, end="\r")

    def finish(self, figures: Mapping[str, float], steps: int | None = None) -> None:
        """Draw the final line; `steps` says how many there were where nobody knew before."""
        if self._silent:
            return
        self.steps = self.steps if steps is None else steps
        self.steps = self.steps or 0
        seconds = time.perf_counter() - self._start
        per_step = _short(seconds / max(self.steps, 1))
        self._draw(self.steps, f"{_duration(seconds)} {per_step}/step", figures, end="\n")

    def _draw(self, step: int, clock: str, figures: Mapping[str, float], end: str) -> None:
        full, empty = ("━", "━" if self._console else "─") if _is_unicode() else ("=", ".")
        filled = 0 if self.steps is None else _WIDTH * step // max(self.steps, 1)
        count = f"{step}/?" if self.steps is None else f"{step:>{len(str(self.steps))}}/{self.steps}"
        bar = (full * filled, empty * (_WIDTH - filled)) if self._bar else ("", "")
        texts = [clock, *(f"{name}: {_figure(value)}" for name, value in figures.items())]
        tail = " - ".join(texts)
        length = len(count) + len(bar[0]) + len(bar[1]) + len(tail) + 2
        tail += " " * max(self._width - length, 0)
        self._width = length
        if self._console is not None:
            line = f"[bold]{count}[/] [green]{bar[0]}[/][bright_black]{bar[1]}[/] {tail}"
            self._console.print(line, end=end, soft_wrap=True, highlight=False)
        else:
            middle = f" {bar[0]}{bar[1]} " if self._bar else " - "
            print(f"{count}{middle}{tail}", end=end, flush=True)


def _can_redraw() -> bool:
    return sys.stdout.isatty() or "ipykernel" in sys.modules


def _is_unicode() -> bool:
    return "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()


def _console() -> Any:
    """Return rich's console, or None without it."""
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout)


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _short(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-2 else f"{seconds * 1e3:.1f}ms"
