"""Arrays of other libraries, byte by byte: DLPack's capsules both ways, __cuda_array_interface__, lifetimes."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import konv
from konv.cuda import _module
from tests.cuda.foreign import (
    BFLOAT,
    BOOL,
    COMPLEX,
    CUDA,
    FLOAT,
    INT,
    IS_COPIED,
    READ_ONLY,
    ROCM,
    UINT,
    Consumer,
    Producer,
)
from tests.cuda.foreign import pointer_of as pointer

X = np.random.default_rng(0).standard_normal((2, 3, 6, 5), np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3), np.float32)
Y = konv.conv2d(X, W)
F32 = (FLOAT, 32)
KINDS = [
    ("float32", FLOAT, 32), ("float64", FLOAT, 64), ("float16", FLOAT, 16), ("bfloat16", BFLOAT, 16), ("int8", INT, 8),
    ("uint8", UINT, 8), ("int16", INT, 16), ("int32", INT, 32), ("int64", INT, 64), ("bool", BOOL, 8),
]  # fmt: skip


def numbers(dtype: str, shape: tuple[int, ...]) -> Any:
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    return (np.arange(np.prod(shape)).reshape(shape) % 3).astype(kind)


def producer(array: Any, **options: Any) -> Producer:
    """A foreign array of float32 on a copy of `array` on device 0."""
    own = konv.cuda.to_device(array)
    return Producer(pointer(own), array.shape, F32, **{"keep": own, **options})


def settle() -> None:
    """Nothing runs any more, and what was held for kernels is let go."""
    _module.module().synchronize(0, 1)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.fixture(autouse=True)
def _nothing_is_left(cuda: Any) -> Iterator[None]:
    """Every capsule of a test has met its end, and all memory came back."""
    gc.collect()
    before, alive = cuda.memory_info()[0], set(Producer.alive)
    yield
    gc.collect()
    settle()
    assert set(Producer.alive) <= alive
    assert cuda.memory_info()[0] == before


versions = pytest.mark.parametrize("major", [None, 1])


@versions
@pytest.mark.parametrize(("dtype", "code", "bits"), KINDS)
def test_elements(dtype: str, code: int, bits: int, major: int | None) -> None:
    a = numbers(dtype, (2, 3, 4))
    own = konv.cuda.to_device(a)
    # bfloat16 has no __cuda_array_interface__; DLPack says where it is.
    tensor = Consumer(own)
    foreign = Producer(tensor.data, a.shape, (code, bits), major=major, keep=own)
    read = konv.cuda.to_device(foreign)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read.numpy(), a)
    assert tensor.dtype == (code, bits, 1)
    tensor.close()
    assert (foreign.given, foreign.deleted) == (1, 0)
    del read
    settle()
    assert (foreign.given, foreign.deleted) == (1, 1)


@versions
def test_strides_and_offset(major: int | None) -> None:
    a = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    own = konv.cuda.to_device(a)

    def read(shape: tuple[int, ...], strides: tuple[int, ...] | None, offset: int) -> Any:
        foreign = Producer(pointer(own), shape, F32, strides=strides, offset=offset, major=major, keep=own)
        return konv.cuda.to_numpy(foreign)

    np.testing.assert_array_equal(read((3, 4), None, 4 * 12), a[1])
    np.testing.assert_array_equal(read((4, 3, 2), (1, 4, 12), 0), a.T)
    np.testing.assert_array_equal(read((2, 2), (12, -2), 4 * 3), a[:, 0, 3:0:-2])
    np.testing.assert_array_equal(read((5, 2), (0, 1), 4 * 2), np.broadcast_to(a[0, 0, 2:], (5, 2)))
    np.testing.assert_array_equal(read((), (), 4 * 5), a[0, 1, 1])
    assert read((0, 4), (4, 1), 0).shape == (0, 4)


@versions
def test_convolution_of_foreign_arrays(cuda: Any, major: int | None) -> None:
    # Channels innermost, as strides say.
    last = np.ascontiguousarray(X.transpose(0, 2, 3, 1))
    x = producer(last, major=major)
    x.tensor = (x.tensor[0], X.shape, F32, (90, 1, 15, 3), 0, 1)
    w = producer(W, major=major)
    out = konv.conv2d(x, w)
    assert type(out) is cuda.DeviceArray
    close(out.numpy(), Y)
    del out
    settle()
    assert (x.given, x.deleted, w.given, w.deleted) == (1, 1, 1, 1)
    # With what each is asked: konv's stream, and no version where it knows none.
    asked = [{"stream": 1, "max_version": (1, 0)}]
    assert x.keywords == (asked if major else [*asked, {"stream": 1}])


@versions
def test_stream_of_a_call(cuda: Any, major: int | None) -> None:
    """The first array's stream is the call's, and all others are asked to be ready for it."""
    stream = cuda.create_stream(0)
    w = producer(W, major=major)
    out = konv.conv2d(konv.cuda.to_device(X, stream=stream), w)
    assert out.stream == stream
    assert {keywords["stream"] for keywords in w.keywords} == {stream}
    close(out.numpy(), Y)
    del out
    cuda.release_idle()
    cuda.destroy_stream(0, stream)


@versions
def test_out(major: int | None) -> None:
    out = producer(np.full_like(Y, np.nan), major=major)
    assert konv.conv2d(producer(X), producer(W), out=out) is out
    close(out.keep.numpy(), Y)
    # Between others' elements, through strides: these stay.
    wide = konv.cuda.to_device(np.full((2, 4, 4, 6), 7, np.float32))
    out = Producer(pointer(wide), Y.shape, F32, strides=(96, 24, 6, 2), offset=4, major=major, keep=wide)
    konv.conv2d(producer(X), producer(W), out=out)
    close(wide.numpy()[..., 1::2], Y)
    np.testing.assert_array_equal(wide.numpy()[..., ::2], 7)
    settle()
    assert out.deleted == out.given > 0


def test_read_only_out() -> None:
    out = producer(np.zeros_like(Y), major=1, flags=READ_ONLY)
    with pytest.raises(ValueError, match="out: expected a writable array"):
        konv.conv2d(producer(X), producer(W), out=out)
    np.testing.assert_array_equal(out.keep.numpy(), 0)
    close(konv.conv2d(producer(X, major=1, flags=READ_ONLY), producer(W)).numpy(), Y)
    read = konv.cuda.to_device(out)
    tensor = Consumer(read, max_version=(1, 0))
    assert tensor.flags == READ_ONLY
    tensor.close()


def test_out_shares_no_memory() -> None:
    x, w = producer(X), konv.cuda.to_device(W[:3, :, :1, :1])
    with pytest.raises(ValueError, match="out: expected memory that no input shares"):
        konv.conv2d(x, w, out=Producer(x.tensor[0], X.shape, F32, keep=x.keep))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"dtype": (COMPLEX, 64)}, TypeError, "input: elements of DLPack type 5 of 64 bits are not supported"),
        ({"dtype": (FLOAT, 8)}, TypeError, "input: elements of DLPack type 2 of 8 bits"),
        ({"lanes": 2}, TypeError, "input: elements of DLPack type 2 of 32 bits"),
        ({"shape": (1,) * 9}, ValueError, "input: expected at most 8 dimensions, got 9"),
        ({"major": 2}, TypeError, "input: DLPack of version 2 is not known"),
        ({"shape": (90, 2)}, ValueError, "input: expected 4 dimensions"),
    ],
)
def test_what_is_not_taken(options: dict[str, Any], error: type[Exception], match: str) -> None:
    own = konv.cuda.to_device(X)
    given = {"shape": X.shape, "dtype": F32, **options}
    foreign = Producer(pointer(own), given.pop("shape"), given.pop("dtype"), keep=own, **given)
    with pytest.raises(error, match=match):
        konv.cuda.conv2d(foreign, W)
    gc.collect()
    settle()
    assert foreign.deleted == foreign.given == 1  # by the capsule itself, or by who had taken it


def test_used_capsule() -> None:
    class Again:
        def __init__(self) -> None:
            self.own = konv.cuda.to_device(X)
            self.capsule = self.own.__dlpack__()

        def __dlpack_device__(self) -> Any:
            return self.own.__dlpack_device__()

        def __dlpack__(self, **_: Any) -> Any:
            return self.capsule

    foreign = Again()
    close(konv.cuda.conv2d(foreign, W).numpy(), Y)
    with pytest.raises(TypeError, match="no DLPack capsule that was not used before"):
        konv.cuda.conv2d(foreign, W)


class Unwilling:
    def __init__(self, device: int) -> None:
        self.device = device

    def __dlpack_device__(self) -> Any:
        return (self.device, 0)

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError("not now")


def test_errors_of_others_pass_through() -> None:
    with pytest.raises(BufferError, match="not now"):
        konv.cuda.conv2d(Unwilling(CUDA), W)


def test_wrong_devices(cuda: Any) -> None:
    with pytest.raises(TypeError, match="does not share its memory with NumPy: not now"):
        konv.conv2d(Unwilling(ROCM), W)
    count = cuda.device_count()
    with pytest.raises((RuntimeError, ValueError), match=f"device.* {count}"):
        konv.cuda.conv2d(producer(X, device=(CUDA, count)), producer(W, device=(CUDA, count)))


def test_mixed_devices(simulator: Any) -> None:
    with konv.cuda.device(1):
        there = konv.cuda.to_device(W)
    foreign = Producer(pointer(there), W.shape, F32, device=(CUDA, 1), keep=there)
    with pytest.raises(ValueError, match="weight: expected an array on device 0, as the others are, got one on dev"):
        konv.conv2d(producer(X), foreign)
    assert foreign.given == 0  # found before anything was exported
    out = Producer(pointer(there), Y.shape, F32, device=(CUDA, 1), keep=there)
    with pytest.raises(ValueError, match="out: expected an array on device 0"):
        konv.conv2d(producer(X), W, out=out)
    # NumPy's arrays go where the first array on a device is.
    out = konv.cuda.conv2d(X, foreign)
    assert out.device == 1
    close(out.numpy(), Y)


class Interface:
    """An array that has __cuda_array_interface__ alone; changes to it are given."""

    def __init__(self, array: Any, **changes: Any) -> None:
        own = konv.cuda.to_device(array)
        self.own = own
        self.__cuda_array_interface__ = {**own.__cuda_array_interface__, **changes}


@pytest.mark.parametrize(
    "changes",
    [{"strides": None}, {"stream": None}, {"stream": 0}, {"stream": 1}, {"stream": 2}, {"version": 2}, {"mask": None}],
    ids=str,
)
def test_interface(changes: dict[str, Any]) -> None:
    close(konv.cuda.conv2d(Interface(X, **changes), Interface(W)).numpy(), Y)


def test_interface_of_least_entries() -> None:
    x = Interface(X)
    x.__cuda_array_interface__ = {key: x.__cuda_array_interface__[key] for key in ("shape", "typestr", "data")}
    close(konv.cuda.conv2d(x, W).numpy(), Y)


def test_interface_with_strides_and_a_stream(cuda: Any) -> None:
    stream = cuda.create_stream(0)
    last = np.ascontiguousarray(X.transpose(0, 2, 3, 1))
    x = Interface(last, shape=X.shape, strides=(360, 4, 60, 12), stream=stream)
    close(konv.cuda.conv2d(x, W).numpy(), Y)
    cuda.destroy_stream(0, stream)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"typestr": ">f4"}, "elements of type '>f4' are not supported"),
        ({"typestr": "<c8"}, "elements of type '<c8' are not supported"),
        ({"shape": ("a",) * 4}, "__cuda_array_interface__ is not as its definition says"),
        ({"data": 5}, "not iterable"),
        ({"mask": 1}, "masked"),
    ],
)
def test_interface_that_is_not_taken(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(TypeError, match=match):
        konv.cuda.conv2d(Interface(X, **changes), W)


def test_interface_as_out() -> None:
    out = Interface(np.full_like(Y, np.nan))
    assert konv.conv2d(producer(X), W, out=out) is out
    close(out.own.numpy(), Y)
    data = out.__cuda_array_interface__["data"][0]
    out.__cuda_array_interface__["data"] = (data, True)
    with pytest.raises(ValueError, match="out: expected a writable array"):
        konv.conv2d(producer(X), W, out=out)


@pytest.mark.parametrize("keywords", [{}, {"max_version": (0, 8)}, {"max_version": (1, 0)}, {"max_version": (2, 3)}])
def test_consumer(cuda: Any, keywords: dict[str, Any]) -> None:
    own = konv.cuda.to_device(X)
    used = cuda.memory_info()[0]
    tensor = Consumer(own, stream=1, **keywords)
    assert tensor.version == ((1, 0) if keywords.get("max_version", (0,))[0] >= 1 else None)
    assert (tensor.data + tensor.offset, tensor.device) == (pointer(own), (CUDA, 0))
    assert (tensor.shape, tensor.strides, tensor.dtype) == (X.shape, (90, 30, 5, 1), (FLOAT, 32, 1))
    assert tensor.flags == 0
    del own
    gc.collect()
    assert cuda.memory_info()[0] == used  # the tensor holds it
    foreign = Producer(tensor.data, tensor.shape, F32)
    close(konv.cuda.conv2d(foreign, W).numpy(), Y)
    tensor.close()
    assert cuda.memory_info()[0] < used


def test_consumer_of_views_and_copies(cuda: Any) -> None:
    own = konv.cuda.to_device(X)
    view = Consumer(own.transpose(0, 2, 3, 1))
    assert (view.data, view.shape, view.strides) == (pointer(own), (2, 6, 5, 3), (90, 5, 1, 30))
    copy = Consumer(own, copy=True, dl_device=(CUDA, 0), max_version=(1, 0))
    assert copy.flags == IS_COPIED
    assert copy.data != pointer(own)
    again = Producer(copy.data, copy.shape, F32)
    np.testing.assert_array_equal(konv.cuda.to_numpy(again), X)
    for tensor in (view, copy):
        tensor.close()


def test_capsules_that_nobody_takes(cuda: Any) -> None:
    own = konv.cuda.to_device(X)
    for keywords in ({}, {"max_version": (1, 0)}, {"copy": True}):
        own.__dlpack__(**keywords)
    foreign = producer(X)
    foreign.__dlpack__()
    gc.collect()
    assert foreign.deleted == 1


def test_memory_of_others_lives_as_long_as_it_is_read() -> None:
    """The array that konv made of it holds it, and so does what another library made of that."""
    foreign = producer(X, major=1)
    read = konv.cuda.to_device(foreign)
    tensor = Consumer(read)
    del read
    gc.collect()
    assert foreign.deleted == 0
    tensor.close()
    settle()
    assert foreign.deleted == 1
    x = Interface(X)
    read, own = konv.cuda.to_device(x), x.own
    references = sys.getrefcount(x)
    del read
    settle()
    assert sys.getrefcount(x) == references - 1
    np.testing.assert_array_equal(own.numpy(), X)


@versions
def test_deleters_run_from_other_threads(major: int | None) -> None:
    foreign = producer(X, major=major)
    held = [konv.cuda.to_device(foreign)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    settle()
    assert foreign.deleted == 1


def test_threads_share_arrays() -> None:
    x, w = konv.cuda.to_device(X), konv.cuda.to_device(W)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(20):
            with konv.config(precision="strict"):  # settings are a thread's own
                tensor = Consumer(konv.cuda.conv2d(x, w))
            foreign = Producer(tensor.data, tensor.shape, F32)
            if not np.allclose(konv.cuda.to_numpy(foreign), Y, rtol=1e-4, atol=1e-5):
                wrong.append(foreign)
            tensor.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FREED = """
import numpy as np, sys
import konv
from konv.cuda import _module
from tests.cuda.conftest import _load
from tests.cuda.foreign import Producer, pointer_of
from pathlib import Path
cuda = _module._found = _load(Path(sys.argv[1]))
own = konv.cuda.to_device(np.ones((1, 1, 32, 32), np.float32))
foreign = Producer(pointer_of(own), (1, 1, 32, 32), (2, 32))
konv.cuda.conv2d(foreign, np.ones((1, 1, 3, 3), np.float32))
print("so far", flush=True)
del own
cuda.release_idle()
konv.cuda.conv2d(foreign, np.ones((1, 1, 3, 3), np.float32))
print("unseen", flush=True)
"""


@pytest.mark.skipif("asan" not in os.environ.get("LD_PRELOAD", ""), reason="only with tools/cuda sanitize")
def test_use_after_free_is_found(simulator: Any) -> None:
    """A producer that frees what it has handed out does not get away with it where AddressSanitizer looks."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([*sys.path, str(root)])
    found = subprocess.run(
        [sys.executable, "-c", FREED, simulator.__file__],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert found.returncode != 0
    assert found.stdout == "so far\n"
    assert "heap-use-after-free" in found.stderr
