"""Everyone who can run in a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import konv
from konv.bench.engine import Konv, Plan
from konv.bench.libraries import NumpyIm2col, OpenCv, ScipyNdimage, ScipySignal
from konv.bench.problem import Contender
from konv.bench.runtimes import Ncnn, OnnxRuntime, OpenVino, Torch


@dataclass(frozen=True)
class Entry:
    """A contender's module that must be there, what installs it, and how it is made for a number of threads."""

    make: Callable[[int], Contender]
    modules: tuple[str, ...] = ()
    packages: str = ""

    @property
    def installed(self) -> bool:
        """Whether everything that it needs is there."""
        return all(find_spec(module) for module in self.modules)


EVERYONE: dict[str, Entry] = {
    "konv": Entry(Konv),
    "plan": Entry(Plan),
    "numpy": Entry(lambda _: NumpyIm2col()),
    "scipy_ndimage": Entry(lambda _: ScipyNdimage(), ("scipy",), "scipy"),
    "scipy_signal": Entry(ScipySignal, ("scipy",), "scipy"),
    "opencv": Entry(OpenCv, ("cv2",), "opencv-python-headless"),
    "torch": Entry(lambda threads: Torch(threads, channels_last=False), ("torch",), "torch"),
    "torch_channels_last": Entry(lambda threads: Torch(threads, channels_last=True), ("torch",), "torch"),
    "onnxruntime": Entry(OnnxRuntime, ("onnxruntime", "onnx"), "onnxruntime onnx"),
    "openvino": Entry(OpenVino, ("openvino",), "openvino"),
    "ncnn": Entry(Ncnn, ("ncnn",), "ncnn"),
}


def installed() -> list[str]:
    """Return the names of the contenders that can run here, konv first."""
    return [name for name, entry in EVERYONE.items() if entry.installed]


def contenders(threads: int, names: Sequence[str] | None = None) -> list[Contender]:
    """Make contenders.

    Parameters
    ----------
    threads : int
        As many as each may use.
    names : sequence of str, optional
        By default everyone who is installed. konv runs in any case, first.

    Raises
    ------
    ValueError
        For a name that is unknown.
    ImportError
        For a contender that is not installed.
    """
    if names is None:
        names = installed()
    for name in names:
        if name not in EVERYONE:
            raise ValueError(f"contenders: expected some of {', '.join(EVERYONE)}, got {name!r}")
        if not EVERYONE[name].installed:
            raise ImportError(f"contenders: {name} is not installed: pip install {EVERYONE[name].packages}")
    return [EVERYONE[name].make(threads) for name in dict.fromkeys(["konv", *names])]


def blas_limit(threads: int) -> AbstractContextManager[Any] | None:
    """Hold NumPy's BLAS to `threads`; None where nothing that could do it is installed."""
    try:
        import threadpoolctl
    except ImportError:
        return nullcontext() if threads == konv.get_num_threads() else None
    limit: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(threads, "blas")
    return limit
