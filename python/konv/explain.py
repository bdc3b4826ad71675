"""Which algorithm computes a problem, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from . import _core
from .cuda._module import module as _cuda_module

if TYPE_CHECKING:
    from ._types import Layout, Padding, PaddingMode, Size

__all__ = ["Explanation", "explain"]

# Of each operation the spatial dimensions, and what it computes of a convolution.
_OPERATIONS = {
    name.format(spatial): (spatial, direction)
    for spatial in (2, 1, 3)
    for name, direction in [
        ("conv{}d", "forward"),
        ("conv{}d_input", "input"),
        ("conv{}d_weight", "weight"),
        ("conv_transpose{}d", "transpose"),
    ]
}


@dataclass(frozen=True)
class Candidate:
    """One algorithm of an `Explanation`."""

    algorithm: str
    chosen: bool
    cost: float | None
    """Estimated cycles of one core; None where the algorithm does not compute the problem."""
    seconds: float | None
    """Measured by the autotuner; None where it did not time the algorithm."""
    reason: str
    """Why the algorithm does not compute the problem; empty where it does."""


@dataclass(frozen=True)
class Explanation:
    """What `explain` returns; prints as a table."""

    problem: str
    isa: str
    flops: float
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> str:
        """Name of the algorithm that runs."""
        return next(c.algorithm for c in self.candidates if c.chosen)

    def __str__(self) -> str:
        lines = [f"{self.problem}: {self.flops / 1e6:.3g} MFLOP, {self.isa}"]
        for c in self.candidates:
            mark = "->" if c.chosen else "  "
            what = f"not here: {c.reason}" if c.cost is None else f"{c.cost:.3g} cycles estimated"
            if c.seconds is not None:
                what += f", {c.seconds * 1e6:.4g} microseconds measured"
            lines.append(f"{mark} {c.algorithm:20s} {what}")
        return "\n".join(lines)


def explain(
    op: str,
    *,
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Size = 1,
    padding: Padding = 0,
    output_padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
    padding_mode: PaddingMode = "zeros",
    layout: Layout | None = None,
    algorithm: str = "auto",
    threads: int | None = None,
    max_workspace: int | None = None,
    dtype: str = "float32",
    plan: bool = False,
    device: Literal["cpu", "cuda"] = "cpu",
) -> Explanation:
    """List every algorithm for a problem: the one chosen, its cost, or the reason why it does not compute it.

    With ``konv.config.autotune`` also its time: a problem that was not met before is timed now. Of large batches that
    is the time of a part.

    Parameters
    ----------
    op : str
        "conv1d", "conv2d", "conv3d", a gradient ("conv2d_input", "conv2d_weight") or "conv_transpose2d", and so on.
    input_shape, weight_shape : tuple of int
        As `konv.conv2d` takes them; arrays are taken to be contiguous in `layout`.
    stride, padding, output_padding, dilation, groups, padding_mode, layout, algorithm, threads, max_workspace
        As in `konv.conv2d`.
    dtype : {"float32", "float64", "float16", "bfloat16"}
    plan : bool
        Whether the weights are packed beforehand, as `konv.plan_conv2d` does; otherwise each call packs them.
    device : {"cpu", "cuda"}
        Whose algorithms: those of `konv.conv2d` or those of `konv.cuda.conv2d`.

    Returns
    -------
    Explanation

    Raises
    ------
    ValueError
        `op` is unknown, or the problem is one that the operation refuses.

    Examples
    --------
    >>> import konv
    >>> konv.explain("conv2d", input_shape=(1, 64, 56, 56), weight_shape=(64, 64, 3, 3), padding=1).chosen
    'winograd'
    """
    if not isinstance(op, str):
        raise TypeError(f"op: expected a string, got {type(op).__name__}")
    if op not in _OPERATIONS:
        raise ValueError(f"op: expected one of {', '.join(map(repr, _OPERATIONS))}, got {op!r}")
    spatial, direction = _OPERATIONS[op]
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device: expected 'cpu' or 'cuda', got {device!r}")
    explain_conv = (_core.explain_conv1d, _core.explain_conv2d, _core.explain_conv3d)[spatial - 1]
    if device == "cuda":
        explain_conv = getattr(_cuda_module(), f"explain_conv{spatial}d")
    rows, flops, isa = explain_conv(
        input_shape, weight_shape, stride, padding, dilation, groups, padding_mode, layout, algorithm, threads,
        max_workspace, dtype, direction, plan, output_padding,
    )  # fmt: skip
    candidates = tuple(
        Candidate(name, chosen, None if reason else cost, seconds or None, reason)
        for name, reason, cost, seconds, chosen in rows
    )
    problem = f"{op} {tuple(input_shape)} * {tuple(weight_shape)}"
    return Explanation(problem, isa, flops, candidates)
