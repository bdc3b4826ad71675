"""The examples in the README and in docs/ run as printed; every public name has a page."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import konv

ROOT = Path(__file__).parents[1]


def blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def documents() -> list[str]:
    found = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
    return [document for document in ("README.md", *found) if blocks(document)]


@pytest.mark.parametrize("document", documents())
def test_python_examples(document: str, tmp_path: Path) -> None:
    if any("konv.onnx" in block for block in blocks(document)):
        pytest.importorskip("onnx")
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks(document))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_documents_have_examples() -> None:
    assert {"README.md", "docs/index.md", "docs/second_derivatives.md"} <= set(documents())
    assert len(blocks("README.md")) >= 5


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("api_pages", ROOT / "docs" / "api_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_has_a_page() -> None:
    pytest.importorskip("onnx")  # konv.onnx has pages, too
    api = generator()
    pages = api.pages()
    within = {f"konv.{name}" for name in konv.__all__ if isinstance(getattr(konv, name), ModuleType)}
    assert {
        "konv",
        "konv.cuda.grad",
        "konv.grad",
        "konv.nn",
        "konv.nn.applications",
        "konv.nn.ops",
        "konv.onnx",
        "konv.onnx.backend",
        "konv.vision",
    } | within == set(api.MODULES)
    for path in api.MODULES:
        module = importlib.import_module(path)
        for name in module.__all__:
            if name.startswith("__") or f"{path}.{name}" in api.MODULES:
                continue
            assert f":: {path}.{name}\n" in pages[f"{path}.{name}"]
            assert pages[path].count(f"   {name}\n") == 1  # in its table
            assert f"   {path}.{name}\n" in pages[path]  # in its navigation
            assert (getattr(module, name).__doc__ or "").strip(), f"{path}.{name} has no docstring"


@pytest.mark.parametrize("module", [konv, konv.grad], ids=lambda m: m.__name__)
def test_functions_say_what_they_take_and_show_it(module: ModuleType) -> None:
    for name in generator().public_names(module):
        function = getattr(module, name)
        if not inspect.isroutine(function):
            continue
        text = inspect.getdoc(function)
        wanted = {"Examples"} | ({"Parameters", "Raises"} if inspect.signature(function).parameters else set())
        missing = {section for section in wanted if f"\n{section}\n{'-' * len(section)}\n" not in text}
        assert not missing, f"{module.__name__}.{name}"


@pytest.mark.parametrize("path", generator().MODULES)
def test_the_reference_leads_to_every_module(path: str) -> None:
    assert f"\n{path}\n" in (ROOT / "docs" / "api" / "index.md").read_text()


def test_pages_are_written_once(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    api = generator()
    (tmp_path / "konv.forgotten.rst").write_text("a page of a name that is no more")
    api.write(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.stem for path in times} == set(api.pages())
    api.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
