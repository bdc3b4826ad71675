"""The layers."""

from .activation import Activation, Dropout, ReLU, Softmax
from .base import Layer, clear_session
from .convolution import Conv2D
from .core import Dense, Flatten, Input
from .pooling import AveragePooling2D, MaxPooling2D

__all__ = [
    "Activation",
    "AveragePooling2D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "MaxPooling2D",
    "ReLU",
    "Softmax",
    "clear_session",
]
