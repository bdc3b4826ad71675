from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from ._types import Activation, AnyArray, Layout, OutputSize1D, OutputSize2D, OutputSize3D, Padding, Size

# Arrays of NumPy, of this module, or of a library whose arrays are on the device; results are of this module.
_Array = Any
# A device, a stream of it as DLPack numbers streams, and the library whose stream it is: "torch", "cupy" or "".
_Queue = tuple[int, int] | tuple[int, int, str]
_Out = _Array | None
_Int = int | None  # threads and max_workspace, which mean nothing here
_Str = str | None  # the layout
_Shape = tuple[int, ...]

simulator: bool

class DeviceArray:
    """An array on a device, for other libraries to take by DLPack."""

    @property
    def shape(self) -> _Shape: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def numpy(self) -> AnyArray: ...
    def transpose(self, *axes: int) -> DeviceArray: ...
    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

def as_device_array(queue: _Queue, array: _Array, /) -> DeviceArray: ...
def device_count() -> int: ...
def unavailable_reason() -> str: ...
def device_info(device: int, /) -> dict[str, Any]: ...
def memory_info() -> tuple[int, int]: ...
def release_idle() -> None: ...
def device_of_memory(address: int, /) -> int: ...
def create_stream(device: int, /) -> int: ...
def destroy_stream(device: int, stream: int, /) -> None: ...
def synchronize(device: int, stream: int, /) -> None: ...
def plan_cache_info() -> tuple[int, int, int, int]: ...

# For tests.
def parked_owners() -> int: ...
def check_primitive(name: str, /) -> str: ...
def primitives() -> list[str]: ...
def force_gemm_tile(rows: int, columns: int, parts: int, /) -> None: ...

# Of the simulator alone.
def simulate(
    devices: int = 2,
    failing_call: str = "",
    calls_before_failure: int = 0,
    unfinished: bool = False,
    waits: bool = False,
) -> None: ...
def waiting() -> int: ...

class _Convolution(Protocol):
    def __call__(
        self, queue: _Queue, input: _Array, weight: _Array, bias: _Array | None, stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, activation: Activation | None,
        residual: _Array | None, algorithm: str, out: _Out, threads: _Int, max_workspace: _Int, /,
        *output_padding: Size,
    ) -> DeviceArray: ...  # fmt: skip

class _InputGradient(Protocol):
    def __call__(
        self, queue: _Queue, input_size: _Shape, weight: _Array, grad_output: _Array, stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, algorithm: str, out: _Out,
        threads: _Int, max_workspace: _Int, accumulate: bool, /, *output_padding: Size,
    ) -> DeviceArray: ...  # fmt: skip

class _WeightGradient(Protocol):
    def __call__(
        self, queue: _Queue, input: _Array, weight_size: _Shape, grad_output: _Array, stride: Size, padding: Padding,
        dilation: Size, groups: int, padding_mode: str, layout: Layout | None, algorithm: str, out: _Out,
        threads: _Int, max_workspace: _Int, accumulate: bool, per_sample: bool, /, *output_padding: Size,
    ) -> DeviceArray: ...  # fmt: skip

class _Explanation(Protocol):
    def __call__(
        self, input_shape: _Shape, weight_shape: _Shape, stride: Size, padding: Padding, dilation: Size, groups: int,
        padding_mode: str, layout: Layout | None, algorithm: str, threads: _Int, max_workspace: _Int, dtype: str,
        direction: str, plan: bool, output_padding: Size, /,
    ) -> tuple[list[tuple[str, str, float, float, bool]], float, str]: ...  # fmt: skip

conv1d: _Convolution
conv_transpose1d: _Convolution
conv1d_input: _InputGradient
conv1d_weight: _WeightGradient
conv_transpose1d_input: _InputGradient
conv_transpose1d_weight: _WeightGradient
explain_conv1d: _Explanation
conv2d: _Convolution
conv_transpose2d: _Convolution
conv2d_input: _InputGradient
conv2d_weight: _WeightGradient
conv_transpose2d_input: _InputGradient
conv_transpose2d_weight: _WeightGradient
explain_conv2d: _Explanation
conv3d: _Convolution
conv_transpose3d: _Convolution
conv3d_input: _InputGradient
conv3d_weight: _WeightGradient
conv_transpose3d_input: _InputGradient
conv_transpose3d_weight: _WeightGradient
explain_conv3d: _Explanation

