"""What `import konv` brings in, and what the package carries."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires, version
from importlib.resources import files

import konv

# Modules that the interpreter, NumPy and konv itself may load; everything else needs a reason.
CODE = """
import sys
import numpy
before = set(sys.modules)
import konv
heavy = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(heavy - {"konv", "numpy"} - set(sys.stdlib_module_names)))
print("konv.nn" in sys.modules, "konv.cli" in sys.modules)
"""


def test_import_loads_only_numpy() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert shown == ["[]", "False False"]


def test_numpy_is_the_only_dependency() -> None:
    needed = [line for line in requires("konv") or [] if "extra ==" not in line]
    assert [line.split(">")[0] for line in needed] == ["numpy"]


def test_version() -> None:
    assert konv.__version__ == version("konv")
    assert konv.info()["version"] == konv.__version__


def test_typing_marker_and_licence() -> None:
    assert (files("konv") / "py.typed").is_file()
    assert (files("konv") / "_core.pyi").is_file()


def test_public_names_are_documented() -> None:
    for name in konv.__all__:
        value = getattr(konv, name)
        assert not callable(value) or value.__doc__, name
