"""Bands of rows give what whole images give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import konv
from konv import nn
from konv._graph import bands, compiled
from konv._graph.compiled import Compiled
from konv._graph.lower import Weights
from konv.nn.execution import Forward
from tests.graph import programs

ALWAYS = {"STEP_BYTES": 0, "HIDDEN_FLOPS_PER_BYTE": 1e9, "FLOPS_PER_BYTE": 1e9}


def program(of: nn.Model, threads: int, *, cut: bool, cache: int = 4096) -> Compiled:
    """With a cache so small, and arithmetic so fast, that bands pay."""
    forward = Forward(of._built_graph(), [(1, *of.input_shape[1:])], training=False, bound=False)
    forward.graph.outputs = forward.outputs(of._built_graph())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands._core, "l2_cache_bytes", lambda: cache)
        for name, value in ALWAYS.items():
            patch.setattr(bands, name, value)
        if not cut:
            patch.setattr(compiled, "band_rows", lambda *_: None)
        return Compiled(forward.graph, Weights(), threads)


def check(of: nn.Model, threads: int = 1, cache: int = 4096) -> int:
    """Returns how many steps there are more."""
    x = np.random.default_rng(0).standard_normal((1, *of.input_shape[1:])).astype(np.float32)
    whole, cut = (program(of, threads, cut=cut, cache=cache) for cut in (False, True))
    for wanted, found in zip(whole.run([x]), cut.run([x]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    return len(cut.steps()) - len(whole.steps())


layers = st.one_of(
    st.builds(
        nn.Conv2D,
        st.integers(1, 9),
        st.integers(1, 4),
        strides=st.integers(1, 3),
        padding=st.sampled_from(["same", "valid"]),
        activation=st.sampled_from([None, "relu", "tanh"]),
    ),
    st.builds(nn.Conv2D, st.integers(1, 5), st.just(3), padding=st.just("same"), dilation_rate=st.integers(1, 3)),
    st.builds(nn.DepthwiseConv2D, st.sampled_from([3, 5]), strides=st.integers(1, 2), padding=st.just("same")),
    st.builds(nn.MaxPooling2D, st.integers(2, 3), st.integers(1, 2), padding=st.sampled_from(["same", "valid"])),
    st.builds(nn.Activation, st.sampled_from(["silu", "sigmoid"])),
)


@given(
    st.lists(layers, min_size=2, max_size=5),
    st.tuples(st.integers(28, 45), st.integers(5, 20), st.integers(1, 8)),
    st.integers(1, 3),
    st.sampled_from([512, 4096]),
)
def test_chains(chain, shape, threads, cache):
    nn.set_random_seed(0)
    x = y = nn.Input(shape)
    for layer in chain:
        if min(y.shape[1:3]) < 8:  # too little is left for the next one
            break
        y = layer(y)
    check(nn.Model(x, y), threads, cache)


def inverted_residual() -> nn.Model:
    nn.set_random_seed(0)
    x = nn.Input((28, 24, 8))
    y = nn.Conv2D(48, 1, activation="relu6")(x)
    y = nn.DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    return nn.Model(x, nn.Add()([x, nn.Conv2D(8, 1)(y)]))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_inverted_residuals(threads):
    assert check(inverted_residual(), threads) >= 2 * threads


def test_bands_lie_where_those_before_lay():
    network = inverted_residual()
    whole, cut = (program(network, 1, cut=cut).arena_bytes for cut in (False, True))
    assert cut < whole / 2


def test_threads_have_bands_of_their_own():
    nodes = program(inverted_residual(), 3, cut=True).graph.nodes
    strands = {node.strand for node in nodes if node.op == "conv"}
    assert len(strands) % 3 == 0
    assert strands == set(range(len(strands)))
    assert program(inverted_residual(), 1, cut=True).graph.nodes[0].strand == -1


def test_what_follows_needs_all_bands():
    """Two regions, one behind the other, and a branch that both ends read."""
    nn.set_random_seed(0)
    x = nn.Input((32, 20, 8))
    y = nn.DepthwiseConv2D(3, padding="same")(nn.Conv2D(32, 1)(x))
    y = branch = nn.Conv2D(8, 1)(y)
    y = nn.DepthwiseConv2D(5, padding="same")(nn.Conv2D(32, 1)(y))
    y = nn.Add()([branch, nn.Conv2D(8, 1)(y)])
    model = nn.Model(x, [y, nn.GlobalAveragePooling2D()(branch)])
    for threads in (1, 2, 4):
        assert check(model, threads) > 0


def test_a_factor_for_each_channel_is_whole(monkeypatch):
    """The expression's second operand has one row, which all bands read."""
    monkeypatch.setattr(bands._core, "l2_cache_bytes", lambda: 4096)
    for name, value in ALWAYS.items():
        monkeypatch.setattr(bands, name, value)
    rng = np.random.default_rng(0)
    x, factor = (rng.standard_normal(shape).astype(np.float32) for shape in ((1, 9, 32, 20), (1, 9, 1, 1)))
    ops = []

    def build(graph, a, b):
        y = graph.add("binary", [graph.add("unary", [a], a.shape, kind="tanh"), b], a.shape, kind="multiply")
        window = {"kernel": (3, 3), "strides": (1, 1), "pads": ((1, 1), (1, 1))}
        y = graph.add("max_pool", [y], a.shape, **window)
        monkeypatch.setattr(compiled, "band_rows", lambda g, t: (bands.band_rows(g, t), ops.extend(g.nodes)))
        return y

    (found,) = programs.run(build, x, factor)
    product = np.pad(np.tanh(x) * factor, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    wanted = np.lib.stride_tricks.sliding_window_view(product, (3, 3), (2, 3)).max((-2, -1))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert sum(node.op == "expression" for node in ops) > 1


def test_large_caches_need_no_bands():
    assert check(inverted_residual(), cache=1 << 30) == 0


def test_samples_one_after_another_have_bands_too(monkeypatch):
    network = inverted_residual()
    x = np.random.default_rng(0).standard_normal((4, 28, 24, 8)).astype(np.float32)
    wanted = network.predict(x, verbose=0)
    monkeypatch.setattr(bands._core, "l2_cache_bytes", lambda: 4096)
    for name, value in ALWAYS.items():
        monkeypatch.setattr(bands, name, value)
    steps = []
    monkeypatch.setattr(compiled, "band_rows", lambda g, t: (bands.band_rows(g, t), steps.append(len(g.nodes))))
    before = konv.get_num_threads()
    try:
        for threads in (1, 2):
            konv.set_num_threads(threads)
            np.testing.assert_allclose(inverted_residual().predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-5)
    finally:
        konv.set_num_threads(before)
    assert min(steps) > 4 * 2 * 3  # samples, bands and convolutions
