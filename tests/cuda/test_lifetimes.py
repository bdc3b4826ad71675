"""How long arrays of other libraries live, which stream writes last, whose memory it is, and who waits."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import konv
from tests.cuda.foreign import FLOAT, Producer, pointer_of

X = np.random.default_rng(0).standard_normal((2, 3, 6, 5), np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3), np.float32)
Y = konv.conv2d(X, W)


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def producer(array: Any, kind: type[Producer] = Producer, **options: Any) -> Producer:
    own = konv.cuda.to_device(array)
    return kind(pointer_of(own), array.shape, (FLOAT, 32), keep=own, **options)


@pytest.fixture
def busy(simulator: Any) -> Iterator[Any]:
    """What streams are asked is not known to be done before somebody has waited for them."""
    simulator.simulate(unfinished=True)
    yield simulator
    simulator.simulate()
    simulator.synchronize(0, 1)
    gc.collect()
    assert simulator.parked_owners() == 0


@pytest.fixture
def stream(simulator: Any) -> Iterator[int]:
    made = simulator.create_stream(0)
    yield made
    gc.collect()
    simulator.simulate()
    simulator.release_idle()
    simulator.destroy_stream(0, made)


@pytest.mark.parametrize("major", [None, 1])
def test_foreign_arrays_are_held_while_kernels_run(busy: Any, major: int | None) -> None:
    x, w, out = producer(X, major=major), producer(W, major=major), producer(np.zeros_like(Y), major=major)
    konv.conv2d(x, w, out=out)
    assert (x.deleted, w.deleted, out.deleted) == (0, 0, 0)
    assert busy.parked_owners() == 3
    konv.cuda.max_pool2d(out.keep, 2)  # another call looks, and finds the stream where it was
    assert busy.parked_owners() == 3
    busy.synchronize(0, 1)
    assert (x.deleted, w.deleted, out.deleted) == (1, 1, 1)
    assert busy.parked_owners() == 0


def test_the_next_call_lets_go(busy: Any) -> None:
    x, w, own = producer(X), producer(W), konv.cuda.to_device(X)
    konv.conv2d(x, w)
    assert x.deleted == 0
    busy.simulate()
    konv.cuda.max_pool2d(own, 2)
    assert (x.deleted, w.deleted) == (1, 1)


def test_copies_to_the_host_let_go(busy: Any) -> None:
    x = producer(X)
    out = konv.conv2d(x, producer(W))
    close(out.numpy(), Y)
    assert x.deleted == 1


def test_calls_that_fail_hold_as_well(busy: Any) -> None:
    x, w = producer(X), producer(W)
    busy.simulate(unfinished=True, failing_call="launch")
    with pytest.raises(RuntimeError, match="launch"):
        konv.conv2d(x, w)
    assert (x.deleted, w.deleted) == (0, 0)
    busy.synchronize(0, 1)
    assert (x.deleted, w.deleted) == (1, 1)


def test_interfaces_are_held(busy: Any) -> None:
    class Interface:
        def __init__(self, array: Any) -> None:
            self.own = konv.cuda.to_device(array)
            self.__cuda_array_interface__ = self.own.__cuda_array_interface__

    x = Interface(X)
    references = sys.getrefcount(x)
    konv.conv2d(konv.cuda.to_device(np.zeros_like(X)), konv.cuda.to_device(W))
    konv.cuda.max_pool2d(x, 2)
    assert sys.getrefcount(x) == references + 1
    busy.synchronize(0, 1)
    assert sys.getrefcount(x) == references


class OfCupy(Producer):
    __module__ = "cupy._core.core"


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A library that reuses memory in the order of its stream, as far as konv asks for it."""
    current = SimpleNamespace(ptr=0)
    cuda = SimpleNamespace(get_current_stream=lambda _: current)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda, from_dlpack=lambda array: array))
    return current


def test_libraries_in_stream_order_need_not_wait(busy: Any, cupy: Any) -> None:
    x, w = producer(X, OfCupy), producer(W)
    out = konv.conv2d(x, w)
    assert (x.deleted, w.deleted) == (1, 0)  # CuPy's own stream; the other's is not known
    close(out.numpy(), Y)
    assert w.deleted == 1


