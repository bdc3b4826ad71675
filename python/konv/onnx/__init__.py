"""ONNX models on konv."""

try:
    import onnx as _onnx  # noqa: F401
except ImportError as missing:
    raise ImportError("konv.onnx needs the onnx package: pip install 'konv[onnx]'") from missing

from .reference_ops import reference_ops
from .session import Session, TensorInfo, load

__all__ = ["Session", "TensorInfo", "load", "reference_ops"]
