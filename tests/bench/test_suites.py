"""The layers that come with konv: each file parses, and is the network that it claims to be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from konv.bench import Layer, load_suite, parse_layers, suites

# Network: suite, beginning of its layers' names, published 10^9 multiply-adds, published parameters, and how many of
# these are not weights of convolutions: fully connected layers, biases, normalisation, transposed convolutions.
NETWORKS = {
    "ResNet-50": ("resnet50", "", 4.089, 25_557_032, 2_102_120),
    "VGG-16": ("vgg16", "", 15.470, 138_357_544, 123_647_080),
    "MobileNet v1": ("mobilenet", "v1_", 0.569, 4_231_976, 1_046_888),
    "MobileNet v2": ("mobilenet", "v2_", 0.301, 3_504_872, 1_315_112),
    "MobileNet v3 Large": ("mobilenet", "v3_", 0.217, 5_483_032, 2_540_560),
    "SqueezeNet 1.0": ("squeezenet", "v1.0_", 0.819, 1_248_424, 3_976),
    "SqueezeNet 1.1": ("squeezenet", "v1.1_", 0.349, 1_235_496, 3_944),
    "Inception v3": ("inception", "", 5.713, 23_834_568, 2_083_432),
    "DenseNet-121": ("densenet", "", 2.834, 7_978_856, 1_108_648),
    "EfficientNet-B0": ("efficientnet", "", 0.386, 5_288_548, 1_332_356),
    "ResNeXt-50 32x4d": ("resnext", "", 4.230, 25_028_904, 2_117_224),
    "YOLOv3": ("yolo", "v3_", 65.86 / 2, 61_949_149, 53_373),
    "YOLOv8n": ("yolo", "v8n_", 8.7 / 2, 3_157_200, 11_040),
    "U-Net": ("unet", "", None, 31_030_658, 2_792_130),
}

GOOD = "conv1 1 3 224 224 64 7 7 2 3 1 1"


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_the_published_ones(network: str) -> None:
    suite, prefix, multiply_adds, parameters, others = NETWORKS[network]
    layers = [layer for layer in load_suite(suite) if layer.name.startswith(prefix)]
    weights = 0
    for layer in layers:
        k, c, r, s = layer.weight_shape
        weights += layer.count * k * c * r * s
    assert weights + others == parameters
    if multiply_adds is not None:
        # The published number includes fully connected layers, less than 2 % of any of these networks.
        found = sum(layer.count * layer.flops for layer in layers) / 2e9
        assert found == pytest.approx(multiply_adds, rel=0.02)


def test_packaged_suites() -> None:
    names = {"filters", "gradients", "layers"} | {suite for suite, *_ in NETWORKS.values()}
    assert set(suites()) == names
    for name, about in suites().items():
        assert about
        assert all(layer.N == 1 for layer in load_suite(name)) or name in ("gradients", "layers")
    assert len(load_suite("layers")) == 24
    assert len(load_suite("all")) == sum(len(load_suite(name)) for name in names)


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_of_a_network_are_distinct(network: str) -> None:
    suite, prefix, *_ = NETWORKS[network]
    layers = [replace(layer, name="", count=1) for layer in load_suite(suite) if layer.name.startswith(prefix)]
    assert len(set(layers)) == len(layers)


def test_sizes_of_a_layer() -> None:
    layer = Layer.parse(GOOD)
    assert layer.output_shape == (1, 64, 112, 112)
    assert layer.weight_shape == (64, 3, 7, 7)
    assert layer.flops == 2 * 64 * 112 * 112 * 3 * 49
    assert layer.elements == 3 * 224 * 224 + 64 * 3 * 49 + 64 * 112 * 112
    assert layer.count == 1
    assert layer.passes == (layer,)


def test_optional_words_of_a_line() -> None:
    assert Layer.parse("row 1 4 9 9 4 1 7 1 0,3 1 1 5").pad == (0, 3)
    assert Layer.parse("row 1 4 9 9 4 1 7 1 0,3 1 1 5").count == 5
    blur = Layer.parse("blur 1 3 9 9 3 5 7 1 2,3 1 3 separable")
    column, row = blur.passes
    assert blur.flops == column.flops + row.flops
    assert (column.weight_shape, row.weight_shape) == ((3, 1, 5, 1), (3, 1, 1, 7))
    assert column.output_shape == row.output_shape == blur.output_shape


@pytest.mark.parametrize(
    "line",
    [
        "short 1 2 3",
        "text 1 2 3 4 5 6 7 8 9 10 x",
        "long 1 4 8 8 4 3 3 1 1 1 1 1 1",
        "pads 1 4 8 8 4 3 3 1 1,1,1 1 1",
        "zero 1 4 8 8 4 3 3 0 1 1 1",
        "groups 1 4 8 8 4 3 3 1 1 1 3",
        "empty 1 4 2 8 4 3 3 1 0 1 1",
        "pad 1 4 8 8 4 3 3 1 -1 1 1",
        "never 1 4 8 8 4 3 3 1 1 1 1 0",
        "dense 1 4 8 8 4 3 3 1 1 1 1 separable",
    ],
)
def test_bad_lines(line: str) -> None:
    with pytest.raises(ValueError, match=line.split()[0]):
        Layer.parse(line)


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without any"):
        parse_layers("# nothing\n")
    with pytest.raises(ValueError, match="twice"):
        parse_layers(f"{GOOD}\n{GOOD}\n")
    path = tmp_path / "bad.txt"
    path.write_text("x 1\n")
    with pytest.raises(ValueError, match=r"bad\.txt"):
        load_suite(str(path))
    with pytest.raises(ValueError, match="resnet50"):
        load_suite("resnet51")
