"""The stub of konv._cuda says what the module holds, no more and no less."""

from __future__ import annotations

import ast
import inspect
from importlib.resources import files
from typing import Any

from tests.test_stubs import declared, public

SIMULATED = {"simulate", "waiting"}


def stub() -> list[ast.stmt]:
    return ast.parse((files("konv") / "_cuda.pyi").read_text()).body


def test_module_names(cuda: Any) -> None:
    names = {name for name in declared(stub()) if not name.startswith("_")}
    assert names - (set() if cuda.simulator else SIMULATED) == public(cuda)


def test_class_names(cuda: Any) -> None:
    for node in stub():
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names = {n for n in declared(node.body) if not n.startswith("_")}
            assert names == public(getattr(cuda, node.name)), node.name


def test_functions_take_what_is_declared(cuda: Any) -> None:
    for node in stub():
        if not isinstance(node, ast.FunctionDef) or (node.name in SIMULATED and not cuda.simulator):
            continue
        function = getattr(cuda, node.name)
        assert callable(function)
        line = (function.__doc__ or "").partition("\n")[0]
        if line.startswith(f"{node.name}("):  # pybind11 says what it takes
            taken = [] if "()" in line else line.partition("(")[2].rpartition(")")[0].split(", ")
            assert len(taken) == len([*node.args.posonlyargs, *node.args.args]), node.name
        else:
            assert inspect.isbuiltin(function), node.name
