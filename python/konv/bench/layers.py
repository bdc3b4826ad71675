"""Layers as data: text files with one convolution a line."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from importlib.resources import files
from pathlib import Path

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layer:
    """One convolution: `name N C H W K R S stride pad dilation groups`."""

    name: str
    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: int
    pad: int
    dilation: int
    groups: int

    @classmethod
    def parse(cls, line: str) -> Layer:
        """Read one line of a file of layers.

        Raises
        ------
        ValueError
            Where the line does not hold a name and eleven integers, or describes no convolution.
        """
        name, *numbers = line.split()
        if len(numbers) != 11 or not all(n.removeprefix("-").isdecimal() for n in numbers):
            raise ValueError(f"expected a name and 11 integers, got {line!r}")
        layer = cls(name, *(int(number) for number in numbers))
        sizes = astuple(layer)[1:]
        if min(*sizes[:8], *sizes[9:]) < 1 or layer.pad < 0:
            raise ValueError(f"a size is below 1 in {line!r}")
        if layer.C % layer.groups or layer.K % layer.groups or min(layer.output_shape) < 1:
            raise ValueError(f"no such convolution: {line!r}")
        return layer

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
            (size + 2 * self.pad - self.dilation * (kernel - 1) - 1) // self.stride + 1
            for size, kernel in ((self.H, self.R), (self.W, self.S))
        )
        return self.N, self.K, height, width

    @property
    def flops(self) -> float:
        """Multiplications and additions of the direct convolution."""
        n, k, height, width = self.output_shape
        return 2.0 * n * k * height * width * (self.C // self.groups) * self.R * self.S


def parse_layers(text: str) -> list[Layer]:
    """Read the text of a file of layers; `#` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Layer.parse(line) for line in lines if line]


def suites() -> dict[str, str]:
    """The suites that come with konv, each with the first line of its file."""
    folder = files("konv.bench") / "shapes"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".txt")), key=lambda f: f.name)
    return {f.name.removesuffix(".txt"): f.read_text().partition("\n")[0].lstrip("# ") for f in found}


def load_suite(name: str) -> list[Layer]:
    """Read the layers of a suite by name, or of a file by its path.

    Raises
    ------
    ValueError
        For a name that is neither, or a file that does not hold layers.
    """
    if name in suites():
        return parse_layers((files("konv.bench") / "shapes" / f"{name}.txt").read_text())
    path = Path(name)
    if path.is_file():
        return parse_layers(path.read_text())
    raise ValueError(f"suite: expected one of {', '.join(suites())} or a file, got {name!r}")
