"""Make a drawn call in one of many ways, and see that it gives what it must or refuses what it must."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

import konv
from tests.cases import ISA_LEVELS, SPREADING
from tests.fuzz.draw import Draw, Watched, dtype_of
from tests.fuzz.operations import LAYOUTS, Operation
from tests.fuzz.spoil import spoil
from tests.fuzz.trial import Trial, judge
from tests.reference import Array

IMAGES = ("input", "grad_output", "residual", "indices", "preactivation")


class Form:
    """How arrays are passed: where their channels are, and whether they have a batch."""

    def __init__(self, d: Draw, operation: Operation, trial: Trial) -> None:
        arrays = [trial.arguments[name] for name in IMAGES if name in trial.arguments]
        self.batched = arrays[0].shape[0] > 1 or d.chance(0.6)
        self.layout = d.choice((None, *LAYOUTS[operation.dims])) if operation.layouts else None
        if operation.name == "grad.conv_bias" and not self.batched:  # of any rank, which only `layout` tells
            self.layout = self.layout or "NCHW"
        self.last = self.layout is not None and self.layout.endswith("C")

    def array(self, a: Array) -> Array:
        a = np.moveaxis(a, 1, -1) if self.last else a
        return a if self.batched else a[0]

    def back(self, a: Array) -> Array:
        a = a if self.batched else a[None]
        return np.moveaxis(a, -1, 1) if self.last else a

    def size(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n, c, *spatial = shape
        moved = (n, *spatial, c) if self.last else shape
        return tuple(moved) if self.batched else tuple(moved[1:])


def settings(d: Draw, trial: Trial) -> dict[str, Any]:
    """The configuration of a call; what error it allows goes into the trial."""
    chosen: dict[str, Any] = {"isa": d.choice((*ISA_LEVELS, ISA_LEVELS[-1])), "precision": d.choice(("strict", "high"))}
    if d.chance(0.2):
        chosen["denormals"] = "keep"
    algorithm = trial.arguments.get("algorithm", "auto")
    trial.may_spread &= algorithm in SPREADING or (algorithm == "auto" and chosen["precision"] == "high")
    return chosen


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return all(same_bits(x, y) for x, y in zip(a, b, strict=True))
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def attempt(operation: Operation, seed: int, number: int) -> str:
    """Trial `number` of an operation: "right", "refused" or "rejected"; AssertionError where konv is wrong."""
    d = Draw(seed, number, zlib.crc32(operation.name.encode()))
    trial = operation.draw(d)
    form, configuration = Form(d, operation, trial), settings(d, trial)
    watched: dict[str, Watched] = {}
    arguments: dict[str, Any] = {}
    for name, value in trial.arguments.items():
        if isinstance(value, np.ndarray):
            watched[name] = Watched(d, form.array(value) if name in IMAGES else value)
            arguments[name] = watched[name].array
        else:
            arguments[name] = form.size(value) if name == "input_size" else value
    if form.layout:
        arguments["layout"] = form.layout
    if operation.name != "CausalConv1d":
        if trial.start is not None or d.chance(0.5):
            blank = trial.start
            if blank is None:
                blank = np.zeros(trial.results[0].value.shape, dtype_of(trial.result_dtype or trial.dtype))
            watched["out"] = Watched(d, form.array(blank) if operation.image else blank)
            arguments["out"] = watched["out"].array
        if d.chance(0.2) and "algorithm" in arguments:
            arguments["max_workspace"] = d.choice((0, 4096, 10**6))
    arguments["threads"] = d.integer(1, 4)
    with konv.config(**configuration):
        if operation.broken and d.chance(0.35):
            return refuse(d, operation, arguments, watched)
        return compute(d, operation, trial, form, arguments, watched)


def refuse(d: Draw, operation: Operation, arguments: dict[str, Any], watched: dict[str, Watched]) -> str:
    arguments = {name: value for name, value in arguments.items() if name != "algorithm"}
    name, wrong = spoil(d, operation, arguments)
    value = wrong[name]
    shown = f"{value.dtype} {value.shape} strides {value.strides}" if isinstance(value, np.ndarray) else repr(value)
    try:
        operation.function(**wrong)
    except (ValueError, TypeError) as error:
        about = str(error)
        assert any(known in about for known in wrong), f"{name}={shown}: the message names nothing: {about!r}"
    else:
        raise AssertionError(f"{name}={shown} was accepted")
    for known, memory in watched.items():
        assert memory.untouched(), f"{known} was written although {name} was refused"
    return "rejected"


def compute(
    d: Draw, operation: Operation, trial: Trial, form: Form, arguments: dict[str, Any], watched: dict[str, Watched]
) -> str:
    try:
        results = operation.function(**arguments)
    except ValueError:
        if arguments.get("algorithm", "auto") == "auto":
            raise
        assert "out" not in watched or watched["out"].untouched(), "out was written although the algorithm declined"
        return "refused"
    for name, memory in watched.items():
        kept = memory.surroundings_untouched() if name == "out" else memory.untouched()
        assert kept, f"{name} was written{' beside its elements' * (name == 'out')}"
    found = results if isinstance(results, tuple) else (results,)
    assert "out" not in arguments or found[0] is arguments["out"], "the result is not out"
    assert found[0].dtype == dtype_of(trial.result_dtype or trial.dtype), f"dtype {found[0].dtype}"
    for actual, expected in zip(found, trial.results, strict=True):
        judge(form.back(actual) if operation.image else actual, expected, trial)
    if "out" not in arguments and d.chance(0.3):
        again = operation.function(**{**arguments, "threads": arguments["threads"] % 4 + 1})
        assert same_bits(results, again), "the result depends on the number of threads"
    return "right"
