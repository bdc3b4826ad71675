"""What callbacks do at the events of a training, one event after another."""

from __future__ import annotations

import csv
from collections.abc import Iterable

import numpy as np
import pytest

from konv import nn


def compiled() -> nn.Sequential:
    model = nn.Sequential([nn.Input((2,)), nn.Dense(1, kernel_initializer="zeros")])
    model.compile(nn.SGD(0.1), "mse")
    return model


def play(callback: nn.Callback, losses: Iterable[float], model: nn.Model | None = None, name: str = "val_loss") -> int:
    """Let a callback see a training with these figures; epoch e leaves weights of e. Returns the number of epochs."""
    model = model or compiled()
    model.stop_training = False
    callback.set_model(model)
    callback.set_params({"epochs": 99, "steps": 1, "verbose": 0})
    callback.on_train_begin({})
    count = 0
    for epoch, loss in enumerate(losses):
        callback.on_epoch_begin(epoch, {})
        callback.on_train_batch_begin(0, {})
        model.set_weights([np.full(w.shape, epoch) for w in model.get_weights()])
        callback.on_train_batch_end(0, {"loss": loss})
        callback.on_epoch_end(epoch, {"loss": loss, name: loss})
        count += 1
        if model.stop_training:
            break
    callback.on_train_end({})
    return count


@pytest.mark.parametrize(
    ("options", "losses", "epochs"),
    [
        ({}, [3, 2, 2, 1], 3),
        ({"patience": 2}, [3, 2, 2, 1, 2, 2, 0], 6),
        ({"min_delta": 0.5}, [3, 2, 1.6, 1], 3),
        ({"baseline": 1.0, "patience": 2}, [3, 2, 1.5, 0.9, 0.8], 5),
        ({"baseline": 0.1, "patience": 2}, [3, 2, 2, 2], 3),
        ({"start_from_epoch": 2}, [1, 2, 3, 4, 5], 4),
        ({"mode": "max"}, [1, 2, 3, 2, 3], 4),
        ({"monitor": "val_accuracy"}, [1, 2, 3, 2, 3], 4),
        ({"patience": 1}, [float("nan"), float("nan"), 1], 2),
    ],
)
def test_early_stopping(options, losses, epochs):
    name = options.get("monitor", "val_loss")
    assert play(nn.EarlyStopping(**options), losses, name=name) == epochs


@pytest.mark.parametrize(("losses", "best"), [([3, 1, 2, 2], 1), ([3, 1, 0.5], 2), ([float("nan")] * 3, 0)])
def test_the_best_weights_come_back(losses, best, capsys):
    model = compiled()
    play(nn.EarlyStopping(patience=2, restore_best_weights=True, verbose=1), losses, model)
    assert {float(w.max()) for w in model.get_weights()} == {best}
    assert f"the best epoch: {best + 1}." in capsys.readouterr().out


def rates(callback: nn.Callback, losses: Iterable[float]) -> list[float]:
    model, found = compiled(), []
    model.optimizer.learning_rate = 1.0

    class Watch(nn.Callback):
        def on_epoch_end(self, epoch, logs):
            callback.on_epoch_end(epoch, logs)
            found.append(round(model.optimizer.learning_rate, 6))

    callback.set_model(model)
    callback.on_train_begin({})
    play(Watch(), losses, model)
    return found


