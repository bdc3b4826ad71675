"""Settings of the engine: for the process, or for a block of code in one thread."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from . import _core
from ._autotune import setting_of, table_of

__all__ = ["config", "get_num_threads", "info", "set_num_threads"]

_NAMES = ("isa", "precision", "denormals", "max_workspace", "autotune")


def _check_int(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name}: expected an integer from {low} to {high}, got {value!r}")
    return value


def _apply(settings: _core.Config, name: str, value: Any) -> None:
    if name == "isa":
        if not isinstance(value, str):
            raise TypeError(f"isa: expected a string, got {value!r}")
        settings.isa = value
    elif name == "precision":
        if value not in ("strict", "high", "medium"):
            raise ValueError(f"precision: expected 'strict', 'high' or 'medium', got {value!r}")
        settings.precision = value
    elif name == "denormals":
        if value not in ("flush", "keep"):
            raise ValueError(f"denormals: expected 'flush' or 'keep', got {value!r}")
        settings.keep_denormals = value == "keep"
    elif name == "max_workspace":
        settings.max_workspace = _check_int(name, value, 0, 2**62)
    elif name == "autotune":
        settings.autotune = table_of(value)
    else:
        raise AttributeError(f"konv.config has no setting {name!r}; it has {', '.join(_NAMES)}")


def _apply_all(settings: _core.Config, changes: dict[str, Any]) -> _core.Config:
    for name, value in changes.items():
        _apply(settings, name, value)
    return settings


class _Override:
    """What ``konv.config(...)`` returns: its settings hold inside the ``with`` block, in this thread alone."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self._changes = changes
        self._outer: list[_core.Config | None] = []
        _apply_all(_core.config(), changes)  # a wrong value fails here, not inside the block

    def __enter__(self) -> None:
        self._outer.append(_core.thread_config())
        _core.set_thread_config(_apply_all(_core.config(), self._changes))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _core.set_thread_config(self._outer.pop())


class _Config:
    """Process-wide settings as attributes; called, an override for a ``with`` block in the calling thread.

    Attributes
    ----------
    isa : str
        Instruction set in use, one of ``konv.info()["isa_levels"]``. The environment variable KONV_ISA sets it at
        import.
    precision : {"high", "strict", "medium"}
        "strict" allows only algorithms with the direct convolution's error, which excludes Winograd's. "medium" lets
        convolutions of float32 arrays round their factors to bfloat16 (8 bits; beyond 3.39e38 to infinity, subnormals
        to zero) and add the products in float32, which is up to twice as fast for 1x1, strided and large kernels.
        It is at work in the forward direction and the input gradient, where ``konv.info()["bfloat16"]`` is true and
        `konv.explain` chooses 'implicit_gemm_bf16' (not on Intel's CPUs, whose such products are no faster); everything
        else computes as "high".
    denormals : {"flush", "keep"}
        Whether arithmetic treats subnormal numbers as zero. The caller's own floating-point state never changes.
    max_workspace : int
        Bytes of scratch a thread that algorithms should keep to, beyond packed weights.
    autotune : bool or path
        False: the algorithm with the least estimated cost computes a convolution. True: the algorithms that can are
        timed when a problem (sizes, strides, settings) is first met, which takes some milliseconds, and the fastest
        computes it from then on. A path: times are also remembered in that file, for other processes of this version
        on such a processor; a file may be shared. Algorithms differ in rounding, so that with this setting alone
        results may differ from one day to another. `konv.explain` shows the times.

    Examples
    --------
    >>> import konv
    >>> with konv.config(isa="generic"):
    ...     konv.config.isa
    'generic'
    """

    @property
    def isa(self) -> str:
        return _core.config().isa

    @property
    def precision(self) -> str:
        return _core.config().precision

    @property
    def denormals(self) -> str:
        return "keep" if _core.config().keep_denormals else "flush"

    @property
    def max_workspace(self) -> int:
        return _core.config().max_workspace

    @property
    def autotune(self) -> bool | str:
        return setting_of(_core.config().autotune)

    def __call__(self, **changes: Any) -> _Override:
        return _Override(changes)

    def __setattr__(self, name: str, value: Any) -> None:
        settings = _core.process_config()
        _apply(settings, name, value)
        _core.set_process_config(settings)

    def __repr__(self) -> str:
        return "konv.config(" + ", ".join(f"{n}={getattr(self, n)!r}" for n in _NAMES) + ")"


config = _Config()


def set_num_threads(n: int) -> None:
    """Set how many threads a call may use, for the whole process.

    Parameters
    ----------
    n : int
        At least 1. At import it is KONV_NUM_THREADS, else OMP_NUM_THREADS, else the number of cores that the process
        may use (CPU affinity and the container's quota are honoured).

    Raises
    ------
    TypeError, ValueError
        `n` is no integer from 1 to 1024.

    Examples
    --------
    >>> import konv
    >>> konv.set_num_threads(konv.get_num_threads())
    """
    settings = _core.process_config()
    settings.threads = _check_int("n", n, 1, 1024)
    _core.set_process_config(settings)


def get_num_threads() -> int:
    """Return how many threads a call may use.

    Returns
    -------
    int
        As `set_num_threads` left it.

    Examples
    --------
    >>> import konv
    >>> konv.get_num_threads() >= 1
    True
    """
    return _core.config().threads


def _cuda_text() -> str:
    from .cuda import _module

    reason = _module.unavailable()
    if reason:
        return f"not available: {reason}"
    module = _module.module()

    def described(device: int) -> str:
        found = module.device_info(device)
        capability = ".".join(map(str, found["capability"]))
        return f"{found['name']} (capability {capability}, {found['memory'] / 2**30:.3g} GiB)"

    return ", ".join(map(described, range(module.device_count())))


def info() -> dict[str, Any]:
    """Describe this build and machine.

    Returns
    -------
    dict
        version, compiler, cpu, cores (that the process may use), l2_cache (bytes), isa_levels (that the CPU runs,
        lowest first), isa (the active one), bfloat16 (whether it multiplies in bfloat16, which precision "medium"
        asks for), threads, threading, plan_cache (a dict of size, capacity, hits, misses)
        and cuda (the devices, or why there are none to use).

    Examples
    --------
    >>> import konv
    >>> konv.info()["isa_levels"][0]
    'generic'
    """
    size, capacity, hits, misses = _core.plan_cache_info()
    return {
        "version": _core.__version__,
        "compiler": _core.compiler(),
        "cpu": _core.cpu_name(),
        "cores": _core.available_cores(),
        "l2_cache": _core.l2_cache_bytes(),
        "isa_levels": _core.isa_levels(),
        "isa": _core.config().isa,
        "bfloat16": _core.has_bfloat16(),
        "threads": _core.config().threads,
        "threading": _core.threading_backend(),
        "plan_cache": {"size": size, "capacity": capacity, "hits": hits, "misses": misses},
        "cuda": _cuda_text(),
    }
