"""ISA levels: chosen at import, forced by environment or configuration, kept apart in the build."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
import konv._core
from tests.cases import CASES, ISA_LEVELS

CHECKER = Path(__file__).parents[1] / "cmake" / "check_isa_objects.py"
LEVELS = ("generic", "avx2", "avx512")


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_levels_are_ordered_and_the_highest_is_active() -> None:
    assert ISA_LEVELS[0] == "generic"
    assert set(ISA_LEVELS) <= set(LEVELS)
    result = run("import konv; print(konv.config.isa)", KONV_ISA="")
    assert result.stdout.split() == [ISA_LEVELS[-1]], result.stderr


@pytest.mark.parametrize("isa", ISA_LEVELS)
def test_environment_forces_a_level(isa: str) -> None:
    code = (
        "import konv, numpy as np\n"
        "x = np.ones((1, 20, 9, 9), np.float32)\n"
        "y = konv.conv2d(x, np.ones((17, 20, 3, 3), np.float32))\n"
        "assert abs(y - 180).max() < 1e-3\n"
        "print(konv.config.isa)\n"
    )
    result = run(code, KONV_ISA=isa)
    assert result.stdout.split() == [isa], result.stderr


def test_environment_with_an_unknown_level() -> None:
    result = run("import konv", KONV_ISA="mmx")
    assert result.returncode == 1
    assert "KONV_ISA" in result.stderr
    assert "mmx" in result.stderr
    assert "generic" in result.stderr


def test_config_forces_a_level_for_this_thread() -> None:
    before = konv.config.isa
    for isa in ISA_LEVELS:
        with konv.config(isa=isa):
            assert konv.config.isa == isa
    assert konv.config.isa == before


def test_config_refuses_an_unknown_level() -> None:
    before = konv.config.isa
    with pytest.raises(ValueError, match=r"isa.*generic.*'mmx'"):
        konv.config.isa = "mmx"
    with pytest.raises(ValueError, match="isa"), konv.config(isa="mmx"):
        pass
    assert konv.config.isa == before


def test_attribute_is_the_process_default() -> None:
    before = konv.config.isa
    data = CASES[0].data()
    try:
        konv.config.isa = "generic"
        plain = CASES[0].compute("forward", data)
    finally:
        konv.config.isa = before
    with konv.config(isa="generic"):
        np.testing.assert_array_equal(CASES[0].compute("forward", data), plain)


def checker() -> Any:
    if not CHECKER.exists():
        pytest.skip("cmake/ is not beside the tests")
    spec = importlib.util.spec_from_file_location("check_isa_objects", CHECKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("nm", "fault"),
    [
        ("konv_kernels_avx2 D 0 8\nmemcpy U\n_ZN4konv4avx21fEv t 0 1\n", None),
        ("konv_kernels_avx2 D 0 8\n_ZNSt6vectorIfE4sizeEv W 0 8\n", "exports"),
        ("konv_kernels_avx2 D 0 8\n_ZSt4sortv u 0 8\n", "exports"),
        ("memcpy U\n", "exports nothing"),
        ("konv_kernels_avx2 D 0 8\n_ZSt17__throw_bad_allocv U\n", "calls"),
    ],
)
def test_symbol_check(nm: str, fault: str | None) -> None:
    faults = checker().symbol_faults("avx2", nm)
    assert (fault is None and not faults) or (fault is not None and fault in faults[0])


@pytest.mark.parametrize(
    ("level", "instruction", "clean"),
    [
        ("baseline", "addps  %xmm0,%xmm1", True),
        ("baseline", "call   40 <vfprintf@plt>", True),
        ("baseline", "verr   %ax", True),
        ("baseline", "vaddps %xmm0,%xmm1,%xmm2", False),
        ("generic", "vzeroupper", False),
        ("avx2", "vfmadd231ps %ymm0,%ymm1,%ymm15", True),
        ("avx2", "vaddps %zmm0,%zmm1,%zmm2", False),
        ("avx2", "vaddps %ymm16,%ymm1,%ymm2", False),
        ("avx2", "kmovw  %k1,%eax", False),
        ("avx512", "vaddps %zmm0,%zmm1,%zmm2{%k1}", True),
    ],
)
def test_code_check(level: str, instruction: str, clean: bool) -> None:
    line = f"   1f:\t{instruction}"
    assert (checker().code_faults(level, [line]) == []) is clean


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF symbol table")
def test_module_exports_only_its_entry() -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("nm is not installed")
    path = konv._core.__file__
    shown = subprocess.run([nm, "-DP", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in shown.splitlines() if line.split()[1] in "TDBR"}
    assert names == {"PyInit__core"}
