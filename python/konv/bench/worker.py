"""Contenders in processes of their own.

Whole networks meet here with runtimes that each bring a pool of threads, an allocator and settings of the process. In
one process they would share OMP_NUM_THREADS and memory, and the peak of one could not be told from that of another.
What processes do not part is the processors: threads of ONNX Runtime spin for some 40 ms after a call, those of
PyTorch's OpenMP for 10 ms, so that a pause of PAUSE stands before each turn.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from konv.bench.problem import Array, Prepared
from konv.bench.timing import TURN, turn

# Before each turn, in seconds: twice as long as the threads of any contender spin.
PAUSE = 0.1

Maker = Callable[..., Prepared]  # of arguments, and threads=


class ContenderError(Exception):
    """A contender could not be made, or could not compute: what it said."""


class Worker:
    """A process that makes a contender and times its calls; a context that ends the process.

    Parameters
    ----------
    make : callable
        Makes the contender in the process: `make(*arguments, threads=threads)`. Importable by its name, as
        `arguments` must be picklable.
    threads : int
        As many as it may use.
    """

    def __init__(self, make: Maker, *arguments: Any, threads: int) -> None:
        context = get_context("spawn")  # a fork would inherit pools without their threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments, threads), daemon=True)
        self._process.start()
        theirs.close()
        self._made = False

    def _ask(self, question: str, *arguments: Any) -> Any:
        self.wait()
        self._connection.send((question, arguments))
        return self._answer()

    def _answer(self) -> Any:
        try:
            good, value = self._connection.recv()
        except EOFError:
            self._process.join()
            raise ContenderError(f"its process ended with exit code {self._process.exitcode}") from None
        if not good:
            raise ContenderError(value)
        return value

    def wait(self) -> None:
        """Wait until the contender is made.

        Raises
        ------
        ContenderError
            As the other methods, if it cannot be made or fails.
        """
        if not self._made:
            self._answer()
            self._made = True

    def call(self) -> tuple[float, Array]:
        """Call the contender once; returns seconds and its result."""
        seconds, value = self._ask("call")
        return seconds, value

    def turn(self, first: float) -> float:
        """Return the seconds of the best call of a turn, as `timing.turn`; the caller pauses before."""
        best: float = self._ask("turn", first)
        return best

    def peak_bytes(self) -> int | None:
        """Return how far memory has grown beyond what it was when the contender had been made; None if unknown."""
        grown: int | None = self._ask("peak_bytes")
        return grown

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection, make: Maker, arguments: tuple[Any, ...], threads: int) -> None:
    """Make the contender, then answer questions until the process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        contender = _Contender(make(*arguments, threads=threads))
        connection.send((True, None))
        while True:
            question, details = connection.recv()
            connection.send((True, getattr(contender, question)(*details)))
    except EOFError:  # the parent is gone
        return
    except Exception as error:  # whatever a contender raises is a result
        connection.send((False, f"{type(error).__name__}: {error}".partition("\n")[0]))


class _Contender:
    """What is asked of a contender, on its side."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._start = _reset_peak()

    def call(self) -> tuple[float, Array]:
        start = time.perf_counter()
        value = self._prepared.run()
        return time.perf_counter() - start, np.asarray(self._prepared.fetch(value))

    def turn(self, first: float) -> float:
        return turn(self._prepared.run, TURN, first)

    def peak_bytes(self) -> int | None:
        return None if self._start is None else _status("VmHWM") - self._start


def _reset_peak() -> int | None:
    """Let the kernel's record of peak memory start now, at what is returned; None where it keeps none.

    getrusage's record would not do: it outlives exec, so that a child starts with its parent's.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int:
    """A size of this process, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
