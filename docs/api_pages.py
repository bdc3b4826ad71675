"""Write the pages of the API: one for every public name, and one for each module that lists them.

The names come from `__all__` of the modules, so that none can be forgotten; a module's page has a section for each
source file that its names come from, headed by the first line of that file's docstring. Sphinx reads the pages from
docs/api, where they are neither kept nor edited.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType

MODULES = (
    "konv",
    "konv.cuda",
    "konv.cuda.grad",
    "konv.grad",
    "konv.nn",
    "konv.nn.applications",
    "konv.nn.ops",
    "konv.onnx",
    "konv.onnx.backend",
    "konv.vision",
)

_CLASS_OPTIONS = (":members:", ":inherited-members:", ":member-order: bysource")


def public_names(module: ModuleType) -> list[str]:
    """What a module offers, in the order of `__all__`, without modules and version strings."""
    names = [name for name in module.__all__ if not name.startswith("__")]
    return [name for name in names if not isinstance(getattr(module, name), ModuleType)]


def _source(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    home: str = getattr(value, "__module__", None) or type(value).__module__
    # Compiled classes, and values that say no more than where their package is, belong to the module itself.
    return home if home.startswith("konv.") and not home.startswith("konv._") else module.__name__


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _object_page(module: ModuleType, name: str) -> str:
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    lines = _heading(path, "=")
    if inspect.isclass(value):
        lines += [f".. autoclass:: {path}", *(f"   {option}" for option in _CLASS_OPTIONS)]
    elif inspect.isroutine(value):
        lines += [f".. autofunction:: {path}"]
    else:
        lines += [f".. autodata:: {path}", "   :no-value:"]
    return "\n".join([*lines, ""])


def _module_page(module: ModuleType) -> str:
    groups: dict[str, list[str]] = {}
    for name in public_names(module):
        groups.setdefault(_source(module, name), []).append(name)
    lines = [*_heading(module.__name__, "="), f".. automodule:: {module.__name__}", ""]
    lines += [f".. currentmodule:: {module.__name__}", ""]
    for source, names in groups.items():
        if source != module.__name__:
            about = inspect.getdoc(importlib.import_module(source)) or source
            lines += _heading(about.splitlines()[0].rstrip("."), "-")
        lines += [".. autosummary::", "", *(f"   {name}" for name in names), ""]
        lines += [".. toctree::", "   :hidden:", "", *(f"   {module.__name__}.{name}" for name in names), ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """The text of every page, by its name without suffix."""
    result = {}
    for path in MODULES:
        module = importlib.import_module(path)
        result[path] = _module_page(module)
        result.update({f"{path}.{name}": _object_page(module, name) for name in public_names(module)})
    return result


def write(folder: Path) -> None:
    """Bring `folder` in line with `pages()`: files that say the same already keep their time."""
    wanted = {folder / f"{name}.rst": text for name, text in pages().items()}
    for path in set(folder.glob("*.rst")) - set(wanted):
        path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
