"""Graphs in bfloat16 and int8, value by value beside float64 with the same roundings, on every ISA level."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import konv
from konv._graph import ir
from konv._graph.compiled import Compiled
from konv._graph.int8 import byte_quantisation, quantise_weights
from konv._graph.lower import Weights
from konv._graph.precision import Precision, quantised

from .evaluate import evaluate
from .programs import run_as_it_is

LEVELS = konv.info()["isa_levels"]


@pytest.fixture(params=LEVELS)
def isa(request):
    with konv.config(isa=request.param):
        yield request.param


class Net:
    """A graph in the making, with weights drawn by their shapes; every value is an output too."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(0)
        self.graph = ir.Graph()
        self.x = ir.Value(shape, np.dtype(np.float32), "x")
        self.graph.inputs = [self.x]

    def conv(self, x: ir.Value, k: int, kernel: int = 3, stride=1, pad=0, dilation=1, groups=1, bias=True) -> ir.Value:
        spatial, c = x.rank - 2, x.shape[1] // groups
        shape = (k, c, *[kernel] * spatial)
        weight = self.rng.standard_normal(shape) / np.sqrt(c * kernel**spatial)
        weight *= self.rng.uniform(0.2, 5, (k, *[1] * (spatial + 1)))  # channels differ
        constants = [ir.constant(weight.astype(np.float32))]
        if bias:
            constants.append(ir.constant(self.rng.standard_normal(k).astype(np.float32)))
        sizes = [(n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for n in x.shape[2:]]
        windows: dict[str, Any] = {
            "strides": (stride,) * spatial, "dilations": (dilation,) * spatial, "pads": ((pad, pad),) * spatial,
        }  # fmt: skip
        return self.graph.add("conv", [x, *constants], (x.shape[0], k, *sizes), f"conv{k}", groups=groups, **windows)

    def act(self, x: ir.Value, kind: str, **parameters: float) -> ir.Value:
        return self.graph.add("unary", [x], x.shape, kind, kind=kind, **parameters)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.graph.add("binary", [a, b], np.broadcast_shapes(a.shape, b.shape), "add", kind="add")

    def pool(self, x: ir.Value, kind: str = "max", size: int = 2) -> ir.Value:
        shape = (*x.shape[:2], *(n // size for n in x.shape[2:]))
        windows: dict[str, Any] = {"kernel": (size,) * 2, "strides": (size,) * 2, "pads": ((0, 0),) * 2}
        return self.graph.add(f"{kind}_pool", [x], shape, kind, **windows)

    def concat(self, *parts: ir.Value) -> ir.Value:
        first = parts[0]
        return self.graph.add(
            "concat", parts, (first.shape[0], sum(p.shape[1] for p in parts), *first.shape[2:]), "concat", axis=1
        )


Build = Callable[[Net], ir.Value]


def residual_block(net: Net) -> ir.Value:
    a = net.act(net.conv(net.x, 20, pad=1), "relu")
    return net.conv(net.act(net.add(net.conv(a, 20, pad=1), a), "relu"), 5, kernel=1)


def swish_residual(net: Net) -> ir.Value:
    a = net.act(net.conv(net.x, 17, pad=1), "silu")
    return net.conv(net.act(net.add(net.conv(a, 17, kernel=1), a), "hardswish"), 3, kernel=1)


def separable(net: Net) -> ir.Value:
    a = net.act(net.conv(net.x, 12, kernel=1), "relu6")
    a = net.act(net.conv(a, 12, stride=2, pad=1, groups=12), "relu6")
    return net.conv(net.act(net.conv(a, 24, kernel=1), "leaky_relu", p=0.1), 10, groups=2)


def fire(net: Net) -> ir.Value:
    a = net.act(net.conv(net.x, 6, kernel=1), "relu")
    both = net.concat(net.act(net.conv(a, 9, kernel=1), "relu"), net.act(net.conv(a, 7, pad=1), "tanh"))
    return net.conv(net.pool(both), 10, kernel=1)


def averaged(net: Net) -> ir.Value:
    """Averages have no step for bytes; what follows has."""
    a = net.pool(net.act(net.conv(net.x, 9, dilation=2, pad=2), "relu"), "avg")
    b = net.act(net.add(net.pool(net.x), ir.constant(np.ones((1, 3, 1, 1), np.float32))), "relu")
    return net.conv(net.concat(a, b), 4, kernel=1)


def classifier(net: Net) -> ir.Value:
    a = net.pool(net.act(net.conv(net.x, 8), "relu"))
    flat = net.graph.add("reshape", [a], (a.shape[0], a.size // a.shape[0], 1, 1))
    y = net.conv(net.act(net.conv(flat, 30, kernel=1), "sigmoid"), 10, kernel=1, bias=False)
    return net.graph.add("softmax", [net.graph.add("reshape", [y], (y.shape[0], 10))], (y.shape[0], 10), axis=1)


def two_convolutions(**windows: Any) -> Build:
    def build(net: Net) -> ir.Value:
        return net.conv(net.act(net.conv(net.x, **windows), "relu"), 3, kernel=1)

    return build


NETWORKS: list[tuple[Build, tuple[int, ...]]] = [
    (residual_block, (2, 3, 13, 17)),
    (swish_residual, (1, 5, 9, 31)),
    (separable, (3, 4, 15, 13)),
    (fire, (1, 3, 16, 18)),
    (averaged, (2, 3, 12, 10)),
    (classifier, (5, 1, 12, 12)),
    (two_convolutions(k=33, stride=2, pad=1), (2, 3, 11, 7)),
    (two_convolutions(k=7, kernel=5, pad=4), (2, 6, 50)),
    (two_convolutions(k=6, kernel=3, pad=1, stride=2), (1, 3, 7, 6, 5)),
    (two_convolutions(k=18, groups=3, kernel=2), (1, 9, 6, 6)),
    (two_convolutions(k=1, kernel=3), (2, 4, 9, 40)),
    (two_convolutions(k=1030, kernel=1), (1, 3, 3, 2)),  # more channels than are finished at a time
]


def case(build: Build, shape: tuple[int, ...]) -> tuple[Callable[[], ir.Graph], np.ndarray]:
    def make() -> ir.Graph:
        net = Net(shape)
        net.graph.outputs = [build(net)]
        return net.graph

    return make, np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def compiled(
    mode: str, make: Callable[[], ir.Graph], x: np.ndarray, threads: int = 1, method: Any = "minmax"
) -> Compiled:
    def runner(precision: Precision) -> Callable[[np.ndarray], object]:
        program = precision.compile(None, make(), Weights(), threads)
        return lambda sample: program.run([sample])

    precision = quantised(mode, [x] if mode == "int8" else None, method, runner)
    return precision.compile(None, make(), Weights(), threads)


def found_and_expected(program: Compiled, x: np.ndarray) -> list[tuple[ir.Value, np.ndarray, np.ndarray]]:
    """Of each value that a node makes: a program that gives it out too, beside float64."""
    expected = evaluate(program.graph, [x])
    values = [node.output for node in program.graph.nodes]
    nodes, wide = [], {}
    for node in program.graph.nodes:
        nodes.append(node)
        if node.output.dtype != np.float32:
            wide[node.output] = ir.Value(node.output.shape, np.dtype(np.float32))
            nodes.append(ir.Node("expression", [node.output], [wide[node.output]], {"code": []}))
    graph = ir.Graph(program.graph.inputs, [wide.get(v, v) for v in values], nodes)
    return [(v, found, expected[v]) for v, found in zip(values, run_as_it_is(graph, [x]), strict=True)]


@pytest.mark.parametrize(("build", "shape"), NETWORKS)
def test_int8_is_what_its_numbers_say(build, shape, isa):
    make, x = case(build, shape)
    program = compiled("int8", make, x)
    kinds = [node.op for node in program.graph.nodes]
    assert "conv" not in kinds
    for value, found, expected in found_and_expected(program, x):
        if value.quantisation is not None:
            steps = np.rint(found / value.quantisation.scale) - np.rint(expected / value.quantisation.scale)
            # float32 may round a tie the other way, and later layers see that.
            assert np.abs(steps).max() <= 1, value.name
            assert np.count_nonzero(steps) <= 1 + 0.01 * steps.size, value.name
        else:
            assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max(), value.name


@pytest.mark.parametrize(("build", "shape"), NETWORKS)
def test_int8_is_near_float32(build, shape):
    make, x = case(build, shape)
    (expected,) = Compiled(make(), Weights(), 1).run([x])
    for method in ("minmax", "mse", ("percentile", 99.999)):
        (found,) = compiled("int8", make, x, method=method).run([x])
        assert np.sqrt(np.mean((found - expected) ** 2)) <= 0.03 * np.sqrt(np.mean(expected**2))


@pytest.mark.parametrize(("build", "shape"), NETWORKS)
def test_bfloat16_is_what_its_numbers_say(build, shape, isa):
    pytest.importorskip("ml_dtypes")
    make, x = case(build, shape)
    program = compiled("bfloat16", make, x)
    for value, found, expected in found_and_expected(program, x):
        if value.dtype == np.float32:
            assert np.abs(found - expected).max() <= 0.02 * np.abs(expected).max()
            continue
        # Sums in float32 round to a neighbour here and there, and later layers see that.
        size = np.abs(expected).max()
        assert np.abs(found - expected).max() <= 2**-7 * size, value.name
        assert np.sqrt(np.mean((found - expected) ** 2)) <= 2**-9 * size, value.name


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
@pytest.mark.parametrize(("build", "shape"), NETWORKS[:4])
def test_threads_do_not_change_results(build, shape, mode):
    pytest.importorskip("ml_dtypes")
    make, x = case(build, shape)
    one, three = (compiled(mode, make, x, threads).run([x])[0] for threads in (1, 3))
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("pad", [1, 40])
def test_bands_of_rows(pad, threads):
    """Outputs that are cut, some of whose parts see nothing but padding."""
    make, x = case(two_convolutions(k=64, pad=pad), (2, 3, 60, 400 if pad == 1 else 40))
    for value, found, expected in found_and_expected(compiled("int8", make, x, threads), x):
        if value.quantisation is not None:
            steps = np.rint(found / value.quantisation.scale) - np.rint(expected / value.quantisation.scale)
            assert np.abs(steps).max() <= 1
            assert np.count_nonzero(steps) <= 1 + 1e-3 * steps.size


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4, 7), (1, 70_001), (9, 1, 130)])
def test_expressions_read_and_write_any_form(shape, dtype, isa):
    """Operands as they lie, repeated, single and turned round."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    narrow = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else np.uint8)
    rng = np.random.default_rng(0)
    shapes = [shape, shape[-1:], (1,) * len(shape), shape[::-1]]
    arrays = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    scales = [byte_quantisation(float(a.min()), float(a.max())) if dtype == "uint8" else None for a in arrays]
    graph = ir.Graph()
    graph.inputs = [ir.Value(a.shape, a.dtype) for a in arrays]
    given = []
    for x, q in zip(graph.inputs, scales, strict=True):
        small = graph.add("expression", [x], x.shape, dtype=narrow, code=[])
        small.quantisation = q
        given.append(small)
    turned = graph.add("transpose", [given[3]], shape, order=tuple(range(len(shape)))[::-1])
    turned.quantisation = scales[3]
    code = [
        ("binary", {"kind": "add"}, [0, 1]),
        ("binary", {"kind": "multiply"}, [4, 2]),
        ("binary", {"kind": "add"}, [5, 3]),
    ]
    total = graph.add("expression", [*given[:3], turned], shape, dtype=narrow, code=code)
    if dtype == "uint8":
        total.quantisation = byte_quantisation(-12.0, 12.0)
    graph.outputs = [graph.add("expression", [total], shape, dtype=np.dtype(np.float32), code=[])]
    expected = evaluate(graph, arrays)[graph.outputs[0]]
    (found,) = run_as_it_is(graph, arrays)
    step = total.quantisation.scale if total.quantisation else 2**-7 * np.abs(expected).max()
    assert np.abs(found - expected).max() <= 1.001 * step
    assert np.mean(np.abs(found - expected) > step / 100) < 1e-3


def test_numbers_beyond_a_byte():
    """Clipped, infinities too; NaN becomes the lowest."""
    graph = ir.Graph()
    x = np.array([-np.inf, -3, -0.5, 0, 0.5, 1, 300, np.inf, np.nan] * 9, np.float32)
    graph.inputs = [ir.Value(x.shape, x.dtype)]
    small = graph.add("expression", graph.inputs, x.shape, dtype=np.dtype(np.uint8), code=[])
    small.quantisation = ir.Quantisation(1.0, 2)
    graph.outputs = [graph.add("expression", [small], x.shape, dtype=x.dtype, code=[])]
    expected = [-2, -2, 0, 0, 0, 1, 253, 253, -2] * 9
    np.testing.assert_array_equal(run_as_it_is(graph, [x])[0], expected)


def test_quantised_weights():
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 2, 3, 3)).astype(np.float32)
    weight[1], weight[2] = 0, weight[2] * 1e-6
    bias = np.array([1, -2, 1000, 0, 0, 0], np.float32)
    mean = np.arange(4.0)
    whole, start, scale = quantise_weights(weight, bias, 0.5, mean)
    assert whole.dtype == np.int8
    assert start.dtype == np.int32
    real = whole * (scale / 0.5).reshape(-1, 1, 1, 1).astype(np.float64)
    assert np.abs(whole[[0, 3, 4, 5]]).max(axis=(1, 2, 3)).tolist() == [127] * 4
    # On average the output is what it was: the sum of weights times the mean, and the bias.
    means = np.repeat(mean.reshape(2, 1, 2), 3, axis=1).reshape(6, 2)  # of each output's inputs
    before = bias + (weight.astype(np.float64).sum((2, 3)) * means).sum(1)
    after = start * scale.astype(np.float64) + (real.sum((2, 3)) * means).sum(1)
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=scale.max())


def test_ranges_have_an_exact_zero():
    for low, high in ((0, 1), (-1, 0), (-0.3, 7), (2, 5), (-5, -2), (0, 0), (0, 1e-45)):
        q = byte_quantisation(low, high)
        assert 0 <= q.zero <= 255
        assert (0 - q.zero) * q.scale <= min(low, 0) + q.scale
        assert (255 - q.zero) * q.scale >= max(high, 0) - q.scale


def test_other_sizes_share_weights():
    make, x = case(residual_block, (2, 3, 13, 17))
    other, y = case(residual_block, (1, 3, 40, 30))

    def runner(precision: Precision) -> Callable[[np.ndarray], object]:
        program = precision.compile(None, make(), weights, 1)
        return lambda sample: program.run([sample])

    weights = Weights()
    precision = quantised("int8", [x], "minmax", runner)
    packed_float = len(weights._packed)
    first, second = (precision.compile(None, m(), weights, 1) for m in (make, other))
    packed = len(weights._packed)
    assert packed == sum(node.op == "narrow_conv" for node in first.graph.nodes) + packed_float
    (expected,) = Compiled(other(), Weights(), 1).run([y])
    assert np.sqrt(np.mean((second.run([y])[0] - expected) ** 2)) <= 0.05 * np.sqrt(np.mean(expected**2))


@pytest.mark.parametrize("mode", ["bfloat16", "int8"])
def test_parts_of_a_batch(mode):
    """Samples that go through the first nodes a few at a time have the results that they have alone."""
    pytest.importorskip("ml_dtypes")
    build = two_convolutions(k=64, pad=1)
    make, x = case(build, (40, 3, 64, 64))
    single, _ = case(build, (1, 3, 64, 64))

    def runner(precision: Precision) -> Callable[[np.ndarray], object]:
        program = precision.compile(None, single(), Weights(), 1)
        return lambda sample: program.run([sample])

    precision = quantised(mode, [x[:1], x[1:2]] if mode == "int8" else None, "minmax", runner)
    whole = precision.compile(None, make(), Weights(), 1)
    (found,) = whole.run([x])
    if konv._core.l2_cache_bytes() <= 4 << 20:
        assert sum(node.op == "narrow_conv" for node in whole.graph.nodes) > 2
    one = precision.compile(None, single(), Weights(), 1)
    for i in (0, 7, 39):
        np.testing.assert_array_equal(found[i : i + 1], one.run([x[i : i + 1]])[0])


@pytest.mark.parametrize(
    ("mode", "samples", "method", "message"),
    [
        ("int4", None, "mse", "mode: expected one of .*'int4'"),
        ("int8", None, "mse", "samples: int8 is calibrated"),
        ("int8", [], "mse", "samples: int8 is calibrated"),
        ("bfloat16", [1], "mse", "samples: bfloat16 needs none"),
        ("int8", [1], "entropy", "method: expected one of"),
        ("int8", [1], ("mse", 99), "method: expected one of"),
        ("int8", [1], ("percentile", 20), "percentile above 50"),
        ("int8", [1], ("percentile", "20"), "percentile above 50"),
        ("int8", [1], "mse", "samples: expected some that hold elements"),
    ],
)
def test_wrong_arguments(mode, samples, method, message):
    with pytest.raises(ValueError, match=message):
        quantised(mode, samples, method, lambda _: lambda _: None)
