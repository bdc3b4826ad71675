"""The stub of the compiled module says what the module holds, no more and no less."""

from __future__ import annotations

import ast
import inspect
from importlib.resources import files

import konv._core


def stub() -> list[ast.stmt]:
    return ast.parse((files("konv") / "_core.pyi").read_text()).body


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
    assert {n for n in declared(stub()) if not n.startswith("_")} == public(konv._core)


def test_class_names() -> None:
    for node in stub():
        # A Protocol or TypedDict that exists for type checkers alone is private.
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            names = {n for n in declared(node.body) if not n.startswith("_")}
            assert names == public(getattr(konv._core, node.name)), node.name


def test_functions_are_callable() -> None:
    for node in stub():
        if not isinstance(node, ast.FunctionDef):
            continue
        function = getattr(konv._core, node.name)
        assert callable(function)
        try:
            parameters = inspect.signature(function).parameters
        except ValueError:  # a C function that carries no signature
            continue
        kinds = {p.kind for p in parameters.values()}
        if not kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
            named = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert list(parameters) == named, node.name
