"""Gradients on CUDA devices: the names of `konv.grad`."""

from __future__ import annotations

from . import _conv_grad, _pool_grad
from ._conv_grad import *  # noqa: F403
from ._pool_grad import *  # noqa: F403

__all__ = [name for module in (_conv_grad, _pool_grad) for name in module.__all__]
