"""What every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import konv

settings.register_profile("konv", deadline=None)  # no test asserts a time
settings.load_profile("konv")


@pytest.fixture
def data_dir() -> Path:
    """The folder of real data named by KONV_TEST_DATA."""
    folder = os.environ.get("KONV_TEST_DATA")
    if not folder:
        pytest.skip("KONV_TEST_DATA does not name a data folder")
    return Path(folder)


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = konv.get_num_threads()
    yield
    konv.set_num_threads(before)