def test_arrays_read_on_further_streams(busy: Any, cupy: Any, stream: int) -> None:
    """An array that konv made of CuPy's is CuPy's to reuse when all other streams have read it."""
    x = producer(X, OfCupy)
    read = konv.cuda.to_device(x)
    konv.conv2d(konv.cuda.to_device(np.ones((1, 3, 8, 8), np.float32), stream=stream), read)
    del read
    assert x.deleted == 0
    busy.synchronize(0, 1)
    assert x.deleted == 0
    busy.synchronize(0, stream)
    assert x.deleted == 1


def test_streams_that_are_gone(busy: Any) -> None:
    gone = busy.create_stream(0)
    x = producer(X)
    read = konv.cuda.to_device(x, stream=gone)
    busy.destroy_stream(0, gone)
    del read
    assert x.deleted == 1  # all of the device has been waited for


def test_views_know_who_writes(simulator: Any, stream: int) -> None:
    own = konv.cuda.to_device(np.zeros((2, 4, 4, 3), np.float32))
    view = own.transpose(0, 2, 3, 1)
    again = konv.cuda.to_device(own)
    konv.conv2d(konv.cuda.to_device(X, stream=stream), konv.cuda.to_device(W), out=own)
    assert own.stream == view.stream == again.stream == stream
    assert view.__cuda_array_interface__["stream"] == stream
    close(view.numpy(), Y.transpose(0, 2, 3, 1))
    konv.conv2d(konv.cuda.to_device(X), konv.cuda.to_device(W), out=view.transpose(0, 3, 1, 2))
    assert own.stream == 1


class At:
    """An array of float32 at an address, that has __cuda_array_interface__ alone."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": "<f4", "data": (address, False), "version": 3,
        }  # fmt: skip


def test_devices_of_interfaces(simulator: Any) -> None:
    with konv.cuda.device(1):
        x, w = konv.cuda.to_device(X), konv.cuda.to_device(W)
    there = At(pointer_of(w), W.shape)
    assert simulator.device_of_memory(pointer_of(w)) == 1
    assert simulator.device_of_memory(pointer_of(w) + 4 * W.size - 1) == 1
    with pytest.raises(ValueError, match="weight: expected an array on device 0, as the others are, got one on device"):
        konv.conv2d(konv.cuda.to_device(X), there)
    out = konv.conv2d(At(pointer_of(x), X.shape), there)  # the first array says where
    assert out.device == 1
    close(out.numpy(), Y)


def test_interfaces_of_the_hosts_memory(simulator: Any) -> None:
    memory = ctypes.create_string_buffer(4 * W.size + 4)
    address = (ctypes.addressof(memory) + 3) // 4 * 4
    assert simulator.device_of_memory(address) == -2
    with pytest.raises(ValueError, match="weight: its __cuda_array_interface__ names no memory of a device"):
        konv.conv2d(konv.cuda.to_device(X), At(address, W.shape))
    assert konv.cuda.to_device(At(0, (0, 3))).shape == (0, 3)  # nothing is nowhere


def release_idle(cuda: Any) -> None:
    cuda.release_idle()


def copy(cuda: Any) -> None:
    konv.cuda.to_device(X)


@pytest.mark.parametrize("wait", [release_idle, copy, lambda cuda: cuda.synchronize(0, 1)], ids=["memory", "in", "all"])
def test_others_run_while_one_waits(simulator: Any, wait: Callable[[Any], None]) -> None:
    konv.cuda.to_device(X)  # and so there is idle memory
    while_waiting(simulator, wait)


def test_others_run_while_results_come(simulator: Any) -> None:
    own = konv.cuda.to_device(X)
    while_waiting(simulator, lambda _: own.numpy())


def test_others_allocate_while_memory_goes_back(simulator: Any) -> None:
    """The lock of the pool is not held while the driver waits."""
    own = konv.cuda.to_device(X)
    konv.cuda.to_device(np.ones(1 << 19, np.float32))

    def allocate() -> None:
        assert konv.cuda.max_pool2d(own, 2).shape == (2, 3, 3, 2)

    while_waiting(simulator, release_idle, allocate)


def while_waiting(cuda: Any, wait: Callable[[Any], None], work: Callable[[], None] = lambda: None) -> None:
    """Calls `work` while another thread is in `wait`, which does not return before `simulate()`."""
    cuda.simulate(waits=True)
    thread = threading.Thread(target=wait, args=(cuda,))
    thread.start()
    while thread.is_alive() and not cuda.waiting():
        time.sleep(0.001)
    work()
    waiting = cuda.waiting()
    cuda.simulate()
    thread.join()
    assert waiting == 1
