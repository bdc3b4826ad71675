"""Everything at once: random problems, ISA levels, algorithms, layouts, dtypes, memory and threads."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import konv
from tests import strategies
from tests.cases import ALGORITHMS, DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case
from tests.views import VIEWS


@settings(max_examples=600)
@given(
    case=strategies.cases(),
    direction=st.sampled_from(DIRECTIONS),
    isa=st.sampled_from(ISA_LEVELS),
    algorithm=st.sampled_from(ALGORITHMS),
    layout=st.sampled_from(LAYOUTS),
    dtype=st.sampled_from(DTYPES),
    threads=st.integers(1, 4),
)
def test_forced_algorithm(
    case: Case, direction: str, isa: str, algorithm: str, layout: str, dtype: str, threads: int
) -> None:
    may_refuse = not case.supported_by(algorithm, direction)
    refusal = contextlib.suppress(ValueError) if may_refuse else contextlib.nullcontext()
    with konv.config(isa=isa), refusal:
        case.check(direction, dtype, layout=layout, algorithm=algorithm, threads=threads)


@settings(max_examples=600)
@given(
    case=strategies.cases(),
    direction=st.sampled_from(DIRECTIONS),
    isa=st.sampled_from(ISA_LEVELS),
    dtype=st.sampled_from(DTYPES),
    views=st.tuples(*[st.sampled_from(sorted(VIEWS))] * 4),
    relu=st.booleans(),
)
def test_strange_memory(case: Case, direction: str, isa: str, dtype: str, views: tuple[str, ...], relu: bool) -> None:
    """Odd strides for all arguments and the result together."""
    data, truth, magnitude = case.known(direction, dtype, 0)
    strange = replace(
        data, **{name: VIEWS[view](getattr(data, name)) for name, view in zip(("x", "w", "gy"), views[:3], strict=True)}
    )
    out = np.full(truth.shape, np.nan, dtype)
    if views[3] != "read_only":
        out = VIEWS[views[3]](out)
    options = {}
    if relu and direction == "forward":
        truth, options["activation"] = np.maximum(truth, 0), "relu"
    with konv.config(isa=isa):
        case.compute(direction, strange, out=out, **options)
        case.compare(direction, out, truth, magnitude, layout="NCHW-last")  # with strides that `explain` does not know
