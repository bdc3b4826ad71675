"""A batch in parts gives what its samples give one by one."""

from __future__ import annotations

import numpy as np
import pytest

import konv
from konv import nn
from konv._graph import tiling
from konv._graph.compiled import Compiled
from konv._graph.lower import Weights
from konv.nn.execution import Forward


def model() -> nn.Model:
    """Everything that may be done sample by sample, and a tail that may not."""
    nn.set_random_seed(0)
    x = nn.Input((24, 20, 8))
    y = nn.Conv2D(16, 3, padding="same", activation="relu")(x)
    z = nn.DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    y = nn.Add()([y, nn.Conv2D(16, 1)(z)])
    y = nn.Concatenate()([nn.MaxPooling2D()(y), nn.AveragePooling2D()(z), nn.MaxPooling2D(3, 2, padding="same")(z)])
    y = nn.UpSampling2D(2, interpolation="bilinear")(nn.BatchNormalization()(nn.Activation("silu")(y)))
    y = nn.Softmax()(nn.Conv2DTranspose(8, 3, strides=2, padding="same")(nn.ZeroPadding2D(1)(y)))
    skip = nn.GlobalAveragePooling2D()(y)
    return nn.Model(x, [nn.Dense(5)(nn.Flatten()(nn.MaxPooling2D(4)(y))), skip, z])


def compiled(of: nn.Model, batch: int) -> Compiled:
    forward = Forward(of._built_graph(), [(batch, 24, 20, 8)], training=False, bound=False)
    forward.graph.outputs = forward.outputs(of._built_graph())
    return Compiled(forward.graph, Weights(), konv.get_num_threads())


@pytest.mark.parametrize("kilobytes", [16, 128, 250])
@pytest.mark.parametrize("batch", [2, 5, 8])
def test_parts_of_a_batch(batch, kilobytes, monkeypatch):
    network = model()
    x = np.random.default_rng(batch).standard_normal((batch, 24, 20, 8)).astype(np.float32)
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: kilobytes * 1024 // konv.get_num_threads())
    program = compiled(network, batch)
    assert len(program.steps()) > len(compiled(network, 1).steps())
    found = program.run([x])
    each = [compiled(network, 1).run([x[i : i + 1]]) for i in range(batch)]
    for k, y in enumerate(found):
        np.testing.assert_allclose(y, np.concatenate([one[k] for one in each]), rtol=1e-5, atol=1e-6)


def test_small_batches_stay_whole(monkeypatch):
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 1 << 30)
    network = model()
    assert len(compiled(network, 8).steps()) == len(compiled(network, 1).steps())


def test_what_mixes_samples_is_not_cut(monkeypatch):
    """Rows of all samples are multiplied at once; a reshape that joins samples ends what is cut."""
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 0)
    network = nn.Sequential([nn.Input((6, 6, 4)), nn.Dense(3, activation="tanh"), nn.Conv2D(4, 3)])
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 4)).astype(np.float32)
    whole = network.predict(x, verbose=0)
    for i in range(4):
        np.testing.assert_allclose(whole[i : i + 1], network.predict(x[i : i + 1], verbose=0), rtol=1e-5, atol=1e-6)
