"""Layers as data: text files with one convolution a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

Shape = tuple[int, int, int, int]

SHAPES = files("konv.bench") / "shapes"


@dataclass(frozen=True)
class Layer:
    """One convolution: `name N C H W K R S stride pad dilation groups [count] [separable]`.

    Attributes
    ----------
    pad
        (vertical, horizontal); one number in a file stands for both.
    count
        How often the network has the layer.
    separable
        Whether the kernel is the product of a column and a row, so that two passes compute it.
    suite
        The suite that it was read from.
    """

    name: str
    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: int
    pad: tuple[int, int]
    dilation: int
    groups: int
    count: int = 1
    separable: bool = False
    suite: str = ""

    @classmethod
    def parse(cls, line: str, suite: str = "") -> Layer:
        """Read one line of a file of layers.

        Raises
        ------
        ValueError
            Where the line does not hold what it should, or describes no convolution.
        """
        name, *words = line.split()
        separable = words[-1:] == ["separable"]
        try:
            *sizes, pad_text, dilation, groups, count = [*words[: len(words) - separable], "1"][:12]
            pads = [int(part) for part in pad_text.split(",")]
            n, c, h, w, k, r, s, stride = (int(size) for size in sizes)
            layer = cls(
                name, n, c, h, w, k, r, s, stride, (pads[0], pads[-1]), int(dilation), int(groups), int(count),
                separable, suite,
            )  # fmt: skip
        except ValueError:
            raise ValueError(f"expected a name and 11 or 12 whole numbers, got {line!r}") from None
        if len(words) - separable > 12 or len(pads) > 2:
            raise ValueError(f"expected a name and 11 or 12 whole numbers, got {line!r}")
        layer.check(line)
        return layer

    def check(self, line: str) -> None:
        """Raise ValueError unless there is such a convolution."""
        sizes = *self.input_shape, self.K, self.R, self.S, self.stride, self.dilation, self.groups, self.count
        if min(sizes) < 1 or min(self.pad) < 0:
            raise ValueError(f"a size is below 1 in {line!r}")
        if self.C % self.groups or self.K % self.groups or min(self.output_shape) < 1:
            raise ValueError(f"no such convolution: {line!r}")
        if self.separable and not self.is_filter:
            raise ValueError(f"only image filters may be separable: {line!r}")

    @property
    def input_shape(self) -> Shape:
        """(N, C, H, W)."""
        return self.N, self.C, self.H, self.W

    @property
    def weight_shape(self) -> Shape:
        """(K, C / groups, R, S)."""
        return self.K, self.C // self.groups, self.R, self.S

    @property
    def output_shape(self) -> Shape:
        """(N, K, output height, output width)."""
        height, width = (
            (size + 2 * pad - self.dilation * (kernel - 1) - 1) // self.stride + 1
            for size, kernel, pad in zip((self.H, self.W), (self.R, self.S), self.pad, strict=True)
        )
        return self.N, self.K, height, width

    @property
    def is_filter(self) -> bool:
        """Whether it filters the few channels of an image, each alone, into an image of the same size."""
        plain = self.stride == self.dilation == 1 and self.R % 2 == self.S % 2 == 1
        same = self.pad == (self.R // 2, self.S // 2)
        return plain and same and self.C == self.K == self.groups <= 4

    @property
    def passes(self) -> tuple[Layer, ...]:
        """The convolutions that compute the layer: itself, or a column's and a row's."""
        if not self.separable:
            return (self,)
        column = replace(self, S=1, pad=(self.pad[0], 0), separable=False)
        row = replace(self, R=1, pad=(0, self.pad[1]), separable=False)
        return column, row

    @property
    def flops(self) -> float:
        """Multiplications and additions of the direct convolution, in two passes where separable."""
        n, k, height, width = self.output_shape
        taps = self.R + self.S if self.separable else self.R * self.S
        return 2.0 * n * k * height * width * (self.C // self.groups) * taps

    @property
    def elements(self) -> int:
        """Elements of input, weight and output: what must at least be read or written."""
        total = 0
        for n, c, h, w in (self.input_shape, self.weight_shape, self.output_shape):
            total += n * c * h * w
        return total


def parse_layers(text: str, suite: str = "") -> list[Layer]:
    """Read the text of a file of layers; `#` starts a comment.

    Raises
    ------
    ValueError
        For a line that describes no layer, no line at all, or two layers of one name.
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    layers = [Layer.parse(line, suite) for line in lines if line]
    if not layers:
        raise ValueError("expected layers, got a file without any")
    names = [layer.name for layer in layers]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected names that differ, got {repeated[0]} twice")
    return layers


def suites() -> dict[str, str]:
    """The suites that come with konv, each with the first line of its file."""
    found = sorted((f for f in SHAPES.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    return {f.name.removesuffix(".txt"): f.read_text().partition("\n")[0].lstrip("# ") for f in found}


def load_suite(name: str) -> list[Layer]:
    """Read the layers of a suite by name, of "all" suites, or of a file by its path.

    Raises
    ------
    ValueError
        For a name that is none of these, or a file that does not hold layers.
    """
    known = suites()
    if name == "all":
        return [layer for suite in known for layer in load_suite(suite)]
    if name in known:
        return parse_layers((SHAPES / f"{name}.txt").read_text(), name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"suite: expected one of {', '.join(known)}, all, or a file, got {name!r}")
    try:
        return parse_layers(path.read_text(), path.stem)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
