"""The truth itself: against loops that spell out the definition, and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import reference


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_by_definition(groups: int) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((6, 4 // groups, 3, 2))
    stride, dilation, ((top, bottom), (left, right)) = (2, 1), (1, 2), ((1, 0), (2, 1))
    out = reference.conv2d(x, w, None, stride, ((top, bottom), (left, right)), dilation, groups)
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
    np.testing.assert_allclose(reference.conv2d_input(x.shape, w, gy, **options), gx, 1e-12, 1e-12)
    np.testing.assert_allclose(reference.conv2d_weight(x, w.shape, gy, **options), gw, 1e-12, 1e-12)


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
    assert reference.pads("same", (size, size), (3, 3), stride)[0] == expected
    assert reference.pads("same_lower", (size, size), (3, 3), stride)[0] == expected[::-1]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), ((2, 3), (3, 2), (1, 1)), (3, 1, 1)])
def test_pooling_against_pytorch(kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(0)
    x = rng.integers(-3, 4, (2, 3, 8, 9)).astype(np.float64)
    x[0, 0, 2:4, 2:5] = np.nan
    theirs = functional.max_pool2d(
        torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True
    )
    ours = reference.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    for include in (False, True):
        t = torch.from_numpy(x).requires_grad_(True)
        pooled = functional.avg_pool2d(t, kernel, stride, padding, ceil_mode, include)
        out = reference.avg_pool2d(x, kernel, stride, padding, ceil_mode, include)
        np.testing.assert_allclose(out, pooled.detach().numpy(), 1e-12)
        gy = rng.standard_normal(out.shape)
        pooled.backward(torch.from_numpy(gy))
        gx = reference.avg_pool2d_grad(gy, x.shape, kernel, stride, padding, ceil_mode, include)
        np.testing.assert_allclose(gx, t.grad.numpy(), 1e-12, 1e-12)


def test_bound_is_sharp_enough_to_see_one_wrong_product() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 512, 5, 5)), rng.standard_normal((1, 512, 3, 3))
    truth, magnitude = reference.conv2d(x, w), reference.conv2d(abs(x), abs(w))
    x[0, 17, 2, 2] *= 1 + 2e-2
    wrong = reference.conv2d(x, w).astype(np.float32)
    with pytest.raises(AssertionError, match="values are off"):
        reference.assert_accurate(wrong, truth, magnitude, 512 * 9)
