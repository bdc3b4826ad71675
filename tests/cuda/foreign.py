"""A library of arrays on devices as DLPack describes one: makes capsules, and takes them.

Its memory is konv's own device memory, so that everything here runs on the simulator and on a GPU alike.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

CUDA, ROCM, READ_ONLY, IS_COPIED = 2, 10, 1, 2
INT, UINT, FLOAT, BFLOAT, COMPLEX, BOOL = 0, 1, 2, 4, 5, 6

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_api.PyCapsule_IsValid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_api.PyCapsule_SetName.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

NAMES = (b"dltensor", b"dltensor_versioned")
USED = (b"used_dltensor", b"used_dltensor_versioned")


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", Deleter))


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    )


def pointer_of(array: Any) -> int:
    """Where an array of konv begins."""
    return int(array.__cuda_array_interface__["data"][0])


@Destructor
def _destroy(capsule: int) -> None:
    """Of capsules that nobody took."""
    for name, kind in zip(NAMES, (Managed, Versioned), strict=True):
        if _api.PyCapsule_IsValid(capsule, name):
            address = _api.PyCapsule_GetPointer(capsule, name)
            kind.from_address(address).deleter(address)


class Producer:
    """An array to hand out. It counts its capsules, and the calls of their deleters.

    `shape` and `strides` are in elements, `offset` in bytes; strides None are null. `major` is the version that
    capsules name, None for those of before versions.
    """

    alive: dict[int, Any] = {}  # noqa: RUF012 - what capsules point to, by address, for all

    def __init__(
        self, pointer: int, shape: Sequence[int], dtype: tuple[int, int], *, strides: Sequence[int] | None = None,
        offset: int = 0, device: tuple[int, int] = (CUDA, 0), major: int | None = None, flags: int = 0, lanes: int = 1,
        keep: Any = None,
    ) -> None:  # fmt: skip
        self.tensor = (pointer, shape, dtype, strides, offset, lanes)
        self.device, self.major, self.flags, self.keep = device, major, flags, keep
        self.given = self.deleted = 0
        self.keywords: list[dict[str, Any]] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **keywords: Any) -> Any:
        self.keywords.append(keywords)
        if self.major is None and "max_version" in keywords:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        pointer, shape, (code, bits), strides, offset, lanes = self.tensor
        shape_array = (ctypes.c_int64 * len(shape))(*shape)
        strides_array = None if strides is None else (ctypes.c_int64 * len(strides))(*strides)
        tensor = Tensor(
            pointer, *self.device, len(shape), code, bits, lanes, shape_array,
            ctypes.cast(strides_array, ctypes.POINTER(ctypes.c_int64)), offset,
        )  # fmt: skip

        @Deleter
        def delete(address: int) -> None:
            self.deleted += 1
            self.last = Producer.alive.pop(address)  # its code runs now: it must live a little longer

        managed: Any
        if self.major is None:
            managed = Managed(tensor, None, delete)
        else:
            managed = Versioned(self.major, 0, None, delete, self.flags, tensor)
        address = ctypes.addressof(managed)
        Producer.alive[address] = managed, shape_array, strides_array, delete, self.keep
        self.given += 1
        return _api.PyCapsule_New(address, NAMES[self.major is not None], _destroy)


class Consumer:
    """What another library makes of a capsule: reads it, renames it, and calls its deleter in the end."""

    def __init__(self, array: Any, **keywords: Any) -> None:
        capsule = array.__dlpack__(**keywords)
        self.versioned = bool(_api.PyCapsule_IsValid(id(capsule), NAMES[1]))
        name, kind = NAMES[self.versioned], (Managed, Versioned)[self.versioned]
        self._address = _api.PyCapsule_GetPointer(id(capsule), name)
        self._managed = kind.from_address(self._address)
        assert _api.PyCapsule_SetName(id(capsule), USED[self.versioned]) == 0
        tensor = self._managed.tensor
        self.data, self.device = tensor.data, (tensor.device_type, tensor.device)
        self.dtype = (tensor.code, tensor.bits, tensor.lanes)
        self.shape, self.strides = (tuple(axes[: tensor.ndim]) for axes in (tensor.shape, tensor.strides))
        self.offset = tensor.byte_offset
        self.version = (self._managed.major, self._managed.minor) if self.versioned else None
        self.flags = self._managed.flags if self.versioned else 0

    def close(self) -> None:
        """Say that the array is no longer needed."""
        self._managed.deleter(self._address)
