"""How weights start, and what is paid for them."""

from __future__ import annotations

import numpy as np
import pytest

from konv import nn

SHAPE = (3, 3, 20, 64)  # fan in 180, out 576


@pytest.mark.parametrize(
    ("initializer", "variance", "limit"),
    [
        (nn.GlorotUniform(seed=1), 2 / 756, np.sqrt(6 / 756)),
        (nn.GlorotNormal(seed=1), 2 / 756, None),
        (nn.HeUniform(seed=1), 2 / 180, np.sqrt(6 / 180)),
        (nn.HeNormal(seed=1), 2 / 180, None),
        (nn.LecunUniform(seed=1), 1 / 180, np.sqrt(3 / 180)),
        (nn.LecunNormal(seed=1), 1 / 180, None),
        (nn.VarianceScaling(3.0, "fan_out", "untruncated_normal", seed=1), 3 / 576, None),
        (nn.RandomUniform(seed=1), 0.1**2 / 12, 0.05),
        (nn.RandomNormal(seed=1), 0.05**2, None),
        (nn.TruncatedNormal(stddev=2.0, seed=1), (2 * 0.87962566103423978) ** 2, 4.0),
    ],
)
def test_spread(initializer, variance, limit):
    values = initializer(SHAPE, "float64")
    assert values.shape == SHAPE
    assert abs(values.std() / np.sqrt(variance) - 1) < 0.03
    assert abs(values.mean()) < 0.05 * np.sqrt(variance)
    if limit is not None:
        assert abs(values).max() <= limit
    np.testing.assert_array_equal(values, initializer(SHAPE, "float64"))
    assert initializer(SHAPE).dtype == np.float32


@pytest.mark.parametrize("shape", [(8, 3), (3, 8), (3, 3, 2, 5), (1, 1, 2, 5)])
def test_orthogonal(shape):
    q = nn.Orthogonal(gain=2.0, seed=1)(shape, "float64").reshape(-1, shape[-1])
    product = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)
    with pytest.raises(ValueError, match="two dimensions or more"):
        nn.Orthogonal()((3,))


def test_names():
    for name in (
        "zeros", "ones", "constant", "random_uniform", "random_normal", "truncated_normal", "variance_scaling",
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal", "orthogonal",
    ):  # fmt: skip
        layer = nn.Dense(4, kernel_initializer=name)
        assert type(layer.kernel_initializer).__name__.lower() == name.replace("_", "")
        layer.build((None, 3))
        assert layer.kernel.shape == (3, 4)
    for name, found in (("l1", nn.L1), ("l2", nn.L2), ("l1_l2", nn.L1L2)):
        assert type(nn.Dense(1, kernel_regularizer=name).kernel_regularizer) is found


def test_penalties():
    w = np.array([[1.0, -2.0], [0.5, 0.0]])
    assert nn.L1(0.1)(w) == pytest.approx(0.35)
    assert nn.L2()(w) == pytest.approx(0.0525)
    assert nn.L1L2(0.1, 0.01)(w) == pytest.approx(0.4025)


def test_an_initializer_of_the_wrong_shape():
    layer = nn.Dense(3, kernel_initializer=lambda shape, dtype: np.zeros(len(shape), dtype))
    with pytest.raises(ValueError, match=r"initializer of dense.*/kernel must return shape \(4, 3\), got \(2,\)"):
        layer.build((None, 4))
