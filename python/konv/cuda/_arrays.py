"""From arrays of any library to a call of konv._cuda, and back to the kind that was given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import _module

_CUDA_MEMORY = (2, 13)  # DLPack's device types: of a device, and managed
_LEGACY_STREAM = 1
_IN_STREAM_ORDER = ("torch", "cupy")  # libraries whose memory is reused in the order of the stream they work on

current_device: ContextVar[int] = ContextVar("konv.cuda.device", default=0)
"""Where NumPy arrays go."""


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def on_device(value: Any) -> bool:
    """Whether `value` is an array in a CUDA device's memory."""
    if isinstance(value, (np.ndarray, np.generic)):
        return False
    if _library(value) == "torch":
        return bool(getattr(value, "is_cuda", False))
    if hasattr(value, "__dlpack_device__"):
        return int(value.__dlpack_device__()[0]) in _CUDA_MEMORY
    return hasattr(value, "__cuda_array_interface__")


def _device(value: Any) -> int:
    if hasattr(value, "__dlpack_device__"):
        return int(value.__dlpack_device__()[1])
    data = value.__cuda_array_interface__.get("data")
    address = data[0] if isinstance(data, tuple) and data and isinstance(data[0], int) else 0
    return max(0, int(_module.module().device_of_memory(address))) if address else current_device.get()


def _stream(value: Any, device: int) -> int:
    """The stream on which the library of `value` would work now."""
    library = _library(value)
    if library == "torch":
        return int(sys.modules["torch"].cuda.current_stream(device).cuda_stream)
    if library == "cupy":
        return int(sys.modules["cupy"].cuda.get_current_stream(device).ptr)
    own = getattr(value, "stream", None)  # of konv's own arrays
    return own if isinstance(own, int) else _LEGACY_STREAM


def _jax_array(array: Any) -> Any:
    import jax.dlpack

    return jax.dlpack.from_dlpack(array)


def _back(like: Any) -> Callable[[Any], Any]:
    """What turns a device array into the kind of `like`."""
    library = _library(like)
    if library == "torch":
        return sys.modules["torch"].from_dlpack  # type: ignore[no-any-return]
    if library == "cupy":
        return sys.modules["cupy"].from_dlpack  # type: ignore[no-any-return]
    return _jax_array if library in ("jax", "jaxlib") else lambda array: array


def _host_array(value: Any) -> Any:
    """Arrays of other libraries in the host's memory, as NumPy's; anything else as it is."""
    from .._interop import as_ndarray, is_foreign

    return as_ndarray(value) if is_foreign(value) and not on_device(value) else value


def queue_of(values: tuple[Any, ...]) -> tuple[tuple[int, int, str], Any]:
    """Where a call with these arguments works, and the first of them that is on a device, or None.

    Where is a device, a stream, and the library whose stream it is, if that reuses memory in the stream's order.
    """
    for value in values:
        if on_device(value):
            device = _device(value)
            library = _library(value)
            return (device, _stream(value, device), library if library in _IN_STREAM_ORDER else ""), value
    return (current_device.get(), _LEGACY_STREAM, ""), None


def call(name: str, *args: Any, out: Any = None) -> Any:
    """Call a function of konv._cuda; results come back as the kind of the first array on a device, else NumPy's.

    `out` is the one of `args` that receives the result, of several the first, and comes back as the object that was
    given.
    """
    function = getattr(_module.module(), name)
    queue, like = queue_of(args)
    result = function(queue, *map(_host_array, args))
    back = _back(like) if like is not None else lambda array: array.numpy()
    first, *others = result if isinstance(result, tuple) else (result,)
    if out is not None and not on_device(out):
        np.copyto(_host_array(out), first.numpy())
    first = back(first) if out is None else out
    return (first, *map(back, others)) if others else first
