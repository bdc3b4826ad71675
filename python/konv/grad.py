"""Gradients of convolution and pooling, one function for each direction, as in `torch.nn.grad`."""

from __future__ import annotations

from . import _activation_grad, _conv_grad, _conv_transpose_grad, _pool_avg_grad, _pool_max_grad
from ._activation_grad import *  # noqa: F403
from ._conv_grad import *  # noqa: F403
from ._conv_transpose_grad import *  # noqa: F403
from ._pool_avg_grad import *  # noqa: F403
from ._pool_max_grad import *  # noqa: F403

__all__ = [
    name
    for module in (_activation_grad, _conv_grad, _conv_transpose_grad, _pool_avg_grad, _pool_max_grad)
    for name in module.__all__
]
