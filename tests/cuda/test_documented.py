"""Docstrings' examples on a device, or the simulator; without either they do nothing (tests/test_docstrings.py)."""

from __future__ import annotations

import doctest
from typing import Any

import konv.cuda


def test_examples() -> None:
    assert konv.cuda.is_available()
    found = doctest.testmod(konv.cuda, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert found.attempted >= 10
    assert found.failed == 0


def test_what_info_says(cuda: Any) -> None:
    text = konv.info()["cuda"]
    assert text.count("capability") == konv.cuda.device_count()
    assert cuda.device_info(0)["name"] in text
