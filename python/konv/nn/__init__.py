"""Models in the manner of Keras 3, on konv's own kernels: channels-last, float32 or float64.

>>> from konv import nn
>>> model = nn.Sequential([
...     nn.Input((28, 28, 1)),
...     nn.Conv2D(32, 3, activation="relu"),
...     nn.MaxPooling2D(),
...     nn.Flatten(),
...     nn.Dense(10, activation="softmax"),
... ])
>>> model.compile(nn.Adam(), nn.SparseCategoricalCrossentropy(), metrics=["accuracy"])

Layers describe themselves into a graph (`konv.nn.graph`), which an executor runs forward and
backward (`konv.nn.execution`) through one table of operations (`konv.nn.ops`).
"""

from .callbacks import Callback, LearningRateScheduler
from .history import History
from .initializers import GlorotNormal, GlorotUniform, HeNormal, HeUniform, Ones, Zeros
from .layers import (
    Activation,
    AveragePooling2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    MaxPooling2D,
    ReLU,
    Softmax,
    clear_session,
)
from .losses import (
    CategoricalCrossentropy,
    Loss,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from .metrics import BinaryAccuracy, CategoricalAccuracy, Metric, SparseCategoricalAccuracy
from .model import Model
from .optimizers import SGD, Adam, Optimizer
from .random import set_random_seed
from .sequential import Sequential
from .variable import Variable

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AveragePooling2D",
    "BinaryAccuracy",
    "Callback",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "History",
    "Input",
    "Layer",
    "LearningRateScheduler",
    "Loss",
    "MaxPooling2D",
    "MeanSquaredError",
    "Metric",
    "Model",
    "Ones",
    "Optimizer",
    "ReLU",
    "Sequential",
    "Softmax",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "Variable",
    "Zeros",
    "clear_session",
    "set_random_seed",
]
