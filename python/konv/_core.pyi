from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ._types import (
    Activation,
    AnyArray,
    Array,
    ByteArray,
    DType,
    IntArray,
    Layout,
    OutputSize1D,
    OutputSize2D,
    OutputSize3D,
    Padding,
    Scale,
    Size,
    ZeroPoint,
)

__version__: str

class Config:
    """Settings that hold for a call."""

    isa: str
    threads: int
    max_workspace: int
    autotune: int
    keep_denormals: bool
    precision: str
    def __init__(self, arg0: Config, /) -> None: ...

def config() -> Config: ...
def settings() -> tuple[int, ...]: ...
def process_config() -> Config: ...
def set_process_config(config: Config) -> None: ...
def thread_config() -> Config | None: ...
def set_thread_config(config: Config | None) -> None: ...
def isa_levels() -> list[str]: ...
def has_bfloat16() -> bool: ...
def cpu_name() -> str: ...
def available_cores() -> int: ...
def default_threads() -> int: ...
def threading_backend() -> str: ...
def l2_cache_bytes() -> int: ...
def multiply_add_gflops(f64: bool, threads: int) -> float: ...
def compiler() -> str: ...
def plan_cache_info() -> tuple[int, int, int, int]: ...
def autotune_table(path: bytes) -> int: ...
def autotune_path(table: int) -> bytes: ...
def remember_times(table: int, key: str, times: list[tuple[str, float]]) -> None: ...
def clear_plan_cache() -> None: ...

class _Convolution(Protocol):
    def __call__(
        self, input: Array, weight: Array, bias: Array | None, stride: Size, padding: Padding, dilation: Size,
        groups: int, padding_mode: str, layout: Layout | None, activation: Activation | None, residual: Array | None,
        algorithm: str, out: Array | None, threads: int | None, max_workspace: int | None, /,
    ) -> Array: ...  # fmt: skip

class _TransposedConvolution(Protocol):
    def __call__(
        self, input: Array, weight: Array, bias: Array | None, stride: Size, padding: Padding, dilation: Size,
        groups: int, padding_mode: str, layout: Layout | None, activation: Activation | None, residual: Array | None,
        algorithm: str, out: Array | None, threads: int | None, max_workspace: int | None, output_padding: Size, /,
    ) -> Array: ...  # fmt: skip

class _InputGradient(Protocol):
    def __call__(
        self, input_size: tuple[int, ...], weight: Array, grad_output: Array, stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, algorithm: str, out: Array | None,
        threads: int | None, max_workspace: int | None, accumulate: bool, /, *output_padding: Size,
    ) -> Array: ...  # fmt: skip

class _WeightGradient(Protocol):
    def __call__(
        self, input: Array, weight_size: tuple[int, ...], grad_output: Array, stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, algorithm: str, out: Array | None,
        threads: int | None, max_workspace: int | None, accumulate: bool, per_sample: bool, /, *output_padding: Size,
    ) -> Array: ...  # fmt: skip

class _Explanation(Protocol):
    def __call__(
        self, input_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, algorithm: str, threads: int | None,
        max_workspace: int | None, dtype: str, direction: str, plan: bool, output_padding: Size, /,
    ) -> tuple[list[tuple[str, str, float, float, bool]], float, str]: ...  # fmt: skip

conv1d: _Convolution
conv_transpose1d: _TransposedConvolution
conv1d_input: _InputGradient
conv1d_weight: _WeightGradient
conv_transpose1d_input: _InputGradient
conv_transpose1d_weight: _WeightGradient
explain_conv1d: _Explanation
conv2d: _Convolution
conv_transpose2d: _TransposedConvolution
conv2d_input: _InputGradient
conv2d_weight: _WeightGradient
conv_transpose2d_input: _InputGradient
conv_transpose2d_weight: _WeightGradient
explain_conv2d: _Explanation
conv3d: _Convolution
conv_transpose3d: _TransposedConvolution
conv3d_input: _InputGradient
conv3d_weight: _WeightGradient
conv_transpose3d_input: _InputGradient
conv_transpose3d_weight: _WeightGradient
explain_conv3d: _Explanation

