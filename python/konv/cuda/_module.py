"""The extension module konv._cuda, where it was built, and what to say where it was not."""

from __future__ import annotations

import importlib
from typing import Any

_NO_BUILD = (
    "konv was built without its CUDA module; install it from source with the CUDA toolkit at hand: "
    "pip install . -C cmake.define.KONV_CUDA=ON"
)

_found: Any = None


def find() -> Any:
    """The module, or None where konv was built without it."""
    global _found
    if _found is None:
        try:
            _found = importlib.import_module("konv._cuda")
        except ModuleNotFoundError as error:
            if error.name != "konv._cuda":
                raise
    return _found


def unavailable() -> str:
    """Why no device can be used; empty where one can."""
    module = find()
    if module is None:
        return _NO_BUILD
    reason: str = module.unavailable_reason()
    return reason and f"konv has its CUDA module, but finds no device: {reason}; konv.conv2d and the others use the CPU"


def module() -> Any:
    """The module, for work on a device."""
    found = find()
    if found is None or found.device_count() == 0:
        raise RuntimeError(unavailable())
    return found
