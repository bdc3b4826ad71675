"""Pooling to sizes that the caller names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from . import _core

if TYPE_CHECKING:
    from typing import Unpack

    from ._types import (
        AnyArray,
        Array,
        IntArray,
        Layout1D,
        Layout2D,
        Layout3D,
        Options1D,
        Options2D,
        Options3D,
        OutputSize1D,
        OutputSize2D,
        OutputSize3D,
    )

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
]


def adaptive_avg_pool1d(
    input: Array,
    output_size: OutputSize1D,
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Mean of each part of a signal that is cut into `output_size` parts; with 1, global average pooling.

    Semantics are those of `torch.nn.functional.adaptive_avg_pool1d`; parts are those of `konv.adaptive_max_pool1d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, W) or (C, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NWC"`` (N, W, C) or (W, C).
    output_size, layout, out, threads, max_workspace
        As in `konv.adaptive_max_pool1d`.

    Returns
    -------
    ndarray, shape (N, C, W') or (C, W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.adaptive_avg_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[2. , 3.5]]])
    """
    return _core.adaptive_avg_pool1d(input, output_size, layout, out, threads, max_workspace)


def adaptive_avg_pool2d(
    input: Array,
    output_size: OutputSize2D,
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Mean of each part of an image that is cut into `output_size` parts; with 1, global average pooling.

    Semantics are those of `torch.nn.functional.adaptive_avg_pool2d`; parts are those of `konv.adaptive_max_pool2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    output_size, layout, out, threads, max_workspace
        As in `konv.adaptive_max_pool2d`.

    Returns
    -------
    ndarray, shape (N, C, H', W') or (C, H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> konv.adaptive_avg_pool2d(image, (2, 1))
    array([[[[2.5],
             [5.5]]]], dtype=float32)
    """
    return _core.adaptive_avg_pool2d(input, output_size, layout, out, threads, max_workspace)


def adaptive_avg_pool3d(
    input: Array,
    output_size: OutputSize3D,
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Mean of each part of a volume that is cut into `output_size` parts; with 1, global average pooling.

    Semantics are those of `torch.nn.functional.adaptive_avg_pool3d`; parts are those of `konv.adaptive_max_pool3d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    output_size, layout, out, threads, max_workspace
        As in `konv.adaptive_max_pool3d`.

    Returns
    -------
    ndarray, shape (N, C, D', H', W') or (C, D', H', W'), in the order of `layout`

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> volume = np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2)
    >>> konv.adaptive_avg_pool3d(volume, 1).item()
    3.5
    """
    return _core.adaptive_avg_pool3d(input, output_size, layout, out, threads, max_workspace)


@overload
def adaptive_max_pool1d(
    input: AnyArray,
    output_size: OutputSize1D,
    return_indices: Literal[False] = False,
    **options: Unpack[Options1D],
) -> AnyArray: ...


@overload
def adaptive_max_pool1d(
    input: AnyArray,
    output_size: OutputSize1D,
    *,
    return_indices: Literal[True],
    **options: Unpack[Options1D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def adaptive_max_pool1d(
    input: AnyArray,
    output_size: OutputSize1D,
    return_indices: bool = False,
    **options: Unpack[Options1D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def adaptive_max_pool1d(
    input: AnyArray,
    output_size: OutputSize1D,
    return_indices: bool = False,
    *,
    layout: Layout1D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each part of a signal that is cut into `output_size` parts.

    Semantics are those of `torch.nn.functional.adaptive_max_pool1d`: along an axis of n elements part i of k holds
    those from ``floor(i * n / k)`` to below ``ceil((i + 1) * n / k)``.

    Parameters
    ----------
    input : ndarray, shape (N, C, W) or (C, W)
        Of any dtype that `konv.max_pool1d` takes. With ``layout="NWC"`` (N, W, C) or (W, C).
    output_size : int, None or a tuple of 1 such
        None keeps the size of `input`.
    return_indices, layout, out, threads, max_workspace
        As in `konv.max_pool1d`.

    Returns
    -------
    values : ndarray, shape (N, C, W') or (C, W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        As of `konv.max_pool1d`, with `return_indices` alone.

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> konv.adaptive_max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[3., 5.]]])
    """
    return _core.adaptive_max_pool1d(input, output_size, return_indices, layout, out, threads, max_workspace)


