"""Arrays that the core leaves to Python: those of other libraries, whose kind comes back, and complex ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from ._complex import conv, is_complex
from .cuda._arrays import call as cuda_call
from .cuda._arrays import on_device
from .cuda._module import module as cuda_module

# Where `out` is among the arguments of a call that devices compute.
_OUT = {
    **{f"conv{transposed}{spatial}d": 12 for transposed in ("", "_transpose") for spatial in (1, 2, 3)},
    **{
        f"conv{transposed}{spatial}d_{operand}": 10
        for transposed in ("", "_transpose")
        for spatial in (1, 2, 3)
        for operand in ("input", "weight")
    },
    "conv_bias": 2,
    **{
        f"{name}{spatial}d{gradient}": position
        for spatial in (1, 2, 3)
        for name, gradient, position in (
            ("max_pool", "", 9),
            ("avg_pool", "", 9),
            ("lp_pool", "", 6),
            ("adaptive_max_pool", "", 4),
            ("adaptive_avg_pool", "", 3),
            ("max_unpool", "", 7),
            ("max_pool", "_grad", 4),
            ("avg_pool", "_grad", 10),
            ("adaptive_avg_pool", "_grad", 3),
            ("lp_pool", "_grad", 7),
            ("max_unpool", "_grad", 4),
        )
    },
}
_TAKE_COMPLEX = (_core.conv1d, _core.conv2d, _core.conv3d)


def _is_torch(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_foreign(value: Any) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return False
    return hasattr(value, "__dlpack__") or hasattr(value, "__array_interface__")


def _from_torch(tensor: Any) -> np.ndarray[Any, Any]:
    import torch

    if tensor.requires_grad:
        raise TypeError("a tensor requires grad, which konv would lose; pass tensor.detach()")
    if tensor.device.type != "cpu":
        raise TypeError(f"expected a tensor in the CPU's memory, got one on {tensor.device}; tensor.cpu() copies it")
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()  # type: ignore[no-any-return]
    import ml_dtypes

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)  # type: ignore[no-any-return]


def as_ndarray(value: Any) -> np.ndarray[Any, Any]:
    """A NumPy array on the memory of `value`, which may be of any library that shares its memory."""
    if _is_torch(value):
        return _from_torch(value)
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as reason:
        # DLPack has no bfloat16 for NumPy; the array protocol copies where it must.
        if "bfloat16" in str(getattr(value, "dtype", "")) and hasattr(value, "__array__"):
            return np.asarray(value)
        raise TypeError(f"{type(value).__name__} does not share its memory with NumPy: {reason}") from reason


def _back(like: Any) -> Callable[[Any], Any]:
    """What turns a NumPy array into the kind of `like`."""
    if _is_torch(like):
        import torch

        def to_torch(result: np.ndarray[Any, Any]) -> Any:
            if result.dtype.name == "bfloat16":
                return torch.from_numpy(result.view(np.int16)).view(torch.bfloat16)
            return torch.from_numpy(result)

        return to_torch
    if type(like).__module__.partition(".")[0] in ("jax", "jaxlib"):
        import jax.numpy

        return jax.numpy.asarray  # type: ignore[no-any-return]
    return lambda result: result


def _call_on_device(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """The function of the same name and arguments that konv._cuda has."""
    name = function.__name__
    if keywords or not hasattr(cuda_module(), name):
        raise TypeError(f"{name}: computes in the host's memory alone; copy the arrays there first")
    return cuda_call(name, *args, out=args[_OUT[name]] if name in _OUT else None)


def call(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Call `function` with NumPy arrays in place of foreign ones; results come back as the first one's kind."""
    values = [*args, *keywords.values()]
    if any(map(on_device, values)):
        return _call_on_device(function, args, keywords)
    foreign = [value for value in values if is_foreign(value)]
    own = [as_ndarray(value) if is_foreign(value) else value for value in values]
    if function in _TAKE_COMPLEX and any(is_complex(value) for value in own):
        result: Any = conv(function, own)
    else:
        result = function(*own[: len(args)], **dict(zip(keywords, own[len(args) :], strict=True)))
    # `out` comes back as the object that was given.
    given = {id(array): value for array, value in zip(own, values, strict=True) if is_foreign(value)}
    back = _back(foreign[0]) if foreign else lambda result: result

    def restored(array: Any) -> Any:
        return given.get(id(array)) if id(array) in given else back(array)

    if isinstance(result, tuple):
        return tuple(restored(array) for array in result)
    return restored(result) if isinstance(result, np.ndarray) else result
