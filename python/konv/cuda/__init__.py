"""konv on CUDA devices: the names of `konv` and `konv.grad` for arrays of CuPy, PyTorch and JAX.

Arrays that are on a device stay there, and results come back as their kind, on the stream that their library works
on at the time of the call. NumPy arrays are copied to `device()` and results back. `konv.conv2d` and the others send
arrays that are on a device here.

Arguments, shapes and errors are those of the functions of the same names in `konv` and `konv.grad`; `threads` and
`max_workspace` mean nothing. Without the CUDA module, or without a device, calls raise RuntimeError, which says which
of the two is missing; where the device's memory is short MemoryError, and nothing has been written.

Examples
--------
>>> import numpy as np, konv
>>> image, filters = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 3, 3), np.float32)
>>> if konv.cuda.is_available():
...     on_device = konv.cuda.to_device(image)
...     result = konv.conv2d(on_device, konv.cuda.to_device(filters))  # queued; nothing is copied
...     assert konv.cuda.to_numpy(result).sum() == 36
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import _module, grad
from ._arrays import current_device, queue_of
from .conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)

if TYPE_CHECKING:
    from .._types import AnyArray

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "device",
    "device_count",
    "grad",
    "is_available",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "to_device",
    "to_numpy",
]


def is_available() -> bool:
    """Whether konv has its CUDA module and the machine a device.

    Returns
    -------
    bool
        `konv.info()["cuda"]` says why not.

    Examples
    --------
    >>> import konv
    >>> konv.cuda.is_available() == (konv.cuda.device_count() > 0)
    True
    """
    return not _module.unavailable()


def device_count() -> int:
    """How many devices there are.

    Returns
    -------
    int
        0 where `is_available()` is False.

    Examples
    --------
    >>> import konv
    >>> konv.cuda.device_count() >= 0
    True
    """
    found = _module.find()
    return 0 if found is None else int(found.device_count())


@contextmanager
def device(index: int) -> Iterator[None]:
    """Within a ``with`` block NumPy arrays go to this device; otherwise to device 0.

    Parameters
    ----------
    index : int
        From 0 on. Arrays that are on a device already decide themselves where they are computed.

    Raises
    ------
    ValueError
        There is no device of this number.
    RuntimeError
        There is no device at all, or konv was built without its CUDA module.

    Examples
    --------
    >>> import numpy as np, konv
    >>> if konv.cuda.device_count() > 1:
    ...     with konv.cuda.device(1):
    ...         assert konv.cuda.to_device(np.ones(3)).device == 1
    """
    count = _module.module().device_count()
    if not 0 <= index < count:
        raise ValueError(f"device: expected one of the {count} devices, from 0 on, got {index}")
    token = current_device.set(index)
    try:
        yield
    finally:
        current_device.reset(token)


def to_device(array: Any, *, stream: int | None = None) -> Any:
    """Copy a NumPy array to a device, as an array for konv and for any library that takes DLPack.

    Parameters
    ----------
    array : ndarray
    stream : int, optional
        The CUDA stream whose work the array belongs to; by default the legacy default stream.

    Returns
    -------
    DeviceArray
        With shape, strides, dtype, device, `numpy()` and ``__dlpack__``. An array that was on a device already is not
        copied.

    Raises
    ------
    TypeError
        It is not an array, or its elements are none that devices compute.
    RuntimeError
        There is no device, or konv was built without its CUDA module.
    MemoryError
        The device's memory is short.

    Examples
    --------
    >>> import numpy as np, konv
    >>> if konv.cuda.is_available():
    ...     array = konv.cuda.to_device(np.ones((2, 3), np.float32))
    ...     assert (array.shape, array.dtype) == ((2, 3), "float32")
    """
    queue, _ = queue_of((array,))
    if stream is not None and stream != queue[1]:
        queue = (queue[0], stream, "")
    return _module.module().as_device_array(queue, array)


def to_numpy(array: Any) -> AnyArray:
    """Copy an array of any library from its device.

    Parameters
    ----------
    array : DeviceArray, or an array of CuPy, PyTorch or JAX

    Returns
    -------
    ndarray
        With the same strides. The host waits for what the array's stream has been asked.

    Examples
    --------
    >>> import numpy as np, konv
    >>> if konv.cuda.is_available():
    ...     assert (konv.cuda.to_numpy(konv.cuda.to_device(np.arange(3))) == [0, 1, 2]).all()
    """
    result: AnyArray = to_device(array).numpy()
    return result
