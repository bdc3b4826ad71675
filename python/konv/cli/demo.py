"""`konv demo`: handwritten digits, the engine's speed, and a picture."""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import konv

from .. import nn
from .._words import counted
from ..datasets import load_digits
from .arguments import add_training_options, check_figure, positive_int, set_threads
from .models import digit_classifier, mnist
from .picture import draw
from .table import print_table

HELP = "train a network on handwritten digits, time the engine, and draw what was learned"

RIVALS = ("numpy", "torch", "torch_channels_last")
# One layer of each kind. The names keep the table within 80 columns.
LAYERS = {
    "rn50_conv1": "ResNet-50 7x7 stride 2 at 224",
    "rn50_2_3x3": "ResNet-50 3x3 of 64 at 56",
    "rn50_4_3x3": "ResNet-50 3x3 of 256 at 14",
    "vgg3_2": "VGG-16 3x3 of 256 at 56",
    "mnv1_pw14": "MobileNet 1x1 of 512 at 14",
    "mnv1_dw112": "MobileNet depthwise 32 at 112",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with MNIST's four IDX files, plain or gzipped (default: the digits that scikit-learn brings)",
    )
    parser.add_argument(
        "--epochs", type=positive_int, metavar="N", help="passes over the training images (default: 25; with --data 3)"
    )
    add_training_options(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("konv_demo.png"),
        metavar="FILE",
        help="the picture to draw; the name's end says the format (default: konv_demo.png)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, time, draw."""
    if find_spec("matplotlib") is None:
        raise ImportError("the demo draws with matplotlib: pip install 'konv[demo]'")
    check_figure("--out", arguments.out)
    set_threads(arguments.threads)
    info = konv.info()
    print(f"konv {info['version']}, {info['isa']} on {info['cpu']}, {counted(info['threads'], 'thread')}\n")

    data = mnist(arguments.data) if arguments.data else load_digits()
    largest = np.float32(data.x_train.max())
    x_train, x_test = (x.astype(np.float32) / largest for x in (data.x_train, data.x_test))
    nn.set_random_seed(arguments.seed)
    model = digit_classifier("cnn", x_train.shape[1:])
    model.summary()
    start = time.perf_counter()
    model.fit(
        x_train,
        data.y_train,
        batch_size=64 if arguments.data else 32,
        epochs=arguments.epochs or (3 if arguments.data else 25),
        validation_data=(x_test, data.y_test),
    )
    seconds = time.perf_counter() - start
    probabilities = model.predict(x_test, batch_size=256, verbose=0)
    accuracy = float((probabilities.argmax(axis=1) == data.y_test).mean())
    print(
        f"\n{accuracy:.2%} of {len(x_test)} unseen digits recognised, "
        f"after {seconds:.1f} s of training on {len(x_train)}.\n"
    )

    _print_speed()
    draw(arguments.out, model, x_test, data.y_test, probabilities)
    print(f"\nPicture: {arguments.out}")
    return 0


def _print_speed() -> None:
    """Time single layers beside NumPy and PyTorch."""
    from ..bench import Problem, contenders, geometric_mean, installed, load_suite, measure
    from ..bench.registry import blas_limit

    threads = konv.get_num_threads()
    rivals = contenders(threads, [name for name in RIVALS if name in installed()])
    layers = [layer for layer in load_suite("layers") if layer.name in LAYERS]
    with blas_limit(threads) or nullcontext():
        rows = [measure(Problem.random(layer, "forward"), rivals) for layer in layers]
    others = [rival.name for rival in rivals if rival.name != "konv"]
    ratios = [[row.ratio(name) for name in others] for row in rows]
    means = [geometric_mean([ratio for ratio in column if ratio is not None]) for column in zip(*ratios, strict=True)]
    lines = [
        [LAYERS[row.layer.name], f"{row.timings['konv'].median * 1e6:.0f} us", *map(_times, found)]
        for row, found in zip(rows, ratios, strict=True)
    ]
    title = f"One image forward, {counted(threads, 'thread')}: how many times as fast konv is as"
    header = ["layer", "konv", *(name.replace("_", "\n", 1) for name in others)]
    print_table(title, header, [*lines, ["geometric mean", "", *map(_times, means)]])


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"
