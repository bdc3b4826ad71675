"""konv._cuda for these tests: that of a GPU where there is one, else the simulator.

KONV_CUDA_SIMULATOR names the simulated module. Without it the module is built once a run, from when the tests have been
collected, beside those of other folders. That takes Linux, CMake, pybind11 and a C++ compiler; KONV_CUDA_BUILD names a
folder to keep the build in, where later runs compile what has changed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import konv
from konv.cuda import _module

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def _tool(name: str) -> str | None:
    """A program that pip has installed beside this Python, or another."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)


class Build:
    """The simulator's, running beside the tests."""

    def __init__(self) -> None:
        kept = os.environ.get("KONV_CUDA_BUILD")
        self.temporary = None if kept else tempfile.TemporaryDirectory(prefix="konv-simulator-")
        self.folder = Path(kept or self.temporary.name)  # type: ignore[union-attr]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "build.log"
        import pybind11

        cmake, ninja = _tool("cmake"), _tool("ninja")
        options = [
            "-S", ROOT, "-B", self.folder, "-DKONV_CUDA_SIMULATOR=ON", f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", "-DCMAKE_CXX_FLAGS_RELEASE=-O1",  # compiles faster
        ]  # fmt: skip
        if ninja:
            options += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        script = 'cmake=$1; shift; "$cmake" "$@" && exec "$cmake" --build "$0" -j2'
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["nice", "sh", "-c", script, self.folder, cmake, *options],  # type: ignore[list-item]
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def module(self) -> Path:
        assert self.process.wait() == 0, self.log.read_text()[-10000:]
        return next((self.folder / "csrc" / "cuda").glob("_cuda*.so"))

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            self.process.wait()
        if self.temporary:
            self.temporary.cleanup()


_build: Build | None = None


def _missing() -> str:
    """What building the simulator lacks; empty where it has all."""
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "aarch64"):
        return "Linux on x86-64 or AArch64"
    if not _tool("cmake") or not importlib.util.find_spec("pybind11"):
        return "cmake and pybind11, of konv[test]"
    return "" if shutil.which(os.environ.get("CXX", "c++")) else "a C++ compiler"


def _named() -> str | None:
    return os.environ.get("KONV_CUDA_SIMULATOR")


def pytest_collection_finish(session: pytest.Session) -> None:
    global _build
    wanted = any(item.path.is_relative_to(HERE) for item in session.items)
    if wanted and not session.config.option.collectonly and not _named() and not konv.cuda.is_available():
        _build = None if _missing() else Build()


def pytest_unconfigure() -> None:
    if _build:
        _build.end()


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("konv._cuda", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def loaded() -> Any:
    if konv.cuda.is_available():
        return _module.module()
    if path := _named():
        return _load(Path(path))
    if missing := _missing():
        pytest.skip(f"no GPU, and building the simulator takes {missing}")
    assert _build is not None
    return _load(_build.module())


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
def _cuda(cuda: Any) -> Iterator[None]:
    """float32 products are float32's: tests of tf32 say so themselves."""
    with konv.config(precision="strict"):
        yield
