"""Random convolutions for hypothesis: small, but with every parameter free on both axes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.cases import Case
from tests.convolution import Windows


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from((1, 1, 1, 2, 3, 5)))
    channels = draw(st.integers(1, 20 // groups)) * groups
    outputs = draw(st.integers(1, 20 // groups)) * groups
    size, kernel, stride, dilation, padding = [], [], [], [], []
    for _ in range(2):
        size.append(draw(st.integers(1, 20)))
        kernel.append(draw(st.integers(1, 5)))
        stride.append(draw(st.integers(1, 4)))
        dilation.append(draw(st.integers(1, 3)))
        span = dilation[-1] * (kernel[-1] - 1) + 1
        before = draw(st.integers(0, span))
        missing = max(span - size[-1] - before, 0)
        padding.append((before, missing + draw(st.integers(0, 4))))
    named: Any = tuple(padding)
    if draw(st.integers(0, 4)) == 0:
        named = draw(st.sampled_from(("same", "same_lower")))
    case = Case(
        draw(st.integers(1, 3)), channels, tuple(size), outputs, tuple(kernel), tuple(stride),
        named, tuple(dilation), groups,
    )  # fmt: skip
    assert min(Windows(case.size, case.kernel, case.stride, named, case.dilation).out) >= 1
    return case
