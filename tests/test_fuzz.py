"""A few trials of every operation; `python -m tests.fuzz` makes as many as one has time for."""

from __future__ import annotations

from types import ModuleType

import pytest

import konv

pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

from tests.fuzz.operations import ALL, PRESENT, named
from tests.fuzz.run import attempt


@pytest.mark.parametrize("name", [operation.name for operation in PRESENT])
def test_operation(name: str) -> None:
    outcomes = [attempt(named(name), seed=2026, number=number) for number in range(60)]
    assert outcomes.count("right") >= 20


def test_the_table_knows_every_operation() -> None:
    """A function that computes is fuzzed, or it is named here."""
    others = {"ConvPlan", "config", "explain", "get_num_threads", "info", "set_num_threads", "__version__"}
    offered = {name for name in konv.__all__ if not isinstance(getattr(konv, name), ModuleType)} - others
    assert offered | {f"grad.{name}" for name in konv.grad.__all__} == {operation.name for operation in PRESENT}
    assert len(ALL) == len({operation.name for operation in ALL})
