"""ONNX models on konv."""

try:
    from .reference_ops import reference_ops
    from .report import Report
    from .session import Session, TensorInfo, load
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    raise ImportError("konv.onnx reads models with onnx: pip install 'konv[onnx]'") from None

__all__ = ["Report", "Session", "TensorInfo", "load", "reference_ops"]
