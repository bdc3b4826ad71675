"""Files in which the times of algorithms are remembered: a JSON object a line, appended by any number of processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from . import _core

__all__ = ["setting_of", "table_of"]

_read: dict[str, tuple[int, int]] = {}  # time of change and size of a file when it was last read


def table_of(setting: object) -> int:
    """Return the number of the table that ``konv.config(autotune=setting)`` uses, read from its file if it is new."""
    if setting is False:
        return 0
    if setting is True:
        return _core.autotune_table(b"")
    if not isinstance(setting, (str, os.PathLike)):
        raise TypeError(f"autotune: expected False, True or a path, got {setting!r}")
    path = Path(os.path.abspath(os.fsdecode(setting)))  # noqa: PTH100 - resolve() would follow links
    table = _core.autotune_table(os.fsencode(path))
    if path.exists():
        _read_into(table, path)
    elif not path.parent.is_dir():
        raise FileNotFoundError(f"autotune: there is no folder {str(path.parent)!r}")
    return table


def setting_of(table: int) -> bool | str:
    """Return the setting that uses this table."""
    return (os.fsdecode(_core.autotune_path(table)) or True) if table else False


def _read_into(table: int, path: Path) -> None:
    status = path.stat()
    version = status.st_mtime_ns, status.st_size
    if _read.get(str(path)) == version:
        return
    here = _core.__version__, _core.cpu_name()
    records = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _parse(line)
        if record is None:
            if number == len(lines) and line.startswith(b'{"konv": '):
                break  # another process is writing it
            raise ValueError(f"autotune: {str(path)!r}, line {number}, is no record of konv's autotuner: {line[:60]!r}")
        if (record["konv"], record["cpu"]) == here:
            records.append(record)
    for record in records:
        _core.remember_times(table, record["problem"], list(record["seconds"].items()))
    _read[str(path)] = version


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the record, or None where the line holds none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in ("konv", "cpu", "problem")):
        return None
    seconds = record.get("seconds")
    if not isinstance(seconds, dict):
        return None
    if not all(isinstance(s, (int, float)) and not isinstance(s, bool) and s > 0 for s in seconds.values()):
        return None
    return record
