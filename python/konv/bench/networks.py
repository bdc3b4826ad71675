"""Well-known classifiers as ONNX models with random weights, for timing: what exporters write of them, op by op.

Sources: AlexNet (Krizhevsky 2014, one column), VGG (Simonyan and Zisserman 2015), ResNet (He et al. 2016), SqueezeNet
1.1 (Iandola et al. 2016), DenseNet (Huang et al. 2017), GoogLeNet (Szegedy et al. 2015), Inception v3 (Szegedy et al.
2016), MobileNet v1 and v2 (Howard et al. 2017; Sandler et al. 2018), ShuffleNet v2 (Ma et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Appends nodes; every method returns the name of its result. Batch normalisation stays a node of its own."""

    def __init__(self, name: str, size: int = 224, seed: int = 0) -> None:
        self.name, self.size = name, size
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.channels = {"input": 3}
        self._rng = np.random.default_rng(seed)

    def weight(self, array: np.ndarray[Any, Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, inputs: Sequence[str], channels: int, **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        self.channels[name] = channels
        return name

    def conv(
        self, x: str, k: int, size: int | tuple[int, int], stride: int = 1, pad: int | tuple[int, int] | None = None,
        groups: int = 1, bias: bool = True,
    ) -> str:  # fmt: skip
        r, s = (size, size) if isinstance(size, int) else size
        py, px = ((r - 1) // 2, (s - 1) // 2) if pad is None else (pad, pad) if isinstance(pad, int) else pad
        c = self.channels[x]
        fan = c // groups * r * s
        w = self._rng.standard_normal((k, c // groups, r, s), np.float32) * np.float32(np.sqrt(2 / fan))
        inputs = [x, self.weight(w)]
        if bias:
            inputs.append(self.weight(np.zeros(k, np.float32)))
        return self.node(
            "Conv", inputs, k, kernel_shape=[r, s], strides=[stride] * 2, pads=[py, px, py, px], group=groups
        )

    def norm(self, x: str) -> str:
        c = self.channels[x]
        vectors = [np.ones(c), np.zeros(c), np.zeros(c), np.ones(c)]
        return self.node(
            "BatchNormalization", [x, *(self.weight(v.astype(np.float32)) for v in vectors)], c, epsilon=1e-5
        )

    def relu(self, x: str) -> str:
        return self.node("Relu", [x], self.channels[x])

    def relu6(self, x: str) -> str:
        limits = [self.weight(np.array(v, np.float32)) for v in (0, 6)]
        return self.node("Clip", [x, *limits], self.channels[x])

    def pool(self, x: str, op: str, size: int, stride: int, pad: int = 0, *, round_up: bool = False) -> str:
        more = {"count_include_pad": 1} if op == "AveragePool" else {}
        return self.node(
            op, [x], self.channels[x], kernel_shape=[size] * 2, strides=[stride] * 2, pads=[pad] * 4,
            ceil_mode=int(round_up), **more,
        )  # fmt: skip

    def concat(self, parts: Sequence[str]) -> str:
        return self.node("Concat", parts, sum(self.channels[p] for p in parts), axis=1)

    def dense(self, x: str, outputs: int, inputs: int | None = None) -> str:
        c = inputs or self.channels[x]
        w = self._rng.standard_normal((outputs, c), np.float32) * np.float32(np.sqrt(1 / c))
        return self.node("Gemm", [x, self.weight(w), self.weight(np.zeros(outputs, np.float32))], outputs, transB=1)

    def flatten(self, x: str, features: int | None = None) -> str:
        return self.node("Flatten", [x], features or self.channels[x], axis=1)

    def head(self, x: str, classes: int = 1000) -> str:
        pooled = self.node("GlobalAveragePool", [x], self.channels[x])
        return self.dense(self.flatten(pooled), classes)

    def model(self, output: str, batch: int | str = 1) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, self.size, self.size])
        y = helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, self.channels[output]])
        graph = helper.make_graph(self.nodes, self.name, [x], [y], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def alexnet(b: Builder) -> str:
    x = b.relu(b.conv("input", 64, 11, 4, 2))
    x = b.pool(x, "MaxPool", 3, 2)
    x = b.pool(b.relu(b.conv(x, 192, 5)), "MaxPool", 3, 2)
    for k in (384, 256, 256):
        x = b.relu(b.conv(x, k, 3))
    x = b.flatten(b.pool(x, "MaxPool", 3, 2), 256 * 36)
    x = b.relu(b.dense(x, 4096))
    return b.dense(b.relu(b.dense(x, 4096)), 1000)


def _vgg(b: Builder, repeats: Sequence[int]) -> str:
    x = "input"
    for k, count in zip((64, 128, 256, 512, 512), repeats, strict=True):
        for _ in range(count):
            x = b.relu(b.conv(x, k, 3))
        x = b.pool(x, "MaxPool", 2, 2)
    x = b.relu(b.dense(b.flatten(x, 512 * 49), 4096))
    return b.dense(b.relu(b.dense(x, 4096)), 1000)


def vgg16(b: Builder) -> str:
    return _vgg(b, (2, 2, 3, 3, 3))


def vgg19(b: Builder) -> str:
    return _vgg(b, (2, 2, 4, 4, 4))


def _conv_norm(
    b: Builder, x: str, k: int, size: int | tuple[int, int], stride: int = 1, pad: Any = None, groups: int = 1
) -> str:
    return b.norm(b.conv(x, k, size, stride, pad, groups, bias=False))


def _add(b: Builder, x: str, y: str) -> str:
    return b.node("Add", [x, y], b.channels[x])


def resnet18(b: Builder) -> str:
    x = b.pool(b.relu(_conv_norm(b, "input", 64, 7, 2)), "MaxPool", 3, 2, 1)
    for k, stage in zip((64, 128, 256, 512), range(4), strict=True):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = b.relu(_conv_norm(b, x, k, 3, stride))
            y = _conv_norm(b, y, k, 3)
            if stride == 2:
                x = _conv_norm(b, x, k, 1, 2)
            x = b.relu(_add(b, y, x))
    return b.head(x)


def resnet50(b: Builder) -> str:
    x = b.pool(b.relu(_conv_norm(b, "input", 64, 7, 2)), "MaxPool", 3, 2, 1)
    for stage, (k, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(count):
            stride = 2 if stage and not block else 1
            y = b.relu(_conv_norm(b, x, k, 1))
            y = b.relu(_conv_norm(b, y, k, 3, stride))
            y = _conv_norm(b, y, 4 * k, 1)
            if not block:
                x = _conv_norm(b, x, 4 * k, 1, stride)
            x = b.relu(_add(b, y, x))
    return b.head(x)


def squeezenet(b: Builder) -> str:
    def fire(x: str, squeeze: int, expand: int) -> str:
        x = b.relu(b.conv(x, squeeze, 1))
        return b.concat([b.relu(b.conv(x, expand, 1)), b.relu(b.conv(x, expand, 3))])

    x = b.pool(b.relu(b.conv("input", 64, 3, 2, 0)), "MaxPool", 3, 2, round_up=True)
    x = b.pool(fire(fire(x, 16, 64), 16, 64), "MaxPool", 3, 2, round_up=True)
    x = b.pool(fire(fire(x, 32, 128), 32, 128), "MaxPool", 3, 2, round_up=True)
    for squeeze, expand in ((48, 192), (48, 192), (64, 256), (64, 256)):
        x = fire(x, squeeze, expand)
    x = b.relu(b.conv(x, 1000, 1))
    return b.flatten(b.node("GlobalAveragePool", [x], 1000))


def densenet121(b: Builder) -> str:
    x = b.pool(b.relu(_conv_norm(b, "input", 64, 7, 2)), "MaxPool", 3, 2, 1)
    for stage, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            y = b.conv(b.relu(b.norm(x)), 128, 1, bias=False)
            x = b.concat([x, b.conv(b.relu(b.norm(y)), 32, 3, bias=False)])
        if stage < 3:
            x = b.pool(b.conv(b.relu(b.norm(x)), b.channels[x] // 2, 1, bias=False), "AveragePool", 2, 2)
    return b.head(b.relu(b.norm(x)))


def googlenet(b: Builder) -> str:
    def inception(x: str, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> str:
        def branch(y: str, k: int, size: int) -> str:
            return b.relu(_conv_norm(b, y, k, size))

        return b.concat([
            branch(x, one, 1),
            branch(branch(x, three[0], 1), three[1], 3),
            branch(branch(x, five[0], 1), five[1], 3),
            branch(b.pool(x, "MaxPool", 3, 1, 1), pooled, 1),
        ])  # fmt: skip

    x = b.pool(b.relu(_conv_norm(b, "input", 64, 7, 2)), "MaxPool", 3, 2, round_up=True)
    x = b.relu(_conv_norm(b, b.relu(_conv_norm(b, x, 64, 1)), 192, 3))
    x = b.pool(x, "MaxPool", 3, 2, round_up=True)
    x = inception(x, 64, (96, 128), (16, 32), 32)
    x = b.pool(inception(x, 128, (128, 192), (32, 96), 64), "MaxPool", 3, 2, round_up=True)
    for sizes in (
        (192, (96, 208), (16, 48), 64), (160, (112, 224), (24, 64), 64), (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64), (256, (160, 320), (32, 128), 128),
    ):  # fmt: skip
        x = inception(x, *sizes)
    x = b.pool(x, "MaxPool", 2, 2, round_up=True)
    x = inception(inception(x, 256, (160, 320), (32, 128), 128), 384, (192, 384), (48, 128), 128)
    return b.head(x)


def inception_v3(b: Builder) -> str:
    def conv(x: str, k: int, size: int | tuple[int, int], stride: int = 1, pad: Any = None) -> str:
        return b.relu(_conv_norm(b, x, k, size, stride, pad))

    def average(x: str) -> str:
        return b.pool(x, "AveragePool", 3, 1, 1)

    x = conv(conv(conv("input", 32, 3, 2, 0), 32, 3, 1, 0), 64, 3)
    x = b.pool(x, "MaxPool", 3, 2)
    x = b.pool(conv(conv(x, 80, 1), 192, 3, 1, 0), "MaxPool", 3, 2)
    for k in (32, 64, 64):
        x = b.concat([
            conv(x, 64, 1), conv(conv(x, 48, 1), 64, 5), conv(conv(conv(x, 64, 1), 96, 3), 96, 3),
            conv(average(x), k, 1),
        ])  # fmt: skip
    x = b.concat([conv(x, 384, 3, 2, 0), conv(conv(conv(x, 64, 1), 96, 3), 96, 3, 2, 0), b.pool(x, "MaxPool", 3, 2)])
    for k in (128, 160, 160, 192):
        seven = conv(conv(conv(x, k, 1), k, (1, 7)), 192, (7, 1))
        twice = conv(conv(conv(conv(conv(x, k, 1), k, (7, 1)), k, (1, 7)), k, (7, 1)), 192, (1, 7))
        x = b.concat([conv(x, 192, 1), seven, twice, conv(average(x), 192, 1)])
    three = conv(conv(x, 192, 1), 320, 3, 2, 0)
    seven = conv(conv(conv(conv(x, 192, 1), 192, (1, 7)), 192, (7, 1)), 192, 3, 2, 0)
    x = b.concat([three, seven, b.pool(x, "MaxPool", 3, 2)])
    for _ in range(2):
        y = conv(x, 384, 1)
        z = conv(conv(x, 448, 1), 384, 3)
        x = b.concat([
            conv(x, 320, 1), b.concat([conv(y, 384, (1, 3)), conv(y, 384, (3, 1))]),
            b.concat([conv(z, 384, (1, 3)), conv(z, 384, (3, 1))]), conv(average(x), 192, 1),
        ])  # fmt: skip
    return b.head(x)


def mobilenet_v1(b: Builder) -> str:
    x = b.relu(_conv_norm(b, "input", 32, 3, 2))
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    channels = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for stride, k in zip(strides, channels, strict=True):
        x = b.relu(_conv_norm(b, x, b.channels[x], 3, stride, groups=b.channels[x]))
        x = b.relu(_conv_norm(b, x, k, 1))
    return b.head(x)


def mobilenet_v2(b: Builder) -> str:
    x = b.relu6(_conv_norm(b, "input", 32, 3, 2))
    for t, k, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(count):
            c, y = b.channels[x], x
            if t > 1:
                y = b.relu6(_conv_norm(b, y, c * t, 1))
            y = b.relu6(_conv_norm(b, y, c * t, 3, stride if i == 0 else 1, groups=c * t))
            y = _conv_norm(b, y, k, 1)
            x = _add(b, x, y) if i and c == k else y
    return b.head(b.relu6(_conv_norm(b, x, 1280, 1)))


def shufflenet_v2(b: Builder) -> str:
    sizes = iter((56, 28, 14, 7))
    next(sizes)

    def shuffle(x: str, n: int) -> str:
        c = b.channels[x]
        x = b.node("Reshape", [x, b.weight(np.array([-1, 2, c // 2, n, n]))], c)
        x = b.node("Transpose", [x], c, perm=[0, 2, 1, 3, 4])
        return b.node("Reshape", [x, b.weight(np.array([-1, c, n, n]))], c)

    def half(x: str, part: int) -> str:
        c = b.channels[x] // 2
        ends = [b.weight(np.array([v])) for v in (part * c, (part + 1) * c, 1)]
        return b.node("Slice", [x, *ends], c)

    x = b.pool(b.relu(_conv_norm(b, "input", 24, 3, 2)), "MaxPool", 3, 2, 1)
    for k, count in ((116, 4), (232, 8), (464, 4)):
        n = next(sizes)
        for i in range(count):
            if i == 0:
                left = _conv_norm(b, x, b.channels[x], 3, 2, groups=b.channels[x])
                left, right = b.relu(_conv_norm(b, left, k // 2, 1)), x
            else:
                left, right = half(x, 0), half(x, 1)
            right = b.relu(_conv_norm(b, right, k // 2, 1))
            right = _conv_norm(b, right, k // 2, 3, 2 if i == 0 else 1, groups=k // 2)
            right = b.relu(_conv_norm(b, right, k // 2, 1))
            x = shuffle(b.concat([left, right]), n)
    return b.head(b.relu(_conv_norm(b, x, 1024, 1)))


NETWORKS: dict[str, Callable[[Builder], str]] = {
    f.__name__: f
    for f in (
        alexnet, vgg16, vgg19, resnet18, resnet50, squeezenet, densenet121, googlenet, inception_v3, mobilenet_v1,
        mobilenet_v2, shufflenet_v2,
    )
}  # fmt: skip


def network(name: str, batch: int | str = 1, size: int | None = None) -> onnx.ModelProto:
    """The model called `name`; `size` is the image's, by default that of the paper."""
    builder = Builder(name, size or (299 if name == "inception_v3" else 224))
    return builder.model(NETWORKS[name](builder), batch)
