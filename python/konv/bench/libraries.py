"""What one writes with NumPy, SciPy or OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from konv.bench.layers import Layer
from konv.bench.problem import Array, Prepared, Problem, chain

# A matrix of im2col larger than this is left out: it would time the machine's memory, if it fits.
LARGEST_IM2COL = 1 << 30


def im2col(x: Array, layer: Layer) -> Array:
    """Copy the windows of each group into a matrix: (N, groups, C / groups * R * S, pixels)."""
    (top, left), dilation = layer.pad, layer.dilation
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    span = dilation * (layer.R - 1) + 1, dilation * (layer.S - 1) + 1
    windows = sliding_window_view(padded, span, (2, 3))
    step = layer.stride
    windows = windows[:, :, ::step, ::step, ::dilation, ::dilation].transpose(0, 1, 4, 5, 2, 3)
    return windows.reshape(layer.N, layer.groups, -1, windows.shape[4] * windows.shape[5])


def col2im(columns: Array, layer: Layer) -> Array:
    """Add the windows of `im2col` up where they came from."""
    n, _, height, width = layer.output_shape
    (above, before), step = layer.pad, layer.stride
    columns = columns.reshape(n, layer.C, layer.R, layer.S, height, width)
    padded = np.zeros((n, layer.C, layer.H + 2 * above, layer.W + 2 * before), columns.dtype)
    for r in range(layer.R):
        for s in range(layer.S):
            top, left = r * layer.dilation, s * layer.dilation
            padded[:, :, top : top + height * step : step, left : left + width * step : step] += columns[:, :, r, s]
    return padded[:, :, above : above + layer.H, before : before + layer.W]


class NumpyIm2col:
    """im2col, then a matrix product by BLAS."""

    name = "numpy"

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        layer, x = problem.layer, problem.x
        n, k, height, width = layer.output_shape
        taps = layer.C // layer.groups * layer.R * layer.S
        if x.itemsize * n * layer.groups * taps * height * width > LARGEST_IM2COL:
            return None
        if problem.direction == "forward":
            return Prepared(chain([self._forward(*part) for part in problem.passes], x))
        w = problem.w.reshape(layer.groups, k // layer.groups, taps)
        gy = problem.gy.reshape(n, layer.groups, k // layer.groups, height * width)
        if problem.direction == "input":
            return Prepared(lambda: col2im(w.swapaxes(1, 2) @ gy, layer))
        return Prepared(lambda: (gy @ im2col(x, layer).swapaxes(2, 3)).sum(0).reshape(layer.weight_shape))

    @staticmethod
    def _forward(layer: Layer, weight: Array) -> Callable[[Array], Array]:
        w = weight.reshape(layer.groups, layer.K // layer.groups, -1)
        return lambda x: (w @ im2col(x, layer)).reshape(layer.output_shape)


def filters_image(problem: Problem) -> bool:
    """Whether libraries for images compute the problem."""
    return problem.layer.is_filter and problem.direction == "forward"


class ScipyNdimage:
    """`scipy.ndimage.correlate` on each plane, `correlate1d` twice for separable kernels."""

    name = "scipy_ndimage"

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        from scipy import ndimage

        if not filters_image(problem):
            return None
        planes = problem.x.reshape(-1, *problem.x.shape[2:])
        kernels = [np.ascontiguousarray(weight[0, 0]) for weight in problem.weights]

        def whole() -> Any:
            return [ndimage.correlate(plane, kernels[0], mode="constant") for plane in planes]

        def twice() -> Any:
            column, row = (kernel.ravel() for kernel in kernels)
            passed = (ndimage.correlate1d(plane, column, 0, mode="constant") for plane in planes)
            return [ndimage.correlate1d(plane, row, 1, mode="constant") for plane in passed]

        run = twice if problem.layer.separable else whole
        return Prepared(run, lambda planes: np.reshape(planes, problem.x.shape))


class ScipySignal:
    """`scipy.signal.oaconvolve`: overlap-add with fast Fourier transforms."""

    name = "scipy_signal"

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        from scipy import fft, signal

        if not filters_image(problem) or problem.layer.separable:
            return None
        x, kernel = problem.x, np.ascontiguousarray(problem.w[:1, :, ::-1, ::-1])

        def run() -> Any:
            with fft.set_workers(self.threads):
                return signal.oaconvolve(x, kernel, mode="same", axes=(2, 3))

        return Prepared(run)


class OpenCv:
    """`cv2.filter2D` on an image with its channels last, `cv2.sepFilter2D` for separable kernels."""

    name = "opencv"

    def __init__(self, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)
        self.cv2 = cv2

    def prepare(self, problem: Problem) -> Prepared | None:
        """See Contender."""
        cv2, layer = self.cv2, problem.layer
        if not filters_image(problem) or layer.N > 1:
            return None
        image = np.ascontiguousarray(problem.x[0].transpose(1, 2, 0))
        kernels = [np.ascontiguousarray(weight[0, 0]) for weight in problem.weights]
        border = cv2.BORDER_CONSTANT
        run: Callable[[], Any]
        if layer.separable:
            column, row = kernels
            run = lambda: cv2.sepFilter2D(image, -1, row.T, column, borderType=border)  # noqa: E731
        else:
            run = lambda: cv2.filter2D(image, -1, kernels[0], borderType=border)  # noqa: E731
        return Prepared(run, lambda y: np.atleast_3d(y).transpose(2, 0, 1)[None])
