"""konv._cuda for these tests: that of a GPU where there is one, else the simulator.

KONV_CUDA_SIMULATOR names the simulated module; without it the module is built once a run, which needs CMake, pybind11
and a C++ compiler.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import konv
from konv.cuda import _module

ROOT = Path(__file__).parents[2]


def _built(folder: Path) -> Path:
    if not shutil.which("cmake") or not (shutil.which("c++") or os.environ.get("CXX")):
        pytest.skip("no GPU; the simulator needs cmake and a C++ compiler, or KONV_CUDA_SIMULATOR to name its module")
    pybind11 = pytest.importorskip("pybind11", reason="no GPU, and building the simulator takes pybind11")
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(folder), "-DKONV_CUDA_SIMULATOR=ON",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]  # fmt: skip
    for command in (configure, ["cmake", "--build", str(folder), "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return next((folder / "csrc" / "cuda").glob("_cuda*.so"))


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("konv._cuda", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    if konv.cuda.is_available():
        return _module.module()
    path = os.environ.get("KONV_CUDA_SIMULATOR")
    return _load(Path(path) if path else _built(tmp_path_factory.mktemp("simulator")))


@pytest.fixture
def cuda(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """konv._cuda, in the place where konv finds it."""
    monkeypatch.setattr(_module, "_found", loaded)
    return loaded


@pytest.fixture
def simulator(cuda: Any) -> Iterator[Any]:
    """The simulator, for tests that say which calls fail or how many devices there are."""
    if not cuda.simulator:
        pytest.skip("needs the simulator")
    yield cuda
    cuda.simulate()


@pytest.fixture(autouse=True)
def _cuda(cuda: Any) -> None:
    pass
