"""Networks as published: their numbers of parameters, shapes, and that they run and train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from konv import nn
from konv.nn import applications
from konv.nn.layers.base import blank_weights
from tests.nn import torch_graph

# In all and of these trained, as Keras (VGG-16, ResNet-50, MobileNet), torchvision (ResNet-18 and 34, SqueezeNet: what
# is trained), darknet's files (Tiny YOLO) and the papers' layers (LeNet-5, U-Net, HED) have them.
COUNTS: dict[str, tuple[Callable[..., nn.Model], int, int]] = {
    "LeNet-5": (applications.LeNet5, 61_706, 61_706),
    "VGG-16": (applications.VGG16, 138_357_544, 138_357_544),
    "VGG-16 features": (lambda: applications.VGG16(include_top=False), 14_714_688, 14_714_688),
    "ResNet-18": (applications.ResNet18, 11_699_112, 11_689_512),
    "ResNet-34": (applications.ResNet34, 21_814_696, 21_797_672),
    "ResNet-50": (applications.ResNet50, 25_636_712, 25_583_592),
    "ResNet-50 features": (lambda: applications.ResNet50(include_top=False), 23_587_712, 23_534_592),
    "MobileNet": (applications.MobileNet, 4_253_864, 4_231_976),
    "MobileNet 0.5": (lambda: applications.MobileNet(alpha=0.5), 1_342_536, 1_331_592),
    "MobileNet v2": (applications.MobileNetV2, 3_538_984, 3_504_872),
    "MobileNet v2 1.4": (lambda: applications.MobileNetV2(alpha=1.4), 6_156_712, 6_108_776),
    "SqueezeNet 1.0": (lambda: applications.SqueezeNet("1.0"), 1_248_424, 1_248_424),
    "SqueezeNet 1.1": (applications.SqueezeNet, 1_235_496, 1_235_496),
    "U-Net": (applications.UNet, 31_030_593, 31_030_593),
    "HED": (applications.HED, 14_716_171, 14_716_171),
    "Tiny YOLO": (applications.TinyYolo, 15_867_885, 15_861_773),
}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_parameters(name):
    make, total, trained = COUNTS[name]
    with blank_weights(10**9):
        model = make()
    assert model.count_params() == total
    assert sum(v.value.size for v in model.trainable_weights) == trained


SMALL: dict[str, tuple[Callable[[], nn.Model], tuple[int, ...]]] = {
    "LeNet-5": (applications.LeNet5, (10,)),
    "VGG-16": (lambda: applications.VGG16(False, input_shape=(32, 32, 3), pooling="max"), (512,)),
    "ResNet-18": (lambda: applications.ResNet18(input_shape=(33, 40, 3), classes=7), (7,)),
    "ResNet-50": (lambda: applications.ResNet50(False, input_shape=(32, 32, 3), pooling="avg"), (2048,)),
    "MobileNet": (lambda: applications.MobileNet((32, 32, 3), alpha=0.25, classes=5), (5,)),
    "MobileNet v2": (lambda: applications.MobileNetV2((40, 33, 3), alpha=0.35, classes=5), (5,)),
    "SqueezeNet": (lambda: applications.SqueezeNet(input_shape=(64, 64, 3), classes=5), (5,)),
    "U-Net": (lambda: applications.UNet((32, 48, 3), classes=2, filters=4), (32, 48, 2)),
    "Tiny YOLO": (lambda: applications.TinyYolo((64, 32, 3), classes=2), (2, 1, 5, 7)),
}


@pytest.mark.parametrize("name", SMALL)
def test_they_compute_what_pytorch_does(name):
    make, shape = SMALL[name]
    nn.set_random_seed(1)
    model = make()
    x = np.random.default_rng(0).uniform(size=(2, *model.input_shape[1:])).astype(np.float32)
    y = model(x)
    assert y.shape == (2, *shape)
    (expected,) = torch_graph.run(model._built_graph(), [x])
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-3, atol=1e-4 * np.abs(expected.numpy()).max())


@pytest.mark.parametrize("name", SMALL)
def test_they_train_a_step(name):
    make, shape = SMALL[name]
    nn.set_random_seed(1)
    model = make()
    model.compile(nn.SGD(1e-3), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(2, *model.input_shape[1:])), rng.uniform(size=(2, *shape))
    before = model.get_weights()
    history = model.fit(x, y, batch_size=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any(not np.array_equal(u, v) for u, v in zip(before, model.get_weights(), strict=True))


def test_edges_have_six_outputs():
    model = applications.HED(input_shape=(32, 16, 3))
    assert model.output_shape == [(None, 32, 16, 1)] * 6
    assert [layer.name for layer in model.layers][-6:] == ["side1", "side2", "side3", "side4", "side5", "fused"]
    for y in model(np.zeros((1, 32, 16, 3), np.float32)):
        np.testing.assert_allclose(y, 0.5)  # no input, no biases: scores of zero
    model.compile(nn.SGD(1e-3), ["mse"] * 6)
    edges = np.ones((1, 32, 16, 1))
    before = model.get_weights()
    model.fit(np.ones((1, 32, 16, 3)), [edges] * 6, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert not np.array_equal(before[0], model.get_weights()[0])


def test_names_are_those_of_keras():
    with blank_weights(10**9):
        names = {layer.name for layer in applications.ResNet50().layers}
        assert {"conv1_pad", "conv1_conv", "conv4_block6_3_bn", "conv2_block1_0_conv", "predictions"} <= names
        model = applications.MobileNetV2((96, 96, 3))
    assert model.name == "mobilenetv2_1.00_96"
    assert {"Conv1", "expanded_conv_depthwise", "block_15_add", "Conv_1_bn"} <= {layer.name for layer in model.layers}
    assert len(model.layers) == 154 + 1  # and Keras counts the input


def test_features_of_images_of_any_size():
    with blank_weights(10**9):
        assert applications.VGG16(include_top=False).output_shape == (None, None, None, 512)
        assert applications.ResNet34(include_top=False).output_shape == (None, None, None, 512)
        assert applications.MobileNetV2(include_top=False).output_shape == (None, None, None, 1280)
        assert applications.UNet((None, None, 1)).output_shape == (None, None, None, 1)


def test_weights_from_a_file(tmp_path):
    pytest.importorskip("safetensors")
    model = applications.LeNet5()
    model.save_weights(tmp_path / "w")
    again = applications.LeNet5(weights=tmp_path / "w")
    np.testing.assert_array_equal(model.get_weights()[0], again.get_weights()[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: applications.UNet((60, 64, 1)), r"a height and width that 16 divides, got \(60, 64, 1\)"),
        (lambda: applications.HED((30, 32, 3)), "a height and width that 16 divides"),
        (lambda: applications.TinyYolo((None, 32, 3)), "a known height and width"),
        (lambda: applications.LeNet5(input_shape=(32, 32)), r"must be \(height, width, channels\), got \(32, 32\)"),
        (lambda: applications.VGG16(False, pooling="sum"), "pooling must be None, 'avg' or 'max', got 'sum'"),
        (lambda: applications.SqueezeNet("2.0"), "version must be one of .*'2.0'"),
        (lambda: applications.SqueezeNet(input_shape=(None, None, 3)), "heights and widths that are known"),
        (lambda: applications.MobileNet(alpha=0), "alpha must be positive, got 0"),
        (lambda: applications.MobileNetV2(alpha=-1), "alpha must be positive, got -1"),
    ],
)
def test_bad_arguments(make, message):
    with blank_weights(10**9), pytest.raises(ValueError, match=message):
        make()


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_boxes_are_read_out():
    predictions = np.full((2, 2, 4, 2, 8), -20.0)
    # Image 0, row 1, column 2, second anchor: a quarter and a half into the cell, twice and half the anchor's size.
    predictions[0, 1, 2, 1, :5] = logit(0.25), logit(0.5), np.log(2), np.log(0.5), logit(0.9)
    predictions[0, 1, 2, 1, 5:] = np.log([0.2, 0.7, 0.1])
    # The same box of the same class, less likely; and another class, which stays.
    predictions[0, 1, 2, 0] = predictions[0, 1, 2, 1]
    predictions[0, 1, 2, 0, 2:5] = np.log(2 * 1.0 / 0.9), np.log(0.5 * 2.0 / 1.5), logit(0.8)
    predictions[0, 1, 1, 1, :5] = logit(0.999999), logit(0.5), np.log(2), np.log(0.5), logit(0.7)
    predictions[0, 1, 1, 1, 5:] = 0, 0, 9
    one, two = applications.decode_predictions(predictions, [(0.9, 1.5), (1.0, 2.0)])
    np.testing.assert_array_equal(one.classes, [2, 1])
    np.testing.assert_allclose(one.scores, [0.7, 0.63], rtol=1e-3)
    centre, size = np.array([2.25 / 4, 1.5 / 2]), np.array([2.0 / 4, 1.0 / 2])
    np.testing.assert_allclose(one.boxes[1], [*(centre - size / 2), *(centre + size / 2)])
    assert two.boxes.shape == (0, 4)
    every = applications.decode_predictions(predictions, [(0.9, 1.5), (1.0, 2.0)], iou_threshold=1.0)[0]
    assert len(every.scores) == 3
    assert len(applications.decode_predictions(predictions, [(1, 1)] * 2, score_threshold=0.0)[0].scores) > 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 2, 2, 35)),), r"predictions must have the shape .* got \(2, 2, 2, 35\)"),
        ((np.zeros((1, 2, 2, 5, 7)), [(1, 1)]), r"anchors must be 5 pairs, got shape \(1, 2\)"),
        ((np.zeros((1, 2, 2, 1, 7)), [(1, 1)], 2), "score_threshold must be from 0 to 1, got 2"),
        ((np.zeros((1, 2, 2, 1, 7)), [(1, 1)], 0.5, -1), "iou_threshold must be from 0 to 1, got -1"),
    ],
)
def test_predictions_that_do_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        applications.decode_predictions(*arguments)
