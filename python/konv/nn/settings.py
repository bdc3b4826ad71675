"""What `compile` is given, checked at once and sorted by outputs once those are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import losses, metrics
from .data import parts
from .metrics import Metric
from .training import Objective


def checked_loss(given: Any) -> Any:
    """Return losses in place of names and functions, in the list or dict that holds them."""
    return _each(losses.get, given)


def checked_weights(given: Any) -> Any:
    """Return weights of losses, refusing what is no number."""

    def check(weight: Any) -> float:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise TypeError(f"loss_weights must be numbers, got {weight!r}; metrics are passed by name")
        return float(weight)

    return _each(check, given)


def checked_metrics(given: Any) -> Any:
    """Return metrics, refusing names that are unknown before any shapes are known."""
    if isinstance(given, (str, Metric)):
        raise TypeError(f"metrics must be a list, got {given!r}")
    _each(metrics.check, given)
    return given or []


def objective(loss: Any, weights: Any, names: Sequence[str]) -> Objective:
    """Return the loss of each output and its weight."""
    each = [1.0 if weight is None else weight for weight in _by_output(weights, names, "loss_weights")]
    return Objective(_by_output(loss, names, "loss"), each)


def wanted_metrics(given: Any, names: Sequence[str]) -> list[list[str | Metric]]:
    """Return a list for each output; one list alone counts for all of them."""
    nested = isinstance(given, Mapping) or any(isinstance(one, (list, tuple)) for one in given)
    found = _by_output(given, names, "metrics") if nested else [given] * len(names)
    return [[one] if isinstance(one, (str, Metric)) else list(one or []) for one in found]


def _by_output(given: Any, names: Sequence[str], what: str) -> list[Any]:
    """One entry for each output: from a list or dict; what stands alone counts for all."""
    if isinstance(given, (list, tuple)) and len(names) == 1 and len(given) == 1:
        return list(given)
    return parts(given, names, what) if isinstance(given, (list, tuple, Mapping)) else [given] * len(names)


def _each(function: Callable[[Any], Any], given: Any) -> Any:
    """Apply a function to what lists and dicts hold, or to the thing itself; None stays."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _each(function, value) for name, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [_each(function, value) for value in given]
    return function(given)
