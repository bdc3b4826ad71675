from collections.abc import Callable

from ._types import (
    Activation,
    AnyArray,
    Array,
    DType,
    IntArray,
    Layout2D,
    OutputSize1D,
    OutputSize2D,
    OutputSize3D,
    Padding,
    Padding1D,
    Padding2D,
    Padding3D,
    Size1D,
    Size2D,
    Size3D,
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
def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Size2D,
    padding: Padding,
    dilation: Size2D,
    groups: int,
    padding_mode: str,
    layout: Layout2D | None,
    activation: Activation | None,
    residual: Array | None,
    algorithm: str,
    out: Array | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> Array: ...
def conv2d_input(
    input_size: tuple[int, ...],
    weight: Array,
    grad_output: Array,
    stride: Size2D,
    padding: Padding,
    dilation: Size2D,
    groups: int,
    padding_mode: str,
    layout: Layout2D | None,
    algorithm: str,
    out: Array | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> Array: ...
def conv2d_weight(
    input: Array,
    weight_size: tuple[int, int, int, int],
    grad_output: Array,
    stride: Size2D,
    padding: Padding,
    dilation: Size2D,
    groups: int,
    padding_mode: str,
    layout: Layout2D | None,
    algorithm: str,
    out: Array | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> Array: ...
def conv_bias(grad_output: Array, layout: str | None, out: Array | None, threads: int | None, /) -> Array: ...
def explain_conv2d(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, int, int, int],
    stride: Size2D,
    padding: Padding,
    dilation: Size2D,
    groups: int,
    padding_mode: str,
    layout: Layout2D | None,
    algorithm: str,
    threads: int | None,
    max_workspace: int | None,
    dtype: str,
    direction: str,
    plan: bool,
    /,
) -> tuple[list[tuple[str, str, float, float, bool]], float, str]: ...

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

def plan_conv2d(
    weight: Array,
    bias: Array | None,
    input_shape: tuple[int | None, ...],
    stride: Size2D,
    padding: Padding,
    dilation: Size2D,
    groups: int,
    padding_mode: str,
    layout: Layout2D | None,
    activation: Activation | None,
    algorithm: str,
    dtype: DType | None,
    threads: int | None,
    max_workspace: int | None,
    /,
) -> ConvPlan: ...

# Pooling: the functions of one, two and three dimensions take the same arguments.
_Size = Size1D | Size2D | Size3D
_OutputSize = OutputSize1D | OutputSize2D | OutputSize3D
_Padding = Padding1D | Padding2D | Padding3D
_Out = AnyArray | None
_Int = int | None  # threads and max_workspace among them
_Str = str | None  # the layout
_Maxima = AnyArray | tuple[AnyArray, IntArray]
_Shape = tuple[int, ...]

_MaxPool = Callable[[AnyArray, _Size, _Size | None, _Padding, _Size, bool, bool, str, _Str, _Out, _Int, _Int], _Maxima]
_AvgPool = Callable[[AnyArray, _Size, _Size | None, _Padding, bool, bool, _Int, str, _Str, _Out, _Int, _Int], AnyArray]
_LpPool = Callable[[Array, float, _Size, _Size | None, bool, _Str, _Out, _Int, _Int], Array]
_AdaptiveMaxPool = Callable[[AnyArray, _OutputSize, bool, _Str, _Out, _Int, _Int], _Maxima]
_AdaptiveAvgPool = Callable[[Array, _OutputSize, _Str, _Out, _Int, _Int], Array]
_MaxUnpool = Callable[[Array, IntArray, _Size, _Size | None, _Size, _Shape | None, _Str, _Out, _Int, _Int], Array]
_IndexGrad = Callable[[Array, IntArray, _Shape, _Str, _Out, _Int], Array]
_AdaptiveAvgPoolGrad = Callable[[Array, _Shape, _Str, _Out, _Int], Array]
_AvgPoolGrad = Callable[[Array, _Shape, _Size, _Size | None, _Padding, bool, bool, _Int, str, _Str, _Out, _Int], Array]
_LpPoolGrad = Callable[[Array, Array, float, _Size, _Size | None, bool, _Str, _Out, _Int], Array]

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

# Element-wise work of konv.nn: contiguous arrays; `out` receives the result and may be an input.
def sigmoid(x: Array, out: Array, /) -> None: ...
def sigmoid_grad(y: Array, grad: Array, out: Array, /) -> None: ...
def tanh(x: Array, out: Array, /) -> None: ...
def tanh_grad(y: Array, grad: Array, out: Array, /) -> None: ...
def relu_grad(y: Array, grad: Array, out: Array, /) -> None: ...
def clipped_relu(x: Array, out: Array, slope: float, max: float, threshold: float, /) -> None: ...
def clipped_relu_grad(x: Array, grad: Array, out: Array, slope: float, max: float, threshold: float, /) -> None: ...
def softmax(x: Array, out: Array, /) -> None: ...
def softmax_grad(y: Array, grad: Array, out: Array, /) -> None: ...
def softmax_cross_entropy(logits: Array, labels: Array | IntArray, grad: Array | None, scale: float, /) -> float: ...
def dropout(x: Array, out: Array, rate: float, seed: int, /) -> None: ...
def adam_step(
    value: Array,
    grad: Array,
    mean: Array,
    square: Array,
    rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    /,
) -> None: ...
def sgd_step(
    value: Array, grad: Array, velocity: Array | None, rate: float, momentum: float, nesterov: bool, /
) -> None: ...