def conv_bias(queue: _Queue, grad_output: _Array, layout: _Str, out: _Out, threads: _Int, /) -> DeviceArray: ...

# Pooling, as in _core.pyi, after the queue.
_OutputSize = OutputSize1D | OutputSize2D | OutputSize3D
_Maxima = DeviceArray | tuple[DeviceArray, DeviceArray]
_Stride = Size | None

_MaxPool = Callable[[_Queue, _Array, Size, _Stride, Padding, Size, bool, bool, str, _Str, _Out, _Int, _Int], _Maxima]
_AvgPool = Callable[
    [_Queue, _Array, Size, _Stride, Padding, bool, bool, _Int, str, _Str, _Out, _Int, _Int], DeviceArray
]
_LpPool = Callable[[_Queue, _Array, float, Size, _Stride, bool, _Str, _Out, _Int, _Int], DeviceArray]
_AdaptiveMaxPool = Callable[[_Queue, _Array, _OutputSize, bool, _Str, _Out, _Int, _Int], _Maxima]
_AdaptiveAvgPool = Callable[[_Queue, _Array, _OutputSize, _Str, _Out, _Int, _Int], DeviceArray]
_MaxUnpool = Callable[[_Queue, _Array, _Array, Size, _Stride, Size, _Shape | None, _Str, _Out, _Int, _Int], DeviceArray]
_IndexGrad = Callable[[_Queue, _Array, _Array, _Shape, _Str, _Out, _Int], DeviceArray]
_AdaptiveAvgPoolGrad = Callable[[_Queue, _Array, _Shape, _Str, _Out, _Int], DeviceArray]
_AvgPoolGrad = Callable[
    [_Queue, _Array, _Shape, Size, _Stride, Padding, bool, bool, _Int, str, _Str, _Out, _Int], DeviceArray
]
_LpPoolGrad = Callable[[_Queue, _Array, _Array, float, Size, _Stride, bool, _Str, _Out, _Int], DeviceArray]

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

# Programs of networks, as in _core.pyi: on the device that they are made for.
_Place = tuple[int, int, str, Sequence[int], Sequence[int], float, int]

class ConvOptions:
    def __init__(
        self, stride: Sequence[int], dilation: Sequence[int], pad: Sequence[int], groups: int, activation: str,
        parameter: float, threads: int, /,
    ) -> None: ...  # fmt: skip

class NodeWeights:
    def __init__(
        self, device: int, weight: NDArray[Any], bias: NDArray[Any] | None, groups: int, transposed: bool, dtype: str,
        /,
    ) -> None: ...  # fmt: skip
    @property
    def bytes(self) -> int: ...

class PoolOptions:
    def __init__(
        self, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pad: Sequence[int],
        pad_after: Sequence[int], count_padding: bool, power: float, threads: int, /,
    ) -> None: ...  # fmt: skip

class Program:
    def __init__(self, device: int, arena_bytes: int, /) -> None: ...
    @property
    def arena_bytes(self) -> int: ...
    def add_external(self, bytes: int, /) -> int: ...
    def add_constant(self, data: NDArray[Any], /) -> int: ...
    def conv(
        self, input: _Place, weights: NodeWeights, output: _Place, residual: _Place | None, transposed: bool,
        options: ConvOptions, /,
    ) -> None: ...  # fmt: skip
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
    def run(
        self, queue: _Queue, inputs: Sequence[_Array], outputs: Sequence[tuple[str, Sequence[int]]], timed: bool, /
    ) -> tuple[list[DeviceArray], list[int]]: ...
    def steps(self) -> list[tuple[str, str, float, int, int]]: ...
