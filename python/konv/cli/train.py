"""`konv train`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from .. import nn
from .._words import counted
from ..nn.saving import library
from .arguments import add_training_options, check_target, positive_int, set_threads
from .models import MODELS, digit_classifier, mnist

HELP = "train a network on MNIST (or files laid out alike) and print its test accuracy"


class _OneCycle(nn.Callback):
    """A rate that rises for a quarter of all steps and falls to nothing in the rest (after Smith, 2018).

    Few epochs do: the steps are large while that helps, and settle in the end.
    """

    def __init__(self, peak: float, steps: int) -> None:
        self._peak, self._steps, self._taken = peak, steps, 0

    def on_train_batch_begin(self, batch: int, logs: object) -> None:  # noqa: ARG002 - the interface
        """Set the rate."""
        done = self._taken / self._steps
        self._taken += 1
        assert self.model.optimizer is not None
        self.model.optimizer.learning_rate = self._peak * (0.1 + 3.6 * done if done < 0.25 else (1 - done) / 0.75)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder with the four IDX files, plain or gzipped"
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="cnn",
        help="the network; on MNIST they reach about 92, 98 and 99 %% (default: cnn)",
    )
    parser.add_argument(
        "--epochs", type=positive_int, default=3, metavar="N", help="passes over the training images (default: 3)"
    )
    parser.add_argument("--batch-size", type=positive_int, default=64, metavar="N", help="images a step (default: 64)")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the weights (needs safetensors: pip install 'konv[save]')"
    )
    add_training_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, save."""
    set_threads(arguments.threads)
    if arguments.save is not None:
        check_target("--save", arguments.save)
        library()  # whose absence is better known before the training
    data = mnist(arguments.data)
    x_train, x_test = (images.astype(np.float32) / 255 for images in (data.x_train, data.x_test))
    nn.set_random_seed(arguments.seed)
    model = digit_classifier(arguments.model, x_train.shape[1:])
    model.summary()
    start = time.perf_counter()
    steps = arguments.epochs * -(-len(x_train) // arguments.batch_size)
    model.fit(
        x_train,
        data.y_train,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        callbacks=[_OneCycle(4e-3, steps)],
        validation_data=(x_test, data.y_test),
        validation_batch_size=256,
    )
    seconds = time.perf_counter() - start
    figures = model.evaluate(x_test, data.y_test, batch_size=256, verbose=0, return_dict=True)
    assert isinstance(figures, dict)
    print(
        f"test accuracy {figures['accuracy']:.2%}, loss {figures['loss']:.4f}; "
        f"{seconds:.1f} s for {counted(arguments.epochs, 'epoch')}"
    )
    if arguments.save is not None:
        model.save_weights(arguments.save)
        print(f"weights written to {arguments.save}")
    return 0
