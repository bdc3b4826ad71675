"""Threads change how long a result takes, never a bit of it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import konv
from tests.cases import ALGORITHMS, CASES, DIRECTIONS, DTYPES, ISA_LEVELS, LAYOUTS, Case

# Large enough that work is cut among threads, in sizes that no number of threads divides.
LARGE = (
    Case(1, 48, (57, 55), 67, padding=((1, 1), (1, 1))),
    Case(5, 16, (23, 29), 33, padding=((1, 1), (1, 1))),
    Case(1, 130, (31, 33), 70, (1, 1)),
    Case(3, 35, (61, 59), 35, padding=((1, 1), (1, 1)), groups=35),
    Case(1, 3, (112, 113), 33, (7, 7), (2, 2), ((3, 3), (3, 3))),
    Case(2, 32, (41, 43), 32, padding=((1, 1), (1, 1)), groups=8),
    Case(1, 300, (7, 7), 290, padding=((1, 1), (1, 1))),
    Case(1, 3, (149, 131), 21, padding=((1, 1), (1, 1))),
    Case(2, 2, (90, 83), 9, (5, 5), padding=((2, 2), (2, 2))),
    Case(1, 12, (199, 301), 3, (1, 1)),
    Case(2, 70, (1, 1), 130, (1, 1)),
)


def bits(a: np.ndarray) -> bytes:
    return a.tobytes()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("isa", ISA_LEVELS)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_same_bits_for_any_number_of_threads(case: Case, isa: str, direction: str) -> None:
    data = case.data()
    with konv.config(isa=isa):
        for layout in LAYOUTS:
            one = case.check(direction, layout=layout, threads=1)
            for threads in (2, 3, 7):
                more = case.compute(direction, data, layout=layout, threads=threads)
                assert bits(more) == bits(one)


# Layers of networks: large enough that the cuts for the cache and the cuts for the threads meet.
PADDED = ((1, 1), (1, 1))
LAYERS = (
    Case(2, 64, (112, 112), 64, padding=PADDED),
    Case(1, 256, (28, 28), 256, padding=PADDED),
    Case(1, 512, (7, 7), 512, padding=PADDED),
    Case(1, 64, (20, 1100), 64, padding=PADDED),
    Case(1, 256, (56, 56), 64, (1, 1)),
    Case(1, 3, (224, 224), 64, (7, 7), (2, 2), ((3, 3), (3, 3))),
    Case(1, 64, (112, 112), 64, padding=PADDED, groups=64),
    Case(1, 128, (56, 56), 128, padding=PADDED, groups=32),
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_same_bits_on_layers(case: Case, direction: str, dtype: str) -> None:
    data = case.data(dtype)
    for layout in ("NCHW", "NHWC"):
        one, *others = (bits(case.compute(direction, data, layout=layout, threads=n)) for n in (1, 2, 3, 5))
        assert all(other == one for other in others)


@pytest.mark.parametrize(
    ("case", "algorithm", "direction"),
    [
        (case, name, direction)
        for case in LARGE
        for name in ALGORITHMS
        for direction in DIRECTIONS
        if case.supported_by(name, direction) and not (name == "reference" and case in (LARGE[0], LARGE[6]))  # slow
    ],
    ids=str,
)
def test_same_bits_for_each_algorithm(case: Case, algorithm: str, direction: str) -> None:
    data = case.data()
    one, two, three = (
        bits(case.compute(direction, data, algorithm=algorithm, threads=threads)) for threads in (1, 2, 3)
    )
    assert one == two == three


def test_small_workspace_changes_no_bit_between_threads() -> None:
    case = LARGE[0]
    data = case.data()
    for direction in DIRECTIONS:
        results = {bits(case.compute(direction, data, threads=threads, max_workspace=1 << 16)) for threads in (1, 2, 3)}
        assert len(results) == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_same_bits_from_run_to_run(case: Case, direction: str) -> None:
    data = case.data()
    first = bits(case.compute(direction, data))
    for _ in range(4):
        assert bits(case.compute(direction, data)) == first


@pytest.mark.parametrize("case", LARGE[:4], ids=str)
def test_bias_gradient(case: Case) -> None:
    gy = case.data().gy
    one, two, three = (konv.grad.conv_bias(gy, threads=threads) for threads in (1, 2, 3))
    assert bits(one) == bits(two) == bits(three)


def test_same_bits_wherever_the_arrays_lie() -> None:
    """Alignment may choose another path through memory, never another sum."""
    case = LARGE[0]
    data = case.data()
    expected = bits(case.compute("forward", data))
    for shift in range(1, 17):
        memory = np.empty(data.x.size + 16, np.float32)
        x = memory[shift : shift + data.x.size].reshape(data.x.shape)
        x[...] = data.x
        assert bits(konv.conv2d(x, data.w, data.b, **case.options)) == expected


@pytest.mark.parametrize("threads", [1, 2])
def test_many_python_threads_at_once(threads: int) -> None:
    """Eight callers share the plan cache, and each gets its own result."""
    cases = [*CASES[:8], *LARGE[:2]]
    expected = {
        (case, direction): bits(case.compute(direction, case.data())) for case in cases for direction in DIRECTIONS
    }

    def work(worker: int) -> int:
        rng = np.random.default_rng(worker)
        wrong = 0
        for _ in range(60):
            case, direction = cases[rng.integers(len(cases))], DIRECTIONS[rng.integers(3)]
            out = case.compute(direction, case.data(), threads=threads)
            wrong += bits(out) != expected[case, direction]
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [0] * 8


def test_configuration_belongs_to_its_thread() -> None:
    def level(isa: str) -> set[str]:
        seen = set()
        for _ in range(200):
            with konv.config(isa=isa):
                seen.add(konv.config.isa)
        return seen

    wanted = [ISA_LEVELS[i % len(ISA_LEVELS)] for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(level, wanted)) == [{isa} for isa in wanted]


@pytest.mark.usefixtures("restore_threads")
def test_set_num_threads() -> None:
    konv.set_num_threads(3)
    assert konv.get_num_threads() == 3
    konv.set_num_threads(1)
    assert konv.get_num_threads() == 1


@pytest.mark.parametrize("threads", [0, -1, 2**40, 1.5, "2", None, True])
@pytest.mark.usefixtures("restore_threads")
def test_set_num_threads_refuses(threads: Any) -> None:
    before = konv.get_num_threads()
    with pytest.raises((ValueError, TypeError), match=r"thread|\bn\b"):
        konv.set_num_threads(threads)
    assert konv.get_num_threads() == before


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"KONV_NUM_THREADS": "3", "OMP_NUM_THREADS": "2"}, "3"),
        ({"KONV_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, "2"),
    ],
)
def test_environment(environment: dict[str, str], expected: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import konv; print(konv.get_num_threads())"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown.split() == [expected]


BACKEND = """
import sys, numpy as np, konv
rng = np.random.default_rng(0)
x = rng.standard_normal((2, 40, 31, 33), np.float32)
w = rng.standard_normal((50, 40, 3, 3), np.float32)
y = konv.conv2d(x, w, padding=1, threads=3)
gw = konv.grad.conv2d_weight(x, w.shape, y, padding=1, threads=3)
print(konv.info()["threading"], hash(y.tobytes()), hash(gw.tobytes()))
"""


def test_same_bits_with_either_backend() -> None:
    shown = []
    for backend in ("pool", "openmp"):
        environment = {**os.environ, "KONV_THREADING": backend, "PYTHONHASHSEED": "1"}
        result = subprocess.run(
            [sys.executable, "-c", BACKEND], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        if backend == "openmp" and "built without OpenMP" in result.stderr:
            pytest.skip("this build has no OpenMP")
        assert result.returncode == 0, result.stderr
        shown.append(result.stdout.split())
    assert [backend for backend, *_ in shown] == ["pool", "openmp"]
    assert shown[0][1:] == shown[1][1:]


def test_unknown_backend() -> None:
    environment = {**os.environ, "KONV_THREADING": "tbb"}
    result = subprocess.run(
        [sys.executable, "-c", "import konv"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert "KONV_THREADING" in result.stderr


LIMITED = """
import resource, numpy as np, konv
x, w = np.ones((2, 64, 56, 56), np.float32), np.ones((64, 64, 3, 3), np.float32)
one = konv.conv2d(x, w, threads=1)
resource.setrlimit(resource.RLIMIT_AS, (int(open("/proc/self/statm").read().split()[0]) * 4096 + (256 << 20),) * 2)
print(np.array_equal(konv.conv2d(x, w, threads=64), one))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on memory that threads' stacks meet")
def test_threads_that_cannot_be_had() -> None:
    """Where the system grants fewer threads, those that there are do the work."""
    environment = {**os.environ, "KONV_THREADING": "pool"}
    result = subprocess.run(
        [sys.executable, "-c", LIMITED], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.stdout.split() == ["True"], result.stderr


FORK = """
import os, signal, numpy as np, konv
x = np.ones((2, 64, 56, 56), np.float32); w = np.ones((64, 64, 3, 3), np.float32)
before = konv.conv2d(x, w, threads=2)
child = os.fork()
if child == 0:
    signal.alarm(20)  # a child that waits for threads it does not have must not outlive the test
    ok = np.array_equal(konv.conv2d(x, w, threads=2), before)
    os._exit(0 if ok else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_child_of_a_fork_works() -> None:
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert shown.split() == ["0"]
