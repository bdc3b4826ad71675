"""The truth itself: against loops that spell out the definition, and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import convolution, reference


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_by_definition(groups: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 4 // groups, 3, 2))
    stride, dilation, ((top, bottom), (left, right)) = (2, 1), (1, 2), ((1, 0), (2, 1))
    out = convolution.conv(x, w, None, stride, ((top, bottom), (left, right)), dilation, groups)
    assert out.shape == (2, 6, 3, 6)
    gy = rng.standard_normal(out.shape)
    expected, gx, gw = np.zeros_like(out), np.zeros_like(x), np.zeros_like(w)
    for n, k, i, j in np.ndindex(out.shape):
        for c, r, s in np.ndindex(w.shape[1:]):
            channel = k // (6 // groups) * w.shape[1] + c
            h, v = i * stride[0] + r * dilation[0] - top, j * stride[1] + s * dilation[1] - left
            if 0 <= h < 6 and 0 <= v < 5:
                expected[n, k, i, j] += x[n, channel, h, v] * w[k, c, r, s]
                gx[n, channel, h, v] += gy[n, k, i, j] * w[k, c, r, s]
                gw[k, c, r, s] += gy[n, k, i, j] * x[n, channel, h, v]
    options: dict[str, Any] = {
        "stride": stride,
        "padding": ((top, bottom), (left, right)),
        "dilation": dilation,
        "groups": groups,
    }
    np.testing.assert_allclose(out, expected, 1e-12, 1e-12)
    np.testing.assert_allclose(convolution.conv_input(x.shape, w, gy, **options), gx, 1e-12, 1e-12)
    np.testing.assert_allclose(convolution.conv_weight(x, w.shape, gy, **options), gw, 1e-12, 1e-12)


@pytest.mark.parametrize(
    ("size", "stride", "expected"),
    [
        (5, 1, (1, 1)),
        (5, 2, (1, 1)),
        (6, 2, (0, 1)),
        (7, 3, (1, 1)),
        (8, 3, (0, 1)),
        (9, 4, (1, 1)),
    ],
)
def test_same_padding_by_hand(size: int, stride: int, expected: tuple[int, int]) -> None:
    assert convolution.pad_sizes("same", [size], [3], [stride], [1])[0] == expected
    assert convolution.pad_sizes("same_lower", [size], [3], [stride], [1])[0] == expected[::-1]


def test_bound_is_sharp_enough_to_see_one_wrong_product() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 512, 5, 5)), rng.standard_normal((1, 512, 3, 3))
    truth, magnitude = convolution.conv(x, w), convolution.conv(abs(x), abs(w))
    x[0, 17, 2, 2] *= 1 + 2e-2
    wrong = convolution.conv(x, w).astype(np.float32)
    with pytest.raises(AssertionError, match="values are off"):
        reference.assert_accurate(wrong, truth, magnitude, 512 * 9)
