"""Well-known networks, built as published, with weights as they start.

>>> from konv import nn
>>> from konv.nn import applications
>>> network = applications.ResNet18(input_shape=(64, 64, 3), classes=10)
>>> network.output_shape
(None, 10)

`weights` takes a file that `save_weights` of the same network wrote. With ``include_top=False`` a classifier gives its
features, for other layers to go on with.
"""

from .hed import HED
from .lenet import LeNet5
from .mobilenet import MobileNet
from .mobilenet_v2 import MobileNetV2
from .resnet import ResNet18, ResNet34, ResNet50
from .squeezenet import SqueezeNet
from .unet import UNet
from .vgg import VGG16
from .yolo import Detections, TinyYolo, decode_predictions

__all__ = [
    "HED",
    "VGG16",
    "Detections",
    "LeNet5",
    "MobileNet",
    "MobileNetV2",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "SqueezeNet",
    "TinyYolo",
    "UNet",
    "decode_predictions",
]