@pytest.mark.parametrize(
    ("options", "losses", "expected"),
    [
        ({"patience": 1}, [3, 2, 2, 2, 1], [1, 1, 0.1, 0.01, 0.01]),
        ({"patience": 2, "factor": 0.5}, [3, 3, 3, 3, 3], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "cooldown": 2, "factor": 0.5}, [3] * 6, [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        ({"patience": 1, "min_lr": 0.05}, [3] * 4, [1, 0.1, 0.05, 0.05]),
        ({"patience": 1, "min_delta": 1.0}, [3, 2.5, 1.9], [1, 0.1, 0.1]),
    ],
)
def test_reducing_the_rate_on_a_plateau(options, losses, expected):
    assert rates(nn.ReduceLROnPlateau(**options), losses) == expected


def test_learning_rate_schedule(capsys):
    model = compiled()
    play(nn.LearningRateScheduler(lambda epoch, rate: rate * (epoch + 1), verbose=1), [1, 1, 1], model)
    assert model.optimizer.learning_rate == pytest.approx(0.6)
    assert "Epoch 3: the learning rate is 0.6" in capsys.readouterr().out


def test_checkpoints(tmp_path):
    pytest.importorskip("safetensors")
    play(nn.ModelCheckpoint(tmp_path / "all" / "{epoch:02d}_{val_loss:.1f}.konv"), [3, 1, 2])
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["01_3.0.konv", "02_1.0.konv", "03_2.0.konv"]
    again = nn.load_model(tmp_path / "all" / "03_2.0.konv")
    assert float(again.get_weights()[0].max()) == 2.0
    assert again.optimizer.learning_rate == 0.1

    play(nn.ModelCheckpoint(tmp_path / "best", save_best_only=True), [3, 1, 2])
    assert float(nn.load_model(tmp_path / "best").get_weights()[0].max()) == 1.0

    play(nn.ModelCheckpoint(tmp_path / "none", save_best_only=True, initial_value_threshold=0.5), [3, 1, 2])
    assert not (tmp_path / "none").exists()

    play(nn.ModelCheckpoint(tmp_path / "steps", save_freq=2, save_weights_only=True), [3, 1, 2])
    model = compiled()
    model.load_weights(tmp_path / "steps")
    assert float(model.get_weights()[0].max()) == 1.0


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    logger = nn.CSVLogger(path)
    play(logger, [3, 1])
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "0", "loss": "3.0", "val_loss": "3.0"},
            {"epoch": "1", "loss": "1.0", "val_loss": "1.0"},
        ]
    play(nn.CSVLogger(path, append=True), [2])
    assert len(path.read_text().splitlines()) == 4
    with pytest.raises(ValueError, match=r"has the columns .*, figures are .*'val_accuracy'"):
        play(nn.CSVLogger(path, append=True), [2], name="val_accuracy")
    play(logger, [9])
    assert len(path.read_text().splitlines()) == 2
    play(nn.CSVLogger(path, separator=";"), [9])
    assert path.read_text() == "epoch;loss;val_loss\n0;9.0;9.0\n"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.EarlyStopping(patience=-1), ValueError, "patience must not be negative, got -1"),
        (lambda: nn.EarlyStopping(patience=1.5), TypeError, "patience must be an integer, got 1.5"),
        (lambda: nn.EarlyStopping("luck"), ValueError, "mode must be 'min' or 'max' for monitor='luck'"),
        (lambda: nn.EarlyStopping(mode="up"), ValueError, "mode must be 'auto', 'min' or 'max', got 'up'"),
        (lambda: nn.ReduceLROnPlateau(factor=1.0), ValueError, "factor must be at least 0 and below 1, got 1.0"),
        (lambda: nn.ModelCheckpoint("m", save_freq=0), ValueError, "save_freq must be 'epoch' or a positive"),
        (lambda: nn.LearningRateScheduler(0.1), TypeError, "schedule must be a function"),
        (lambda: play(nn.EarlyStopping("loss_2", mode="min"), [1]), ValueError, "monitor must be one of .*'loss_2'"),
        (lambda: play(nn.ModelCheckpoint("{accuracy}"), [1]), ValueError, "filepath '{accuracy}' names 'accuracy'"),
        (
            lambda: play(nn.LearningRateScheduler(lambda _, rate: rate), [1], nn.Sequential()),
            ValueError,
            "not compiled",
        ),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_watching_a_figure_whose_name_does_not_tell():
    assert play(nn.EarlyStopping("luck", mode="min"), [3, 2, 2], name="luck") == 3
