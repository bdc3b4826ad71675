"""Networks in int8: activations as unsigned bytes with one scale a tensor, weights as signed bytes with one a channel.

A convolution of bytes sums in int32 exactly; its step turns the sums into the next layer's bytes. Scales of activations
come from the ranges that samples had (`konv._graph.calibration`), those of weights from the weights. What has no step
for bytes runs in float32. The scheme is that of Jacob et al., Quantization and training of neural networks for
efficient integer-arithmetic-only inference (2018), with a scale for each output channel (Krishnamoorthi, 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from .ir import Array, Graph, Node, Quantisation, Value, constant
from .narrow import FLOAT, Form, Rules, fingerprint, linked, numbering
from .passes import VIEWS

BYTE = np.dtype(np.uint8)
MOST_PRODUCTS = 2**30 // (255 * 127)  # of a sum that fits int32 beside a bias of up to 2^30
Range = tuple[float, float]


@dataclass
class Calibration:
    """What samples said of one graph.

    Parameters
    ----------
    kinds : tuple of str
        What `numbering` says of the graph.
    ranges : dict of int to (float, float)
        Of the values that have scales of their own, by their numbers.
    means : list of ndarray
        Of each channel of each convolution's input, in the order of the convolutions.
    """

    kinds: tuple[str, ...]
    ranges: dict[int, Range] = field(default_factory=dict)
    means: list[Array] = field(default_factory=list)


def _computes(node: Node) -> bool:
    if node.op != "conv" or node.output.dtype != FLOAT or node.reads()[0].constant is not None:
        return False
    weight, bias = (*node.inputs, None)[1:3]
    if weight is None or weight.constant is None or (bias is not None and bias.constant is None):
        return False
    return prod(weight.shape[1:]) <= MOST_PRODUCTS


RULES = Rules(computes=_computes, moves=frozenset((*VIEWS, "concat", "max_pool")), writes_float=True)


def byte_quantisation(low: float, high: float) -> Quantisation:
    """The one that covers a range, and zero exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255))
    if scale < float(np.finfo(np.float32).tiny):
        return Quantisation(1.0, 0)
    return Quantisation(scale, int(np.clip(np.rint(-low / scale), 0, 255)))


class ToInt8:
    """A change of simplified graphs; weights that it has quantised are kept for graphs of other sizes.

    Parameters
    ----------
    calibration : Calibration
        Of the same model.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self._quantised: dict[bytes, tuple[Array, Array, Array]] = {}

    def __call__(self, graph: Graph) -> None:
        """Change the graph in place."""
        numbers, kinds = numbering(graph)
        if kinds != self.calibration.kinds:
            raise ValueError("input: the network takes other steps for this shape than for the samples of calibration")
        wanted = RULES.wanted(graph)
        convolutions = [node for node in graph.nodes if _computes(node)]
        forms = {}
        for sources, members in linked(RULES, graph, wanted):
            ranges = [self.calibration.ranges[numbers[value]] for value in sources]
            found = byte_quantisation(min(low for low, _ in ranges), max(high for _, high in ranges))
            forms.update(dict.fromkeys(members, Form(BYTE, found)))
        RULES.store(graph, forms)
        for node, mean in zip(convolutions, self.calibration.means, strict=True):
            self._quantise(node, mean)

    def _quantise(self, node: Node, mean: Array) -> None:
        x, weight, bias, residual = (*node.inputs, None, None)[:4]
        assert x is not None
        assert x.quantisation is not None
        assert weight is not None
        assert weight.constant is not None
        offset = np.zeros(weight.shape[0], FLOAT) if bias is None else bias.constant
        assert offset is not None
        scale = x.quantisation.scale
        key = fingerprint(weight.constant, offset, np.array(scale), mean)
        if key not in self._quantised:
            self._quantised[key] = quantise_weights(weight.constant, offset, scale, mean)
        whole, start, scales = self._quantised[key]
        node.op = "narrow_conv"
        node.inputs = [x, constant(whole, weight.name), constant(start, node.name + ".bias"), residual]
        node.attributes = node.attributes | {"scale": scales}


def quantise_weights(weight: Array, bias: Array, x_scale: float, mean: Array) -> tuple[Array, Array, Array]:
    """Weights as int8, the bias as int32, and what makes numbers of sums, in float32, for each output channel.

    What rounding the weights adds to an output on average, for inputs with this mean in each channel, is taken from the
    bias (Nagel et al., Data-free quantization through weight equalization and bias correction, 2019).
    """
    flat = weight.reshape(*weight.shape[:2], -1).astype(np.float64)
    scale = np.abs(flat).max(axis=(1, 2)) / 127
    # A bias far larger than its channel's weights would not fit: these become coarser.
    scale = np.maximum(scale, np.abs(bias.astype(np.float64)) / (x_scale * 2.0**30))
    scale[scale < np.finfo(np.float32).tiny / x_scale] = 1.0
    whole = np.clip(np.rint(flat / scale[:, None, None]), -127, 127)
    added = (whole * scale[:, None, None] - flat).sum(axis=2)
    groups = len(mean) // weight.shape[1]
    shift = (added.reshape(groups, -1, weight.shape[1]) @ mean.reshape(groups, -1, 1)).reshape(-1)
    start = np.clip(np.rint((bias - shift) / (x_scale * scale)), -(2**30), 2**30)
    return whole.astype(np.int8).reshape(weight.shape), start.astype(np.int32), (x_scale * scale).astype(np.float32)


def observed(graph: Graph) -> tuple[dict[int, Value], list[Value]]:
    """What calibration looks at in a simplified graph: values with scales of their own, and convolutions' inputs."""
    numbers, _ = numbering(graph)
    groups = linked(RULES, graph, RULES.wanted(graph))
    inputs = [node.reads()[0] for node in graph.nodes if _computes(node)]
    return {numbers[value]: value for sources, _ in groups for value in sources}, inputs
