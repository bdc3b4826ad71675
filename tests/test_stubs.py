"""The stub of the compiled module says what the module holds, no more and no less."""

from __future__ import annotations

import ast
import inspect
from importlib.resources import files

import pytest

import konv._core

STUB = ast.parse((files("konv") / "_core.pyi").read_text())
Function = ast.FunctionDef | ast.AsyncFunctionDef


def declared(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def public(value: object) -> set[str]:
    return {name for name in vars(value) if not name.startswith("_")}


def test_module_names() -> None:
    assert {n for n in declared(STUB.body) if not n.startswith("_")} == public(konv._core)


@pytest.mark.parametrize(
    "node", [n for n in STUB.body if isinstance(n, ast.ClassDef)], ids=lambda n: n.name
)
def test_class_names(node: ast.ClassDef) -> None:
    value = getattr(konv._core, node.name, None)
    if value is None:  # a Protocol or TypedDict that exists for type checkers alone
        assert node.name.startswith("_")
        return
    assert {n for n in declared(node.body) if not n.startswith("_")} == public(value)


@pytest.mark.parametrize(
    "node", [n for n in STUB.body if isinstance(n, ast.FunctionDef)], ids=lambda n: n.name
)
def test_functions_are_callable(node: ast.FunctionDef) -> None:
    function = getattr(konv._core, node.name)
    assert callable(function)
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a C function that carries no signature
        return
    stub = node.args
    named = [a.arg for a in (*stub.posonlyargs, *stub.args, *stub.kwonlyargs)]
    if not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()):
        assert list(parameters) == named
