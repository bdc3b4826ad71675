"""Where calls are timed: a GPU by the events of its stream, or the simulator by the wall clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

import konv
from konv._interop import as_ndarray
from konv.cuda import _module

TORCH_DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "tf32": torch.float32,
    "float32": torch.float32,
}
MATRIX, COPY = 8192, 1 << 30  # of the measured ceilings: rows of a square matrix, bytes
CEILING_ROUNDS = 9
# A sleep before each turn, for the host to be ahead of the device: cycles for each call.
SLEEP_CYCLES, MOST_SLEEP_CYCLES = 400_000, 40_000_000
FLUSH = 2  # times the second-level cache


class Machine(Protocol):
    """What a case needs of the place where it is timed."""

    device: str
    clock: str
    flush: bool
    most_calls: int  # of a turn

    def describe(self) -> dict[str, Any]:
        """Names and versions."""

    def own(self, tensor: Any) -> Any:
        """The array that konv is given for a tensor: on the device, with the same strides."""

    def tensor(self, array: Any) -> Any:
        """A result of konv as a tensor of float64."""

    def seconds(self, run: Callable[[], Any], calls: int) -> list[float]:
        """Time calls one by one."""

    def ceilings(self) -> dict[str, float]:
        """Measured: FLOPs a second of a matrix product by number format, and "bytes" a second of a copy."""


@contextmanager
def number_format(dtype: str) -> Iterator[None]:
    """Let konv and PyTorch multiply float32 on tensor cores ("tf32") or not."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
    try:
        with konv.config(precision="strict" if dtype == "float32" else "high"):
            yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _fastest(machine: Machine, run: Callable[[], Any]) -> float:
    machine.seconds(run, 2)
    return sorted(machine.seconds(run, CEILING_ROUNDS))[CEILING_ROUNDS // 2]


def _ceilings(machine: Machine, rows: int, copied: int) -> dict[str, float]:
    generator = torch.Generator(machine.device).manual_seed(0)
    found = {}
    for name, dtype in TORCH_DTYPES.items():
        a, b = (torch.randn(rows, rows, generator=generator, device=machine.device).to(dtype) for _ in range(2))
        with number_format(name):
            found[name] = 2.0 * rows**3 / _fastest(machine, lambda a=a, b=b: a @ b)  # type: ignore[misc]
    source = torch.randn(copied // 4, generator=generator, device=machine.device)
    target = torch.empty_like(source)
    found["bytes"] = 2.0 * copied / _fastest(machine, lambda: target.copy_(source))
    return found


class Gpu:
    """The current CUDA device of PyTorch."""

    device, clock, most_calls = "cuda", "device events", 20

    def __init__(self, *, flush: bool) -> None:
        self.flush = flush
        self.properties = torch.cuda.get_device_properties(0)
        size = FLUSH * getattr(self.properties, "L2_cache_size", 64 << 20)
        self.dirt = torch.empty(size, dtype=torch.int8, device=self.device)
        torch.backends.cudnn.benchmark = True

    def describe(self) -> dict[str, Any]:
        p = self.properties
        return {
            "device": f"{p.name}, capability {p.major}.{p.minor}, {p.multi_processor_count} multiprocessors",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "torch": torch.__version__,
            "konv": konv.__version__,
        }

    def own(self, tensor: Any) -> Any:
        return tensor

    def tensor(self, array: Any) -> Any:
        return array.double()

    def seconds(self, run: Callable[[], Any], calls: int) -> list[float]:
        marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(calls)]
        torch.cuda._sleep(min(SLEEP_CYCLES * calls, MOST_SLEEP_CYCLES))
        for start, end in marks:
            if self.flush:
                self.dirt.zero_()
            start.record()
            run()
            end.record()
        torch.cuda.synchronize()
        return [start.elapsed_time(end) / 1e3 for start, end in marks]

    def ceilings(self) -> dict[str, float]:
        return _ceilings(self, MATRIX, COPY)


class Simulator:
    """The simulated module beside PyTorch on the CPU: its times say nothing, its results are right or wrong."""

    device, clock, flush, most_calls = "cpu", "wall clock", False, 1

    def describe(self) -> dict[str, Any]:
        return {"device": "the simulator", "torch": torch.__version__, "konv": konv.__version__}

    def own(self, tensor: Any) -> Any:
        return konv.cuda.to_device(as_ndarray(tensor))

    def tensor(self, array: Any) -> Any:
        return torch.from_numpy(konv.cuda.to_numpy(array).astype("float64"))

    def seconds(self, run: Callable[[], Any], calls: int) -> list[float]:
        found = []
        for _ in range(calls):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
        return found

    def ceilings(self) -> dict[str, float]:
        return _ceilings(self, 64, 1 << 16)


def find(*, simulator: bool, flush: bool) -> Machine:
    """The machine to time on.

    Raises
    ------
    RuntimeError
        Where konv or PyTorch cannot use what was asked for.
    """
    module = _module.module()
    if simulator:
        if not module.simulator:
            raise RuntimeError("--simulator: konv._cuda is the module for GPUs; KONV_CUDA_SIMULATOR names another")
        return Simulator()
    if module.simulator:
        raise RuntimeError("konv._cuda is the simulator: its times mean nothing; --simulator checks results alone")
    if not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no CUDA device; cuDNN is called through it")
    return Gpu(flush=flush)
