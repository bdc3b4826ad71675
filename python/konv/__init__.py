"""konv: a convolution engine. NumPy arrays in, NumPy arrays out, forward and gradients."""

from __future__ import annotations

from . import grad
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
from .pool import avg_pool2d, max_pool2d
from .quantised import conv2d_int, conv2d_qlinear
from .stream import CausalConv1d

__all__ = [
    "CausalConv1d",
    "ConvPlan",
    "__version__",
    "avg_pool2d",
    "config",
    "conv1d",
    "conv2d",
    "conv2d_int",
    "conv2d_qlinear",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "explain",
    "fold",
    "get_num_threads",
    "grad",
    "info",
    "max_pool2d",
    "plan_conv1d",
    "plan_conv2d",
    "plan_conv3d",
    "plan_conv_transpose1d",
    "plan_conv_transpose2d",
    "plan_conv_transpose3d",
    "set_num_threads",
    "unfold",
]
