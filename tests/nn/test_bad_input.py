"""What layers and models refuse: each message names the argument, its value and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn

ARGUMENTS = {
    "no filters": (lambda: nn.Conv2D(0, 3), ValueError, "filters must be positive, got 0"),
    "half a filter": (lambda: nn.Conv2D(1.5, 3), TypeError, "filters must be an integer, got 1.5"),
    "bool": (lambda: nn.Conv2D(True, 3), TypeError, "filters must be an integer"),
    "kernel of three": (lambda: nn.Conv2D(1, (3, 3, 3)), ValueError, "kernel_size must be an integer or 2 of them"),
    "kernel zero": (lambda: nn.Conv2D(1, (3, 0)), ValueError, "kernel_size must be positive, got 0"),
    "kernel text": (lambda: nn.Conv2D(1, "33"), TypeError, "kernel_size must be"),
    "strides": (lambda: nn.Conv2D(1, 3, strides=-1), ValueError, "strides must be positive, got -1"),
    "padding": (lambda: nn.Conv2D(1, 3, padding="full"), ValueError, "padding must be one of .*'full'"),
    "padding number": (lambda: nn.Conv2D(1, 3, padding=1), TypeError, "padding must be one of .* got 1"),
    "channels first": (
        lambda: nn.Conv2D(1, 3, data_format="channels_first"),
        ValueError,
        "data_format must be one of .*'channels_first'",
    ),
    "groups": (lambda: nn.Conv2D(5, 3, groups=2), ValueError, "filters must be a multiple of groups=2, got 5"),
    "activation": (lambda: nn.Dense(1, "swosh"), ValueError, "activation must be one of .*'swosh'"),
    "activation function": (lambda: nn.Dense(1, np.tanh), TypeError, "activation must be one of"),
    "initializer": (lambda: nn.Dense(1, kernel_initializer="luck"), ValueError, "initializer must be one of .*'luck'"),
    "initializer list": (lambda: nn.Dense(1, kernel_initializer=[]), ValueError, r"initializer must be one of .*\[\]"),
    "regularizer": (
        lambda: nn.Dense(1, kernel_regularizer="l3"),
        ValueError,
        "kernel_regularizer must be one of .*'l3'",
    ),
    "regularizer number": (lambda: nn.Conv2D(1, 1, bias_regularizer=0.1), TypeError, "bias_regularizer must be a name"),
    "penalty": (lambda: nn.L2(-1), ValueError, "l2 must be finite and not negative, got -1"),
    "penalty text": (lambda: nn.L1L2(l1="a"), TypeError, "l1 must be a number, got 'a'"),
    "causal image": (lambda: nn.Conv2D(1, 3, padding="causal"), ValueError, "padding must be one of .*'causal'"),
    "output padding": (
        lambda: nn.Conv2DTranspose(1, 3, strides=2, output_padding=2),
        ValueError,
        r"output_padding must be below strides=\(2, 2\), got 2",
    ),
    "output padding below zero": (
        lambda: nn.Conv2DTranspose(1, 3, output_padding=-1),
        ValueError,
        "output_padding must not be negative, got -1",
    ),
    "multiplier": (lambda: nn.DepthwiseConv2D(3, depth_multiplier=0), ValueError, "depth_multiplier must be positive"),
    "momentum": (lambda: nn.BatchNormalization(momentum=2), ValueError, r"momentum must be within \[0, 1\], got 2"),
    "epsilon": (lambda: nn.BatchNormalization(epsilon=-1), ValueError, "epsilon must not be negative, got -1"),
    "two open sizes": (lambda: nn.Reshape((-1, -1)), ValueError, "target_shape must have at most one -1"),
    "shape number": (lambda: nn.Reshape(3), TypeError, "target_shape must be a tuple without the batch, got 3"),
    "zero padding": (lambda: nn.ZeroPadding2D((1, 2, 3)), ValueError, "padding must be an integer, a pair"),
    "zero padding text": (lambda: nn.ZeroPadding2D("1"), TypeError, "padding must be an integer, a pair"),
    "zero padding below": (lambda: nn.ZeroPadding2D(((0, -1), (0, 0))), ValueError, "padding must not be negative"),
    "interpolation": (lambda: nn.UpSampling2D(2, interpolation="cubic"), ValueError, "interpolation must be one of"),
    "axis": (lambda: nn.Concatenate(axis=1.0), TypeError, "axis must be an integer, got 1.0"),
    "scale": (lambda: nn.Rescaling("1"), TypeError, "scale must be a number, got '1'"),
    "variance": (lambda: nn.VarianceScaling(0.0), ValueError, "scale must be positive, got 0.0"),
    "variance mode": (lambda: nn.VarianceScaling(1.0, "fan"), ValueError, "mode must be one of .*'fan'"),
    "unknown argument": (lambda: nn.Dense(1, kernel_constraint="unit"), TypeError, "kernel_constraint"),
    "units": (lambda: nn.Dense(-3), ValueError, "units must be positive, got -3"),
    "pool": (lambda: nn.MaxPooling2D(0), ValueError, "pool_size must be positive, got 0"),
    "rate": (lambda: nn.Dropout(1.5), ValueError, r"rate must be within \[0, 1\], got 1.5"),
    "rate text": (lambda: nn.Dropout("half"), TypeError, "rate must be a number, got 'half'"),
    "slope": (lambda: nn.ReLU(negative_slope=-1), ValueError, "negative_slope must not be negative, got -1"),
    "dtype": (lambda: nn.Dense(1, dtype="int32"), ValueError, "dtype must be float32 or float64, got int32"),
    "input": (lambda: nn.Input(3), TypeError, "shape must be a tuple without the batch, got 3"),
    "input size": (lambda: nn.Input((3, 0)), ValueError, "shape must be positive, got 0"),
    "name": (lambda: nn.Dense(1, name=3), TypeError, "name must be a string, got 3"),
    "seed": (lambda: nn.set_random_seed(-1), ValueError, "non-negative"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case):
    make, error, message = ARGUMENTS[case]
    with pytest.raises(error, match=message):
        make()


MODELS = {
    "rank": ([nn.Input((28, 28)), nn.Conv2D(1, 3)], ValueError, "expects an input of 4 dimensions"),
    "too small": ([nn.Input((2, 9, 1)), nn.Conv2D(1, 3)], ValueError, "a window of 3 does not fit into 2 pixels"),
    "pool too small": ([nn.Input((1, 9, 1)), nn.MaxPooling2D()], ValueError, "a window of 2 does not fit"),
    "open features": ([nn.Input((None, 3)), nn.Flatten(), nn.Dense(1)], ValueError, "known number of channels"),
    "groups": ([nn.Input((9, 9, 3)), nn.Conv2D(4, 3, groups=2)], ValueError, "multiple of groups=2"),
    "softmax axis": ([nn.Input((9, 9, 3)), nn.Softmax(1)], ValueError, "axis of layer .* must be the last one, got 1"),
    "normalised axis": (
        [nn.Input((9, 9, 3)), nn.BatchNormalization(axis=1)],
        ValueError,
        "must be the last one, got 1",
    ),
    "elements": ([nn.Input((9, 3)), nn.Reshape((5, 5))], ValueError, r"has 27 elements, which do not make \(5, 5\)"),
    "one to add": ([nn.Input((9,)), nn.Add()], ValueError, "takes a list of two inputs or more, got 1"),
    "transposed rank": ([nn.Input((9, 3)), nn.Conv2DTranspose(1, 3)], ValueError, "expects an input of 4 dimensions"),
    "depthwise rank": ([nn.Input((9, 3)), nn.DepthwiseConv2D(3)], ValueError, "expects an input of 4 dimensions"),
    "global rank": ([nn.Input((9, 3)), nn.GlobalMaxPooling2D()], ValueError, "expects an input of 4 dimensions"),
    "dtypes": ([nn.Input((3,)), nn.Dense(1, dtype="float64")], ValueError, "computes in float64, .* is float32"),
    "same name": ([nn.Dense(1, name="a"), nn.Dense(1, name="a")], ValueError, "names must differ, 'a'"),
    "late input": ([nn.Dense(1), nn.Input((3,))], ValueError, "Input must come first"),
    "not a layer": ([nn.Input((3,)), "dense"], TypeError, "layers must be Layer objects .* got 'dense'"),
}


@pytest.mark.parametrize("case", MODELS)
def test_layers_that_do_not_fit(case):
    layers, error, message = MODELS[case]
    with pytest.raises(error, match=message):
        nn.Sequential(layers)


def model(compiled: bool = True) -> nn.Sequential:
    made = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="softmax")])
    if compiled:
        made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


X, Y = np.zeros((6, 4)), np.zeros(6, int)

FITS = {
    "not compiled": (lambda: model(False).fit(X, Y), ValueError, "not compiled"),
    "lengths": (lambda: model().fit(X, Y[:5]), ValueError, "one target a sample, 6, got 5"),
    "sample shape": (lambda: model().fit(np.zeros((6, 5)), Y), ValueError, r"input shape \(None, 4\), got \(6, 5\)"),
    "no samples": (lambda: model().fit(X[:0], Y[:0]), ValueError, "at least one sample"),
    "objects": (lambda: model().fit(X.astype(object), Y), TypeError, "x must hold real numbers, got dtype object"),
    "complex": (lambda: model().predict(X.astype(complex)), TypeError, "got dtype complex128"),
    "class too high": (lambda: model().fit(X, Y + 3), ValueError, "whole numbers from 0 to 2, got 3"),
    "class below zero": (lambda: model().fit(X, Y - 1), ValueError, "whole numbers from 0 to 2, got -1"),
    "half a class": (lambda: model().fit(X, Y + 0.5), ValueError, "whole numbers from 0 to 2, got 0.5"),
    "one-hot for sparse": (lambda: model().fit(X, np.eye(3)[Y]), ValueError, "categorical_crossentropy"),
    "names as labels": (lambda: model().fit(X, np.array(list("abcdef"))), TypeError, "class numbers"),
    "batch size": (lambda: model().fit(X, Y, batch_size=0), ValueError, "batch_size must be positive, got 0"),
    "epochs": (lambda: model().fit(X, Y, epochs=0), ValueError, "epochs must be positive, got 0"),
    "verbose": (lambda: model().fit(X, Y, verbose=3), ValueError, "verbose must be .* got 3"),
    "split": (lambda: model().fit(X, Y, validation_split=1.0), ValueError, "validation_split must be"),
    "tiny split": (lambda: model().fit(X, Y, validation_split=0.9), ValueError, "leaves one side empty"),
    "validation": (lambda: model().fit(X, Y, validation_data=X), TypeError, "validation_data must be .x, y."),
    "validation shape": (lambda: model().fit(X, Y, validation_data=(Y, Y)), ValueError, "input shape"),
    "evaluate": (lambda: model().evaluate(X, Y[:2]), ValueError, "one target a sample, 6, got 2"),
    "unbuilt": (lambda: nn.Sequential().predict(X), ValueError, "has no layers"),
    "optimizer": (lambda: model().compile("fast", "mse"), ValueError, "optimizer must be one of .*'fast'"),
    "loss": (lambda: model().compile("sgd", "pain"), ValueError, "loss must be one of .*'pain'"),
    "metric": (lambda: model().compile("sgd", "mse", metrics=["luck"]), ValueError, "metrics must be among .*'luck'"),
    "metric alone": (lambda: model().compile("sgd", "mse", metrics="accuracy"), TypeError, "metrics must be a list"),
    "no layers": (lambda: nn.Sequential().pop(), ValueError, "no layers to remove"),
}


@pytest.mark.parametrize("case", FITS)
def test_calls(case):
    call, error, message = FITS[case]
    with pytest.raises(error, match=message):
        call()


def test_a_refused_fit_trains_nothing():
    made = model()
    before = made.get_weights()
    for arguments in ({"validation_data": (X, Y + 9)}, {"epochs": -1}, {"verbose": 9}):
        with pytest.raises(ValueError, match=r"."):
            made.fit(X, Y, **arguments)
    for u, v in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(u, v)


def test_one_hot_targets_of_the_wrong_width():
    made = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="softmax")])
    made.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match=r"output's shape \(6, 3\), got \(6, 2\)"):
        made.fit(X, np.zeros((6, 2)))


def test_a_layer_built_for_another_size():
    layer = nn.Dense(3)
    layer(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match=r"dense.*: expected 4 input features, got 5"):
        layer(np.zeros((1, 5), np.float32))
    convolution = nn.Conv2D(3, 1)
    convolution(np.zeros((1, 4, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"conv2d.*: expected 2 input channels, got 3"):
        convolution(np.zeros((1, 4, 4, 3), np.float32))


def test_variable_keeps_its_shape():
    variable = nn.Variable(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"must have the shape \(2, 3\)"):
        variable.assign(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="has no weights yet"):
        nn.Dense(1).count_params()
