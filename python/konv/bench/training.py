"""Steps of training: forward, loss, backward and optimizer on one batch, in konv and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import konv
from konv import nn
from konv.bench.problem import Array, Prepared
from konv.nn import applications

RATE, MOMENTUM = 0.01, 0.9


@dataclass(frozen=True)
class Training:
    """A network to train.

    Attributes
    ----------
    make
        The model of konv.
    theirs
        The class in `konv.bench.torch_networks`.
    shape
        Of an image, channels last.
    classes, batch
        The published number of classes, and the images of a step unless told otherwise.
    loss_difference
        How far losses of the same steps may be apart, relative to the largest: updates carry rounding into the next
        step. Statistics of a few images make much of it; there PyTorch's gradients in float32 are off by percents
        from its own in float64.
    """

    make: Callable[[], Any]
    theirs: str
    shape: tuple[int, int, int]
    classes: int
    batch: int
    loss_difference: float

    def samples(self, batch: int) -> tuple[Array, Array]:
        """Return images of normal numbers and their classes."""
        rng = np.random.default_rng(0)
        return rng.standard_normal((batch, *self.shape), np.float32), rng.integers(0, self.classes, batch)


def _resnet50() -> Any:
    return applications.ResNet50(weights=None)


def _mobilenet() -> Any:
    # What is dropped would differ.
    return applications.MobileNet(weights=None, dropout=0.0)


def _mnist_cnn() -> Any:
    return nn.Sequential([
        nn.Input((28, 28, 1)),
        nn.Conv2D(32, 3, activation="relu", name="conv1"),
        nn.MaxPooling2D(2),
        nn.Conv2D(64, 3, activation="relu", name="conv2"),
        nn.MaxPooling2D(2),
        nn.Flatten(),
        nn.Dense(10, activation="softmax", name="dense"),
    ])  # fmt: skip


TRAININGS = {
    "resnet50": Training(_resnet50, "ResNet50", (224, 224, 3), 1000, 4, 0.05),
    "mobilenet_v1": Training(_mobilenet, "MobileNet", (224, 224, 3), 1000, 4, 0.05),
    "mnist_cnn": Training(_mnist_cnn, "DigitCnn", (28, 28, 1), 10, 64, 1e-3),
}


def konv_steps(name: str, batch: int, weights: str, threads: int) -> Prepared:
    """Make a step of konv's model; its initial weights are written into the folder `weights`, by layer."""
    training = TRAININGS[name]
    konv.set_num_threads(threads)
    nn.set_random_seed(0)
    model = training.make()
    model.compile(nn.SGD(RATE, momentum=MOMENTUM), "sparse_categorical_crossentropy")
    x, y = training.samples(batch)
    for layer in model.layers:  # one after another: copies of all would be memory that steps find and do not ask for
        for i, array in enumerate(layer.get_weights()):
            np.save(Path(weights, f"{layer.name}.{i}.npy"), array)

    def step() -> float:
        loss = model.train_on_batch(x, y)
        assert isinstance(loss, float)
        return loss

    return Prepared(step)


def torch_steps(name: str, batch: int, weights: str, threads: int) -> Prepared:
    """Make a step of PyTorch's network, channels last, with the weights in a folder that `konv_steps` wrote."""
    import torch

    from konv.bench import torch_networks

    training = TRAININGS[name]
    torch.set_num_threads(threads)
    network = getattr(torch_networks, training.theirs)()
    given: dict[str, list[Array]] = {}
    for path in sorted(Path(weights).glob("*.npy")):
        given.setdefault(path.name.rsplit(".", 2)[0], []).append(np.load(path, mmap_mode="r"))
    torch_networks.copy_weights(network, given)
    network = network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM, fused=True)
    images, classes = training.samples(batch)
    x = torch.from_numpy(images[:, ::-1, ::-1].copy() if network.mirrored else images).permute(0, 3, 1, 2)
    y = torch.from_numpy(classes)

    def step() -> Any:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Prepared(step, lambda loss: loss.detach().numpy())


STEPS = {"konv": konv_steps, "torch_channels_last": torch_steps}
