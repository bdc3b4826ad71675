"""A batch in parts gives what its samples give one by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

import konv
from konv import nn
from konv._graph import tiling
from konv._graph.compiled import Compiled
from konv._graph.lower import Weights
from konv._graph.passes import VIEWS
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


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = konv.get_num_threads()
    konv.set_num_threads(request.param)
    yield request.param
    konv.set_num_threads(before)


@pytest.mark.parametrize("kilobytes", [16, 128, 250])
@pytest.mark.parametrize("batch", [2, 5, 8])
def test_parts_of_a_batch(batch, kilobytes, threads, monkeypatch):
    network = model()
    x = np.random.default_rng(batch).standard_normal((batch, 24, 20, 8)).astype(np.float32)
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: kilobytes * 1024 // threads)
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


def strands(of: Compiled) -> list[int]:
    """Of the nodes, those alike joined."""
    found = [node.strand for node in of.graph.nodes if node.op not in VIEWS]
    return [found[0], *(b for a, b in pairwise(found) if a != b)]


def test_threads_have_samples_of_their_own(threads, monkeypatch):
    """What does not go into the number of threads is everyone's, and so is all that follows."""
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 1024)
    wanted = {1: [-1], 2: [*range(8), -1], 3: [*range(6), -1]}
    assert strands(compiled(model(), 8)) == wanted[threads]


@pytest.mark.parametrize("threads", [4], indirect=True)
@pytest.mark.usefixtures("threads")
def test_more_threads_than_samples(monkeypatch):
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 1024)
    assert strands(compiled(model(), 3)) == [-1]


def test_memory_of_strands(threads, monkeypatch):
    """Two strands of one thread share memory; a strand may not need more of it than one sample does."""
    network = model()
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 1024)
    one, six, twelve = (compiled(network, batch).arena_bytes for batch in (1, 6, 12))
    assert six < twelve < six + 6 * one
    assert six < 6 * one + threads * one


def test_strands_run_beside_one_another(threads, monkeypatch):
    """From several threads at once, and with steps timed."""
    network = model()
    monkeypatch.setattr(tiling._core, "l2_cache_bytes", lambda: 1024)
    x = np.random.default_rng(0).standard_normal((12, 24, 20, 8)).astype(np.float32)
    program = compiled(network, 12)
    wanted = program.run([x])
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(program.run, [[x]] * 40):
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(a, b)
    _, steps = program.profile([x])
    assert {step.thread for step in steps} <= set(range(threads))
    for thread in range(threads):
        ends = 0.0
        for step in sorted((step for step in steps if step.thread == thread), key=lambda step: step.start):
            assert step.start >= ends - 1e-9
            ends = step.start + step.seconds
