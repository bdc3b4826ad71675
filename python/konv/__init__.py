"""konv: a convolution engine. NumPy arrays in, NumPy arrays out, forward and gradients."""

from __future__ import annotations

from . import cuda, grad
from ._core import __version__
from .config import config, get_num_threads, info, set_num_threads
from .conv import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
from .explain import explain
from .fold import fold, unfold
from .plan import (
    ConvPlan,
    plan_conv1d,
    plan_conv2d,
    plan_conv3d,
    plan_conv_transpose1d,
    plan_conv_transpose2d,
    plan_conv_transpose3d,
)
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
from .quantised import conv2d_int, conv2d_qlinear
from .stream import CausalConv1d

__all__ = [
    "CausalConv1d",
    "ConvPlan",
    "__version__",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "config",
    "conv1d",
    "conv2d",
    "conv2d_int",
    "conv2d_qlinear",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cuda",
    "explain",
    "fold",
    "get_num_threads",
    "grad",
    "info",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "plan_conv1d",
    "plan_conv2d",
    "plan_conv3d",
    "plan_conv_transpose1d",
    "plan_conv_transpose2d",
    "plan_conv_transpose3d",
    "set_num_threads",
    "unfold",
]
