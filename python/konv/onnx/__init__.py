"""ONNX models on konv."""

from .session import Session, TensorInfo, load

__all__ = ["Session", "TensorInfo", "load"]
