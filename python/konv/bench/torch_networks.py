"""Keras's ResNet-50 and MobileNet, and a small classifier of digits, for PyTorch: what konv's models train against.

Modules carry the names of Keras's layers, so that `copy_weights` can give them the weights of those models: each step
then computes the same losses. Sources: ResNet (He et al. 2016), MobileNet (Howard et al. 2017), `keras.applications`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from konv.bench.problem import Array


class Named(nn.Module):  # type: ignore[misc]
    """Layers by the names that Keras gives them."""

    bias = False  # of convolutions with a normalisation
    epsilon = 1e-3
    mirrored = False

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()

    def conv(self, name: str, norm: str, c: int, k: int, size: int, stride: int = 1, groups: int = 1) -> None:
        """Add a convolution and its normalisation."""
        self.layers[name] = nn.Conv2d(c, k, size, stride, size // 2, groups=groups, bias=self.bias)
        self.layers[norm] = nn.BatchNorm2d(k, self.epsilon, momentum=0.01)

    def norm(self, x: Tensor, name: str, norm: str) -> Tensor:
        """Convolve and normalise."""
        y: Tensor = self.layers[norm](self.layers[name](x))
        return y


class ResNet50(Named):
    """ResNet-50 with its strides in the first convolution of a block, as published."""

    bias = True
    epsilon = 1.001e-5

    def __init__(self) -> None:
        super().__init__()
        self.conv("conv1_conv", "conv1_bn", 3, 64, 7, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks: list[str] = []
        c = 64
        for stage, (k, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 2):
            for block in range(1, count + 1):
                name, stride = f"conv{stage}_block{block}", 2 if stage > 2 and block == 1 else 1
                if block == 1:
                    self.conv(f"{name}_0_conv", f"{name}_0_bn", c, 4 * k, 1, stride)
                self.conv(f"{name}_1_conv", f"{name}_1_bn", c, k, 1, stride)
                self.conv(f"{name}_2_conv", f"{name}_2_bn", k, k, 3)
                self.conv(f"{name}_3_conv", f"{name}_3_bn", k, 4 * k, 1)
                self.blocks.append(name)
                c = 4 * k
        self.layers["predictions"] = nn.Linear(c, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.pool(self.norm(x, "conv1_conv", "conv1_bn").relu_())
        for name in self.blocks:
            y = self.norm(x, f"{name}_1_conv", f"{name}_1_bn").relu_()
            y = self.norm(y, f"{name}_2_conv", f"{name}_2_bn").relu_()
            y = self.norm(y, f"{name}_3_conv", f"{name}_3_bn")
            if f"{name}_0_conv" in self.layers:
                x = self.norm(x, f"{name}_0_conv", f"{name}_0_bn")
            x = (y + x).relu_()
        logits: Tensor = self.layers["predictions"](x.mean((2, 3)))
        return logits


class MobileNet(Named):
    """MobileNet v1.

    Keras pads an even image below and to the right where PyTorch's `padding=1` pads above and to the left: on mirrored
    images with mirrored kernels that is the same, and needs no padded copy.
    """

    mirrored = True

    def __init__(self) -> None:
        super().__init__()
        self.conv("conv1", "conv1_bn", 3, 32, 3, 2)
        self.names = ["conv1"]
        strides, c = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), 32
        channels = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
        for i, (stride, k) in enumerate(zip(strides, channels, strict=True), 1):
            self.conv(f"conv_dw_{i}", f"conv_dw_{i}_bn", c, c, 3, stride, groups=c)
            self.conv(f"conv_pw_{i}", f"conv_pw_{i}_bn", c, k, 1)
            self.names += [f"conv_dw_{i}", f"conv_pw_{i}"]
            c = k
        self.layers["conv_preds"] = nn.Conv2d(c, 1000, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        for name in self.names:
            x = nn.functional.relu6(self.norm(x, name, f"{name}_bn"), inplace=True)
        logits: Tensor = self.layers["conv_preds"](x.mean((2, 3), keepdim=True))
        return logits.flatten(1)


class DigitCnn(Named):
    """Two convolutions with pooling and a dense layer, for images of 28 x 28."""

    def __init__(self) -> None:
        super().__init__()
        self.layers["conv1"] = nn.Conv2d(1, 32, 3)
        self.layers["conv2"] = nn.Conv2d(32, 64, 3)
        self.layers["dense"] = nn.Linear(5 * 5 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        for name in ("conv1", "conv2"):
            x = nn.functional.max_pool2d(self.layers[name](x).relu_(), 2)
        # Channels last, as Keras flattens; in this memory format it moves nothing.
        logits: Tensor = self.layers["dense"](x.permute(0, 2, 3, 1).flatten(1))
        return logits


def copy_weights(network: Named, weights: Mapping[str, Sequence[Array]]) -> None:
    """Copy the weights of Keras layers, by name, into the modules of the same names."""
    found, expected = {name for name, arrays in weights.items() if arrays}, set(network.layers)
    if found != expected:
        raise ValueError(f"weights: expected those of {sorted(expected)}, got {sorted(found)}")
    with torch.no_grad():
        for name, module in network.layers.items():
            targets = [module.weight, module.bias]
            if isinstance(module, nn.BatchNorm2d):
                targets += [module.running_mean, module.running_var]
            targets = [target for target in targets if target is not None]
            for target, array in zip(targets, weights[name], strict=True):
                target.copy_(torch.from_numpy(_turned(module, array, network.mirrored).copy()))


def _turned(module: nn.Module, array: Array, mirrored: bool) -> Array:
    """A weight with its axes in PyTorch's order."""
    if isinstance(module, nn.Conv2d) and array.ndim == 4:
        kernel = array[::-1, ::-1] if mirrored else array
        return kernel.transpose(2, 3, 0, 1) if module.groups > 1 else kernel.transpose(3, 2, 0, 1)
    return array.T if isinstance(module, nn.Linear) else array