@overload
def adaptive_max_pool2d(
    input: AnyArray,
    output_size: OutputSize2D,
    return_indices: Literal[False] = False,
    **options: Unpack[Options2D],
) -> AnyArray: ...


@overload
def adaptive_max_pool2d(
    input: AnyArray,
    output_size: OutputSize2D,
    *,
    return_indices: Literal[True],
    **options: Unpack[Options2D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def adaptive_max_pool2d(
    input: AnyArray,
    output_size: OutputSize2D,
    return_indices: bool = False,
    **options: Unpack[Options2D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def adaptive_max_pool2d(
    input: AnyArray,
    output_size: OutputSize2D,
    return_indices: bool = False,
    *,
    layout: Layout2D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each part of an image that is cut into `output_size` parts.

    Semantics are those of `torch.nn.functional.adaptive_max_pool2d`: along an axis of n elements part i of k holds
    those from ``floor(i * n / k)`` to below ``ceil((i + 1) * n / k)``.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        Of any dtype that `konv.max_pool2d` takes. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    output_size : int, None or a tuple of 2 such
        None keeps the size of `input`.
    return_indices, layout, out, threads, max_workspace
        As in `konv.max_pool2d`.

    Returns
    -------
    values : ndarray, shape (N, C, H', W') or (C, H', W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        As of `konv.max_pool2d`, with `return_indices` alone.

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> konv.adaptive_max_pool2d(image, (2, 1))
    array([[[[5.],
             [8.]]]], dtype=float32)
    """
    return _core.adaptive_max_pool2d(input, output_size, return_indices, layout, out, threads, max_workspace)


@overload
def adaptive_max_pool3d(
    input: AnyArray,
    output_size: OutputSize3D,
    return_indices: Literal[False] = False,
    **options: Unpack[Options3D],
) -> AnyArray: ...


@overload
def adaptive_max_pool3d(
    input: AnyArray,
    output_size: OutputSize3D,
    *,
    return_indices: Literal[True],
    **options: Unpack[Options3D],
) -> tuple[AnyArray, IntArray]: ...


@overload
def adaptive_max_pool3d(
    input: AnyArray,
    output_size: OutputSize3D,
    return_indices: bool = False,
    **options: Unpack[Options3D],
) -> AnyArray | tuple[AnyArray, IntArray]: ...


def adaptive_max_pool3d(
    input: AnyArray,
    output_size: OutputSize3D,
    return_indices: bool = False,
    *,
    layout: Layout3D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray | tuple[AnyArray, IntArray]:
    """Largest element of each part of a volume that is cut into `output_size` parts.

    Semantics are those of `torch.nn.functional.adaptive_max_pool3d`: along an axis of n elements part i of k holds
    those from ``floor(i * n / k)`` to below ``ceil((i + 1) * n / k)``.

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        Of any dtype that `konv.max_pool3d` takes. With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    output_size : int, None or a tuple of 3 such
        None keeps the size of `input`.
    return_indices, layout, out, threads, max_workspace
        As in `konv.max_pool3d`.

    Returns
    -------
    values : ndarray, shape (N, C, D', H', W') or (C, D', H', W'), in the order of `layout`
    indices : ndarray of int64, the same shape
        As of `konv.max_pool3d`, with `return_indices` alone.

    Raises
    ------
    TypeError, ValueError
        As `konv.max_pool2d`.

    Examples
    --------
    >>> import numpy as np, konv
    >>> volume = np.arange(8, dtype=np.float32).reshape(1, 1, 2, 2, 2)
    >>> konv.adaptive_max_pool3d(volume, 1).item()
    7.0
    """
    return _core.adaptive_max_pool3d(input, output_size, return_indices, layout, out, threads, max_workspace)
