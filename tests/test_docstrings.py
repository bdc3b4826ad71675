"""The examples in docstrings give what they show."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import konv


def modules() -> list[str]:
    found = pkgutil.walk_packages(konv.__path__, "konv.")
    return ["konv", *(m.name for m in found if not m.name.endswith(("__main__", "_core")))]


# Packages whose examples need an extra.
NEEDED = {"konv.onnx": "onnx", "konv.vision": "PIL"}


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    for package, library in NEEDED.items():
        if name.startswith(package):
            pytest.importorskip(library)
    module: ModuleType = importlib.import_module(name)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(module, optionflags=flags).failed == 0
