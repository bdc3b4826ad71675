"""What a network is for, by the shapes of its outputs."""

from __future__ import annotations

from collections.abc import Sequence

TASKS = ("classify", "detect", "transform")


def guess_task(shapes: Sequence[Sequence[int | str | None]]) -> str:
    """Return what a network does to a picture.

    Parameters
    ----------
    shapes : sequence of sequences
        Of its outputs; a size that is no number is open.

    Returns
    -------
    {"classify", "detect", "transform"}
        For one output (1, classes) or (1, classes, 1, 1); one of three sizes, or two of which one is (1, n, 4); one
        picture, (1, 1 or 3, height, width) or with the channels last.

    Raises
    ------
    ValueError
        If the shapes do not say.

    Examples
    --------
    >>> from konv.vision import guess_task
    >>> guess_task([(1, 1000)])
    'classify'
    >>> guess_task([(1, 4420, 2), (1, 4420, 4)])
    'detect'
    >>> guess_task([("N", 1, "H", "W")])
    'transform'
    """
    ranks = [len(shape) for shape in shapes]
    if len(shapes) == 2 and all(rank in (2, 3) for rank in ranks) and 4 in (shape[-1] for shape in shapes):
        return "detect"
    if len(shapes) == 1:
        shape = tuple(shapes[0])
        if ranks == [2] or (ranks == [4] and shape[2:] == (1, 1)) or (ranks == [4] and shape[1:3] == (1, 1)):
            return "classify"
        if ranks == [3]:
            return "detect"
        if ranks == [4] and (shape[1] in (1, 3) or shape[3] in (1, 3)):
            return "transform"
    shown = ", ".join("(" + ", ".join("?" if n is None else str(n) for n in shape) + ")" for shape in shapes)
    raise ValueError(f"task: the outputs {shown} do not say what the model does; expected one of {', '.join(TASKS)}")
