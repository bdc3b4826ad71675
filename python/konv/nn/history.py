"""What fit returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class History:
    """The figures of a training, epoch by epoch.

    Attributes
    ----------
    history : dict of str to list of float
        For each figure ("accuracy", "loss", "val_accuracy", "val_loss") one value an epoch.
    epoch : list of int
        The epochs, counted from 0.
    params : dict
        "verbose", "epochs" and "steps" of the training.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = dict(params)
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def append(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Add an epoch."""
        self.epoch.append(epoch)
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)
