"""What is timed: layers of networks, in every batch size, number format and direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from konv.bench import Layer, load_suite, parse_layers

SUITES = ("resnet50", "vgg16", "mobilenet", "pooling")
BATCHES = (32, 128)
DTYPES = ("float16", "bfloat16", "tf32", "float32")
CONVOLUTIONS = ("forward", "fused", "input", "weight")
POOLINGS = ("pool", "pool_gradient")
OPERATIONS = (*CONVOLUTIONS, *POOLINGS)

ITEM = {"float16": 2, "bfloat16": 2, "tf32": 4, "float32": 4}
INDEX_BYTES = 8
LEAST_CHANNELS, LEAST_SIZE = 8, 9  # what is left of a layer for the simulator


@dataclass(frozen=True)
class Case:
    """One layer, with its batch, one operation, one number format.

    Attributes
    ----------
    dtype
        "tf32" and "float32" are both arrays of float32, multiplied on tensor cores and not.
    """

    layer: Layer
    operation: str
    dtype: str

    @property
    def kind(self) -> str:
        """Of the layer: "dense", "grouped" or "depthwise", of poolings "max", "avg" or "global"."""
        if self.operation in POOLINGS:
            return self.layer.name.partition("_")[0]
        if self.layer.groups == 1:
            return "dense"
        return "depthwise" if self.layer.groups == self.layer.C else "grouped"

    @property
    def name(self) -> str:
        """What `--only` looks through."""
        layer = self.layer
        return f"{layer.suite} {layer.name} n{layer.N} {self.operation} {self.dtype} {self.kind}"

    @property
    def group(self) -> tuple[str, str, str]:
        """Whose geometric mean it belongs to: kind, operation, number format."""
        return self.kind, self.operation, self.dtype

    @property
    def aim(self) -> float | None:
        """How many times as fast as the fastest peer konv is meant to be, on an H100."""
        if self.kind != "dense" or self.operation == "fused":
            return 1.0
        return 0.8 if self.dtype in ("float16", "bfloat16") else None

    @property
    def flops(self) -> float:
        """Multiplications and additions of the direct convolution; 0 for poolings, which memory bounds."""
        return 0.0 if self.operation in POOLINGS else self.layer.flops

    @property
    def bytes(self) -> int:
        """What must at least be read or written, each array once."""
        n, c, h, w = self.layer.output_shape
        outputs, item = n * c * h * w, ITEM[self.dtype]
        if self.operation not in POOLINGS:
            return item * (self.layer.elements + (self.layer.K if self.operation == "fused" else 0))
        n, c, h, w = self.layer.input_shape
        indices = INDEX_BYTES * outputs if (self.kind, self.operation) == ("max", "pool_gradient") else 0
        return item * (n * c * h * w + outputs) + indices


def layers_of(suite: str) -> list[Layer]:
    """The layers of a suite of konv.bench, of this folder's poolings, or of a file."""
    if suite == "pooling":
        return parse_layers((Path(__file__).parent / "pooling.txt").read_text(), suite)
    return load_suite(suite)


def shrunk(layer: Layer) -> Layer:
    """A layer of the same kind that the simulator computes in a moment."""
    size = max(LEAST_SIZE, layer.R, layer.S) if layer.name.startswith("global") else LEAST_SIZE
    height, width = (min(size, extent) for extent in (layer.H, layer.W))
    kernel = (min(layer.R, height), min(layer.S, width))
    depthwise = layer.groups == layer.C
    groups = LEAST_CHANNELS if depthwise else min(layer.groups, 2)
    c = min(layer.C, LEAST_CHANNELS)
    k = LEAST_CHANNELS * (layer.K // layer.C) if depthwise else LEAST_CHANNELS
    return replace(layer, C=c, K=k, H=height, W=width, R=kernel[0], S=kernel[1], groups=min(groups, c))


def cases(
    suites: Sequence[str], batches: Iterable[int], dtypes: Sequence[str], operations: Sequence[str], *, small: bool
) -> Iterator[Case]:
    """Walk through all that was asked for; `small` is for the simulator."""
    for suite in suites:
        fitting = POOLINGS if suite == "pooling" else CONVOLUTIONS
        for given in layers_of(suite):
            layer = shrunk(given) if small else given
            for batch in batches:
                for operation in operations:
                    # Poolings multiply nothing: what tf32 would be is float32.
                    kinds = [d for d in dtypes if operation in CONVOLUTIONS or d != "tf32"]
                    if operation in fitting:
                        yield from (Case(replace(layer, N=batch), operation, dtype) for dtype in kinds)
