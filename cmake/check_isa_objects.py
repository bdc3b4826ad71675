"""Check that code compiled for one instruction set stays out of the others.

    check_isa_objects.py --nm nm --objdump objdump generic_f32:generic=a.o avx2_f32:avx2=b.o \
        --baseline c.o d.o

Each ISA object must export its table and nothing else, and must call nothing but the C memory
functions: a weak symbol of the standard library that was compiled with AVX-512 could be picked by
the linker for everyone, and crash on an older CPU. Disassembly must show no instruction above an
object's level; the baseline objects, those not compiled for any ISA, may hold none beyond SSE.
The build runs this after linking.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable

# What an ISA object may leave to the linker.
ALLOWED_CALLS = {
    "memcpy", "memmove", "memset", "memcmp",
    "__stack_chk_fail", "__stack_chk_guard", "_GLOBAL_OFFSET_TABLE_",
}  # fmt: skip

# Instructions with a VEX or EVEX prefix; verr, verw and the VM instructions are older.
_AVX = re.compile(r"^v(?!err|erw|m(?:call|clear|launch|ptr|read|resume|write|xoff|xon|mcall))\w+")
_AVX512 = re.compile(r"%zmm|%[xy]mm(?:1[6-9]|2\d|3[01])\b|%k[0-7]\b")
_DOTS = re.compile(r"^v(?:dpbf16|cvtne2?ps2bf16|pdpbusd|pdpwssd)")
FORBIDDEN = {"baseline": _AVX, "generic": _AVX, "avx2": _AVX512, "avx512": _DOTS}


def symbol_faults(name: str, nm_output: str) -> list[str]:
    """Faults in the output of `nm -P` of the ISA object of a name: what it exports, what it calls."""
    exported, called = [], []
    for line in nm_output.splitlines():
        symbol, kind, *_ = line.split()
        if kind in ("U", "w"):
            called.append(symbol)
        elif kind.isupper() or kind == "u":
            exported.append(symbol)
    faults = []
    expected = f"konv_kernels_{name}"
    if [symbol.lstrip("_") for symbol in exported] != [expected]:
        faults.append(f"{name} exports {exported or 'nothing'}, expected only {expected}")
    if strange := sorted(symbol for symbol in called if symbol not in ALLOWED_CALLS):
        faults.append(f"{name} calls {strange}: an ISA object may call {sorted(ALLOWED_CALLS)}")
    return faults


def code_faults(level: str, disassembly: Iterable[str]) -> list[str]:
    """The first instruction in the output of `objdump -d` that `level` must not hold, if any."""
    pattern = FORBIDDEN.get(level)
    if pattern is None:
        return []
    for line in disassembly:
        address, _, instruction = line.partition(":\t")
        if pattern.search(instruction.partition("<")[0].partition("#")[0]):
            return [f"{level} holds {instruction.strip()} at {address.strip()}"]
    return []


def output_of(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    """Check the objects named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--objdump", default="objdump")
    parser.add_argument("objects", nargs="+", metavar="NAME:LEVEL=OBJECT")
    parser.add_argument("--baseline", nargs="+", default=[], metavar="OBJECT")
    arguments = parser.parse_args()
    objects = [tuple(re.split("[:=]", item, maxsplit=2)) for item in arguments.objects]
    faults = []
    for name, _, path in objects:
        faults += [f"{path}: {f}" for f in symbol_faults(name, output_of(arguments.nm, "-P", path))]
    for level, path in [*(o[1:] for o in objects), *(("baseline", path) for path in arguments.baseline)]:
        text = output_of(arguments.objdump, "-d", "--no-show-raw-insn", path)
        if "x86-64" in text:
            faults += [f"{path}: {f}" for f in code_faults(level, text.splitlines())]
    for fault in faults:
        print(f"check_isa_objects: {fault}", file=sys.stderr)
    if not faults:
        names = ", ".join(name for name, *_ in objects)
        print(f"check_isa_objects: {names} and {len(arguments.baseline)} baseline objects are clean")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
