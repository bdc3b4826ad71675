"""The ONNX operators that konv's own graph computes: https://onnx.ai/onnx/operators/.

Each module enters its functions into the table of `importer.TRANSLATIONS`.
"""

from . import elements, layers, shapes

__all__ = ["elements", "layers", "shapes"]