def conv_bias(grad_output: Array, layout: str | None, out: Array | None, threads: int | None, /) -> Array: ...

class ConvPlan:
    """A convolution with a private, packed copy of its weights; `konv.plan_conv2d` makes one."""

    @property
    def algorithm(self) -> str | None: ...
    @property
    def workspace_bytes(self) -> int | None: ...
    @property
    def weight_bytes(self) -> int: ...
    def __call__(self, input: Array, /, *, residual: Array | None = None, out: Array | None = None) -> Array: ...
    def update(self, weight: Array, bias: Array | None = None) -> None: ...

class _Planning(Protocol):
    def __call__(
        self, weight: Array, bias: Array | None, input_shape: tuple[int | None, ...], stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, activation: Activation | None,
        algorithm: str, dtype: DType | None, threads: int | None, max_workspace: int | None, output_padding: Size, /,
    ) -> ConvPlan: ...  # fmt: skip

plan_conv1d: _Planning
plan_conv_transpose1d: _Planning
plan_conv2d: _Planning
plan_conv_transpose2d: _Planning
plan_conv3d: _Planning
plan_conv_transpose3d: _Planning

# Pooling: the functions of one, two and three dimensions take the same arguments.
_OutputSize = OutputSize1D | OutputSize2D | OutputSize3D
_Out = AnyArray | None
_Int = int | None  # threads and max_workspace among them
_Str = str | None  # the layout
_Maxima = AnyArray | tuple[AnyArray, IntArray]
_Shape = tuple[int, ...]

_MaxPool = Callable[[AnyArray, Size, Size | None, Padding, Size, bool, bool, str, _Str, _Out, _Int, _Int], _Maxima]
_AvgPool = Callable[[AnyArray, Size, Size | None, Padding, bool, bool, _Int, str, _Str, _Out, _Int, _Int], AnyArray]
_LpPool = Callable[[Array, float, Size, Size | None, bool, _Str, _Out, _Int, _Int], Array]
_AdaptiveMaxPool = Callable[[AnyArray, _OutputSize, bool, _Str, _Out, _Int, _Int], _Maxima]
_AdaptiveAvgPool = Callable[[Array, _OutputSize, _Str, _Out, _Int, _Int], Array]
_MaxUnpool = Callable[[Array, IntArray, Size, Size | None, Size, _Shape | None, _Str, _Out, _Int, _Int], Array]
_IndexGrad = Callable[[Array, IntArray, _Shape, _Str, _Out, _Int], Array]
_AdaptiveAvgPoolGrad = Callable[[Array, _Shape, _Str, _Out, _Int], Array]
_AvgPoolGrad = Callable[[Array, _Shape, Size, Size | None, Padding, bool, bool, _Int, str, _Str, _Out, _Int], Array]
_LpPoolGrad = Callable[[Array, Array, float, Size, Size | None, bool, _Str, _Out, _Int], Array]

max_pool1d: _MaxPool
max_pool2d: _MaxPool
max_pool3d: _MaxPool
avg_pool1d: _AvgPool
avg_pool2d: _AvgPool
avg_pool3d: _AvgPool
lp_pool1d: _LpPool
lp_pool2d: _LpPool
lp_pool3d: _LpPool
adaptive_max_pool1d: _AdaptiveMaxPool
adaptive_max_pool2d: _AdaptiveMaxPool
adaptive_max_pool3d: _AdaptiveMaxPool
adaptive_avg_pool1d: _AdaptiveAvgPool
adaptive_avg_pool2d: _AdaptiveAvgPool
adaptive_avg_pool3d: _AdaptiveAvgPool
max_unpool1d: _MaxUnpool
max_unpool2d: _MaxUnpool
max_unpool3d: _MaxUnpool
max_pool1d_grad: _IndexGrad
max_pool2d_grad: _IndexGrad
max_pool3d_grad: _IndexGrad
max_unpool1d_grad: _IndexGrad
max_unpool2d_grad: _IndexGrad
max_unpool3d_grad: _IndexGrad
adaptive_avg_pool1d_grad: _AdaptiveAvgPoolGrad
adaptive_avg_pool2d_grad: _AdaptiveAvgPoolGrad
adaptive_avg_pool3d_grad: _AdaptiveAvgPoolGrad
avg_pool1d_grad: _AvgPoolGrad
avg_pool2d_grad: _AvgPoolGrad
avg_pool3d_grad: _AvgPoolGrad
lp_pool1d_grad: _LpPoolGrad
lp_pool2d_grad: _LpPoolGrad
lp_pool3d_grad: _LpPoolGrad

