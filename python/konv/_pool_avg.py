"""Average and power-average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from ._types import (
        AnyArray,
        Array,
        Convention,
        Layout1D,
        Layout2D,
        Layout3D,
        Padding2D,
        Padding3D,
        PoolPadding1D,
        Size1D,
        Size2D,
        Size3D,
    )

__all__ = ["avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"]


def avg_pool1d(
    input: AnyArray,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    padding: PoolPadding1D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout1D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray:
    """Mean of each window of a signal.

    Semantics are those of `torch.nn.functional.avg_pool1d`; see `konv.avg_pool2d`. PyTorch's has no
    `divisor_override`.

    Parameters
    ----------
    input : ndarray, shape (N, C, W) or (C, W)
        Of any dtype that `konv.avg_pool2d` takes. With ``layout="NWC"`` (N, W, C) or (W, C).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads,
    max_workspace
        As in `konv.avg_pool2d`, for 1 dimension; layouts are "NCW" and "NWC".

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
    >>> konv.avg_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[2. , 3.5]]])
    """
    return _core.avg_pool1d(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
        threads, max_workspace,
    )  # fmt: skip


def avg_pool2d(
    input: AnyArray,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    padding: Padding2D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout2D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray:
    """Mean of each window of an image.

    Semantics are those of `torch.nn.functional.avg_pool2d`. Sums are formed in float32 where elements are narrower.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32, float64, float16, bfloat16 or int64, any strides. Means of integers are rounded towards zero, as in
        PyTorch. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    kernel_size, stride, padding, ceil_mode
        As in `konv.max_pool2d`; padding is zeros.
    count_include_pad : bool
        Divide by the number of elements of a window within the padded input; else by those within the input.
    divisor_override : int, optional
        Divide all sums by this number.
    convention : {"torch", "onnx", "tf"}
        As in `konv.max_pool2d`. With "tf" padding is never counted, whatever `count_include_pad` says. The default of
        ONNX's count_include_pad is False. Elements that only `ceil_mode` lets a window reach are never counted, which
        is PyTorch's rule and ONNX's.
    layout, out, threads, max_workspace
        As in `konv.max_pool2d`.

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
    >>> image = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    >>> konv.avg_pool2d(image, 2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
    """
    return _core.avg_pool2d(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
        threads, max_workspace,
    )  # fmt: skip


def avg_pool3d(
    input: AnyArray,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    padding: Padding3D = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    convention: Convention = "torch",
    layout: Layout3D | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> AnyArray:
    """Mean of each window of a volume.

    Semantics are those of `torch.nn.functional.avg_pool3d`; see `konv.avg_pool2d`.

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        Of any dtype that `konv.avg_pool2d` takes. With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out, threads,
    max_workspace
        As in `konv.avg_pool2d`, for 3 dimensions; layouts are "NCDHW" and "NDHWC".

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
    >>> konv.avg_pool3d(volume, 2).item()
    3.5
    """
    return _core.avg_pool3d(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, convention, layout, out,
        threads, max_workspace,
    )  # fmt: skip


def lp_pool1d(
    input: Array,
    norm_type: float,
    kernel_size: Size1D,
    stride: Size1D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout1D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Norm of each window of a signal: ``(sum |x|**p)**(1 / p)``.

    The signature is that of `torch.nn.functional.lp_pool1d`, the values those of ONNX's LpPool. PyTorch differs in two
    ways: it takes powers of x, not of ``|x|``, and it rescales the sums of windows that `ceil_mode` lets reach outside,
    where konv sums what lies inside.

    Parameters
    ----------
    input : ndarray, shape (N, C, W) or (C, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NWC"`` (N, W, C) or (W, C).
    norm_type : float
        The exponent p, positive and finite.
    kernel_size, stride, ceil_mode, layout, out, threads, max_workspace
        As in `konv.max_pool1d`.

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
    >>> konv.lp_pool1d(np.array([3.0, 4.0]).reshape(1, 1, 2), 2, 2).item()
    5.0
    """
    return _core.lp_pool1d(input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace)


def lp_pool2d(
    input: Array,
    norm_type: float,
    kernel_size: Size2D,
    stride: Size2D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout2D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Norm of each window of an image: ``(sum |x|**p)**(1 / p)``.

    The signature is that of `torch.nn.functional.lp_pool2d`, the values those of ONNX's LpPool. PyTorch differs in two
    ways: it takes powers of x, not of ``|x|``, and it rescales the sums of windows that `ceil_mode` lets reach outside,
    where konv sums what lies inside.

    Parameters
    ----------
    input : ndarray, shape (N, C, H, W) or (C, H, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NHWC"`` (N, H, W, C) or (H, W, C).
    norm_type : float
        The exponent p, positive and finite.
    kernel_size, stride, ceil_mode, layout, out, threads, max_workspace
        As in `konv.max_pool2d`.

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
    >>> konv.lp_pool2d(np.array([3.0, 4.0]).reshape(1, 1, 1, 2), 2, (1, 2)).item()
    5.0
    """
    return _core.lp_pool2d(input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace)


def lp_pool3d(
    input: Array,
    norm_type: float,
    kernel_size: Size3D,
    stride: Size3D | None = None,
    ceil_mode: bool = False,
    *,
    layout: Layout3D | None = None,
    out: Array | None = None,
    threads: int | None = None,
    max_workspace: int | None = None,
) -> Array:
    """Norm of each window of a volume: ``(sum |x|**p)**(1 / p)``.

    The signature is that of `torch.nn.functional.lp_pool3d`, the values those of ONNX's LpPool. PyTorch differs in two
    ways: it takes powers of x, not of ``|x|``, and it rescales the sums of windows that `ceil_mode` lets reach outside,
    where konv sums what lies inside.

    Parameters
    ----------
    input : ndarray, shape (N, C, D, H, W) or (C, D, H, W)
        float32, float64, float16 or bfloat16, any strides. With ``layout="NDHWC"`` (N, D, H, W, C) or (D, H, W, C).
    norm_type : float
        The exponent p, positive and finite.
    kernel_size, stride, ceil_mode, layout, out, threads, max_workspace
        As in `konv.max_pool3d`.

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
    >>> konv.lp_pool3d(np.array([3.0, 4.0]).reshape(1, 1, 1, 1, 2), 2, (1, 1, 2)).item()
    5.0
    """
    return _core.lp_pool3d(input, norm_type, kernel_size, stride, ceil_mode, layout, out, threads, max_workspace)
