"""Arguments that make no sense: the exception, the start of its message, and nothing written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import konv
from tests.rejected import convolution, pooling, pytorch
from tests.rejected.arguments import Entry, entries
from tests.rejected.calls import CALLS, DIMS
from tests.rejected.convolution import Table

# Functions that take no array and no size, or are tested by name elsewhere.
OTHERS = {"ConvPlan", "config", "get_num_threads", "info", "set_num_threads"}


def _own() -> Iterator[tuple[str, Entry]]:
    fixed: Table = [*convolution.OTHERS, *pooling.OTHERS, *pooling.QUANTISED]
    yield from ((name, Entry(*rest)) for name, *rest in fixed)
    for n in DIMS:
        for name, *rest in [*convolution.table(n), *pooling.table(n)]:
            yield name.replace("#", f"{n}d"), Entry(*rest)


def _table() -> dict[str, list[Entry]]:
    table = {name: list(entries(name, call.n, call.arguments, call.make())) for name, call in CALLS.items()}
    for name, entry in _own():
        table[name].append(entry)
    return table


TABLE = _table()


def shown(changes: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={value.dtype}{value.shape}" if isinstance(value, np.ndarray) else f"{name}={value!r:.60}"
        for name, value in changes.items()
    )


def outcome(name: str, arguments: dict[str, Any]) -> tuple[type[Exception] | None, str]:
    try:
        CALLS[name].function(**arguments)
    except Exception as error:
        return type(error), str(error)
    return None, "accepted"


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_is_taken(name: str) -> None:
    CALLS[name].function(**CALLS[name].make())


@pytest.mark.parametrize("name", CALLS)
def test_rejected(name: str) -> None:
    wrong = []
    for entry in TABLE[name]:
        given = {**CALLS[name].make(), **entry.changes}
        before = {key: value.tobytes() for key, value in given.items() if isinstance(value, np.ndarray)}
        kind, message = outcome(name, given)
        written = [key for key in before if given[key].tobytes() != before[key]]
        if kind is not entry.exception or not message.startswith(entry.message) or written:
            raised = kind.__name__ if kind else "nothing"
            wrong.append(f"{shown(entry.changes)}: expected {entry.message!r}, got {raised} {message!r}; {written=}")
    assert not wrong, "\n".join(wrong)


def test_every_function_has_entries() -> None:
    public = {name for name in konv.__all__ if callable(getattr(konv, name))}
    public |= {f"grad.{name}" for name in konv.grad.__all__}
    assert public - OTHERS == {name for name in CALLS if " " not in name}


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_has_an_entry(name: str) -> None:
    assert set(CALLS[name].arguments) - {key for entry in TABLE[name] for key in entry.changes} == set()


@pytest.mark.parametrize("name", CALLS)
def test_missing_and_unknown_arguments(name: str) -> None:
    good = CALLS[name].make()
    if " " not in name:
        with pytest.raises(TypeError, match="missing"):
            CALLS[name].function()
    with pytest.raises(TypeError, match=r"strides|at most"):
        CALLS[name].function(**good, strides=2)


def raises(function: Callable[..., Any], arguments: dict[str, Any]) -> bool:
    try:
        function(**arguments)
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError, NotImplementedError):
        return True
    return False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", pytorch.VALUES)
def test_what_pytorch_rejects_is_rejected(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.functional, name)
    rejected, taken = 0, []
    for arguments in pytorch.trials(name):
        tensors = {k: torch.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
        if raises(theirs, tensors):
            rejected += 1
            if not raises(getattr(konv, name), arguments) and not pytorch.extends(name, arguments):
                taken.append(shown(arguments))
    assert rejected > 20
    assert not taken, "\n".join(taken)