class _IntConvolution(Protocol):
    def __call__(
        self, input: ByteArray, weight: ByteArray, bias: NDArray[np.int32] | None, input_zero_point: ZeroPoint,
        weight_zero_point: ZeroPoint, stride: Size, padding: Padding, dilation: Size, groups: int, padding_mode: str,
        layout: Layout | None, algorithm: str, out: NDArray[np.int32] | None, threads: int | None,
        max_workspace: int | None, /,
    ) -> NDArray[np.int32]: ...  # fmt: skip

conv1d_int: _IntConvolution
conv2d_int: _IntConvolution
conv3d_int: _IntConvolution

def conv2d_qlinear(
    input: ByteArray,
    input_scale: Scale,
    input_zero_point: ZeroPoint,
    weight: ByteArray,
    weight_scale: Scale,
    weight_zero_point: ZeroPoint,
    output_scale: Scale,
    output_zero_point: ZeroPoint,
    bias: NDArray[np.int32] | None,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: int,
    padding_mode: str,
    layout: Layout | None,
    algorithm: str,
    out: ByteArray | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> ByteArray: ...
def unfold(
    input: NDArray[Any],
    kernel_size: Size,
    dilation: Size,
    padding: Padding,
    stride: Size,
    layout: Layout | None,
    out: NDArray[Any] | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> NDArray[Any]: ...
def fold(
    input: NDArray[Any],
    output_size: Size,
    kernel_size: Size,
    dilation: Size,
    padding: Padding,
    stride: Size,
    layout: Layout | None,
    out: NDArray[Any] | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> NDArray[Any]: ...

# Element-wise work of konv.nn: contiguous arrays; `out` receives the result and may be an input.
def activation_grad(
    activation: Activation | None, grad_output: Array, preactivation: Array, out: Array, threads: int | None, /
) -> None: ...

_Place = tuple[int, int, str, Sequence[int], Sequence[int], float, int]

class ConvOptions:
    def __init__(
        self, stride: Sequence[int], dilation: Sequence[int], pad: Sequence[int], groups: int, activation: str,
        parameter: float, threads: int, bytes_between: int, /,
    ) -> None: ...  # fmt: skip

class NodeWeights:
    def __init__(
        self, weight: NDArray[Any], bias: NDArray[Any] | None, groups: int, transposed: bool, dtype: str,
        x_zero: int, /,
    ) -> None: ...  # fmt: skip
    @property
    def bytes(self) -> int: ...

class PoolOptions:
    def __init__(
        self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pad: Sequence[int],
        pad_after: Sequence[int], count_padding: bool, power: float, threads: int, /,
    ) -> None: ...  # fmt: skip

class Program:
    class BatchNorm:
        def __init__(self, epsilon: float, low: float, high: float, momentum: float, threads: int, /) -> None: ...

    def __init__(self, arena_bytes: int, strand_bytes: int, threads: int, /) -> None: ...
    @property
    def arena_bytes(self) -> int: ...
    def set_strand(self, strand: int, /) -> None: ...
    def add_external(self, bytes: int, /) -> int: ...
    def add_constant(self, data: NDArray[Any], /) -> int: ...
    def add_bound(self, data: NDArray[Any], /) -> int: ...
    def conv(
        self, input: _Place, weights: NodeWeights, output: _Place, residual: _Place | None, transposed: bool,
        options: ConvOptions, /,
    ) -> None: ...  # fmt: skip
    def narrow_conv(
        self, input: _Place, weights: NodeWeights, output: _Place, residual: _Place | None, scale: Sequence[float],
        scratch: _Place, options: ConvOptions, /,
    ) -> None: ...  # fmt: skip
    @staticmethod
    def narrow_conv_scratch(
        dtype: str, input_shape: Sequence[int], weight_shape: Sequence[int], output_shape: Sequence[int],
        options: ConvOptions, /,
    ) -> int: ...  # fmt: skip
    def pool(
        self, kind: str, input: _Place, output: _Place, indices: _Place | None, options: PoolOptions, /
    ) -> None: ...
    def elementwise(
        self, inputs: Sequence[_Place], output: _Place,
        code: Sequence[tuple[str, str, int, int, int, float, float, float]], threads: int, text: str, /,
    ) -> None: ...  # fmt: skip
    def copy(self, input: _Place, output: _Place, threads: int, /) -> None: ...
    def fill(self, output: _Place, value: float, /) -> None: ...
    def softmax(self, input: _Place, output: _Place, threads: int, /) -> None: ...
    def resample(
        self, input: _Place, output: _Place, axis: int, taps: int, index: Sequence[int], weight: Sequence[float],
        threads: int, /,
    ) -> None: ...  # fmt: skip
    def variable_conv(
        self, direction: str, input: _Place, weight: _Place, bias: _Place | None, output: _Place,
        residual: _Place | None, options: ConvOptions, /,
    ) -> None: ...  # fmt: skip
    def bias_gradient(self, grad: _Place, output: _Place, threads: int, /) -> None: ...
    def batch_norm(
        self, x: _Place, y: _Place, gamma: _Place | None, beta: _Place | None, residual: _Place | None, mean: _Place,
        deviation: _Place, moving_mean: _Place | None, moving_variance: _Place | None, scratch: _Place,
        options: Program.BatchNorm, /,
    ) -> None: ...  # fmt: skip
    def batch_norm_gradient(
        self, grad: _Place, x: _Place, y: _Place | None, out: _Place, masked: _Place | None, gamma: _Place | None,
        mean: _Place, deviation: _Place, gamma_grad: _Place | None, beta_grad: _Place | None, scratch: _Place,
        options: Program.BatchNorm, /,
    ) -> None: ...  # fmt: skip
    @staticmethod
    def batch_norm_scratch(rows: int, channels: int, /) -> int: ...
    def pool_gradient(self, grad: _Place, indices: _Place | None, output: _Place, options: PoolOptions, /) -> None: ...
    def sum(self, input: _Place, output: _Place, threads: int, /) -> None: ...
    def cross_entropy(self, scores: _Place, labels: _Place, loss: _Place, grad: _Place, threads: int, /) -> None: ...
    def softmax_gradient(self, y: _Place, grad: _Place, output: _Place, threads: int, /) -> None: ...
    def dropout(self, input: _Place, output: _Place, seed: _Place, rate: float, threads: int, /) -> None: ...
    def sgd(
        self, value: _Place, grad: _Place, velocity: _Place | None, rates: _Place, momentum: float, nesterov: bool,
        threads: int, /,
    ) -> None: ...  # fmt: skip
    def adam(
        self, value: _Place, grad: _Place, mean: _Place, square: _Place, rates: _Place, beta_1: float, beta_2: float,
        epsilon: float, threads: int, /,
    ) -> None: ...  # fmt: skip
    def run(self, arrays: Sequence[NDArray[Any]], timed: bool, /) -> list[tuple[int, int, int]]: ...
    def steps(self) -> list[tuple[str, str, float, int, int]]: ...
