"""konv: a convolution engine. NumPy arrays in, NumPy arrays out, forward and gradients."""

from __future__ import annotations

from . import grad
from ._core import __version__
from .config import config, get_num_threads, info, set_num_threads
from .conv import conv2d
from .explain import explain
from .fold import fold, unfold
from .plan import ConvPlan, plan_conv2d
from .pool import avg_pool2d, max_pool2d
from .quantised import conv2d_int, conv2d_qlinear
from .stream import CausalConv1d

__all__ = [
    "CausalConv1d",
    "ConvPlan",
    "__version__",
    "avg_pool2d",
    "config",
    "conv2d",
    "conv2d_int",
    "conv2d_qlinear",
    "explain",
    "fold",
    "get_num_threads",
    "grad",
    "info",
    "max_pool2d",
    "plan_conv2d",
    "set_num_threads",
    "unfold",
]
