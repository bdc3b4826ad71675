"""Arrays on devices: DLPack and its kin, streams, several devices, bad input, and what fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import konv

X = np.random.default_rng(0).standard_normal((2, 3, 6, 5), np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3), np.float32)
Y = konv.conv2d(X, W)


class Foreign:
    """An array of a library that has DLPack alone, of the old or the versioned kind."""

    def __init__(self, array: Any, versioned: bool) -> None:
        self.array, self.versioned = array, versioned
        self.streams: list[Any] = []

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __dlpack__(self, **keywords: Any) -> Any:
        self.streams.append(keywords["stream"])
        if not self.versioned and "max_version" in keywords:
            raise TypeError("no such keyword")
        return self.array.__dlpack__(**keywords)


class Interface:
    """An array of a library that has __cuda_array_interface__ alone."""

    def __init__(self, array: Any) -> None:
        self.__cuda_array_interface__ = array.__cuda_array_interface__
        self._array = array


@pytest.mark.parametrize("versioned", [False, True])
def test_dlpack(cuda: Any, versioned: bool) -> None:
    x = Foreign(konv.cuda.to_device(X), versioned)
    out = konv.conv2d(x, Foreign(konv.cuda.to_device(W), versioned))
    assert type(out) is cuda.DeviceArray
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)
    assert set(x.streams) == {1}
    # Out again and in again: the same memory.
    again = konv.cuda.to_device(Foreign(out, versioned))
    assert again.__cuda_array_interface__["data"] == out.__cuda_array_interface__["data"]
    del out
    np.testing.assert_allclose(konv.cuda.to_numpy(again), Y, rtol=1e-4, atol=1e-5)


def test_cuda_array_interface(cuda: Any) -> None:
    out = konv.conv2d(konv.cuda.to_device(X), Interface(konv.cuda.to_device(W)))
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)


def test_memory_comes_back(cuda: Any) -> None:
    before = cuda.memory_info()[0]
    x = konv.cuda.to_device(X)
    capsules = [x.__dlpack__(), x.__dlpack__(max_version=(1, 0))]
    out = konv.conv2d(Foreign(x, True), konv.cuda.to_device(W))
    del capsules, x, out
    assert cuda.memory_info()[0] == before
    cuda.release_idle()
    assert cuda.memory_info()[1] == 0


def test_layouts_of_device_arrays() -> None:
    last = konv.cuda.to_device(np.ascontiguousarray(X.transpose(0, 2, 3, 1)))
    w = konv.cuda.to_device(W)
    out = konv.conv2d(last, w, layout="NHWC")
    np.testing.assert_allclose(out.numpy().transpose(0, 3, 1, 2), Y, rtol=1e-4, atol=1e-5)
    out = konv.conv2d(last.transpose(0, 3, 1, 2), w)
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)
    assert out.strides[1] == 4  # channels innermost, as in the input


def test_out_on_device() -> None:
    x, w, out = (konv.cuda.to_device(a) for a in (X, W, np.full_like(Y, np.nan)))
    assert konv.conv2d(x, w, out=out) is out
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="out: expected memory that no input shares"):
        konv.grad.conv2d_input((2, 4, 4, 3), konv.cuda.to_device(np.ones((4, 4, 1, 1), np.float32)), out, out=out)


def test_streams(cuda: Any) -> None:
    stream = cuda.create_stream(0)
    x = konv.cuda.to_device(X, stream=stream)
    out = konv.conv2d(x, konv.cuda.to_device(W))
    assert out.stream == stream
    foreign = Foreign(out, True)
    konv.cuda.to_device(foreign, stream=stream)
    assert foreign.streams == [stream]
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)
    del x, out, foreign
    cuda.release_idle()
    cuda.destroy_stream(0, stream)


def test_stream_of_export() -> None:
    x = konv.cuda.to_device(X)
    for stream in (None, -1, 1, 2):
        x.__dlpack__(stream=stream)
    with pytest.raises(ValueError, match="stream: expected"):
        x.__dlpack__(stream=0)
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(1, 0))


def test_two_devices(simulator: Any) -> None:
    with konv.cuda.device(1):
        x, w = konv.cuda.to_device(X), konv.cuda.to_device(W)
    assert konv.cuda.device_count() == 2
    assert (x.device, konv.cuda.to_device(X).device) == (1, 0)
    out = konv.conv2d(x, w)
    assert out.device == 1
    np.testing.assert_allclose(out.numpy(), Y, rtol=1e-4, atol=1e-5)
    with pytest.raises(
        ValueError, match="weight: expected an array on device 1, as the others are, got one on device 0"
    ):
        konv.conv2d(x, konv.cuda.to_device(W))
    with pytest.raises(ValueError, match="device: expected one of the 2 devices"), konv.cuda.device(2):
        pass


@pytest.mark.parametrize(
    ("error", "match", "keywords"),
    [
        (ValueError, "groups: 2 does not divide", {"groups": 2}),
        (ValueError, "algorithm: expected one of 'auto'", {"algorithm": "cudnn"}),
        (ValueError, r"bias: expected shape \(4,\)", {"bias": np.ones(3, np.float32)}),
        (TypeError, "bias: expected dtype float32", {"bias": np.ones(4)}),
        (ValueError, "residual: expected the result's shape", {"residual": np.ones(3, np.float32)}),
        (ValueError, "out: expected shape", {"out": np.ones((2, 4, 4, 4), np.float32)}),
        (ValueError, "activation: expected None or one of", {"activation": "swish"}),
        (ValueError, "out: expected memory that no input shares", {"weight": W[:3], "out": X[:, :, :4, :3]}),
        (TypeError, "input: expected an array, got list", {"input": [1]}),
        (TypeError, "input: expected dtype", {"input": X.astype(np.int32)}),
        (ValueError, "input: expected 4 dimensions", {"input": X[0, 0]}),
    ],
)
def test_bad_input(error: type[Exception], match: str, keywords: dict[str, Any]) -> None:
    with pytest.raises(error, match=match):
        konv.cuda.conv2d(**{"input": X, "weight": W, **keywords})


def test_host_memory_alone() -> None:
    with pytest.raises(TypeError, match="conv2d_int: computes in the host's memory alone"):
        konv.conv2d_int(konv.cuda.to_device(X.astype(np.int8)), W.astype(np.int8))


def test_out_of_memory(simulator: Any) -> None:
    x, w, out = (konv.cuda.to_device(a) for a in (X, W, np.zeros_like(Y)))
    konv.cuda.conv2d(x, w)
    simulator.release_idle()
    used = simulator.memory_info()
    simulator.simulate(failing_call="allocate")
    with pytest.raises(MemoryError, match=r"cudaMalloc of \d+ bytes: out of memory on device 0"):
        konv.cuda.conv2d(x, w)
    assert simulator.memory_info() == used
    simulator.simulate()
    np.testing.assert_array_equal(out.numpy(), 0)
    np.testing.assert_allclose(konv.cuda.conv2d(x, w).numpy(), Y, rtol=1e-4, atol=1e-5)


def test_launch_failure(simulator: Any) -> None:
    x, w = konv.cuda.to_device(X), konv.cuda.to_device(W)
    simulator.simulate(failing_call="launch")
    with pytest.raises(RuntimeError, match="launch of forward_reference: unspecified launch failure"):
        konv.cuda.conv2d(x, w, algorithm="reference")
    np.testing.assert_allclose(konv.cuda.conv2d(x, w).numpy(), Y, rtol=1e-4, atol=1e-5)


def test_no_device(simulator: Any) -> None:
    simulator.simulate(devices=0)
    assert not konv.cuda.is_available()
    assert "finds no device" in konv.info()["cuda"]
    with pytest.raises(RuntimeError, match="finds no device"):
        konv.cuda.conv2d(X, W)


def test_no_module(monkeypatch: pytest.MonkeyPatch) -> None:
    from konv.cuda import _module

    monkeypatch.setattr(_module, "find", lambda: None)
    assert not konv.cuda.is_available()
    with pytest.raises(RuntimeError, match="KONV_CUDA=ON"):
        konv.cuda.conv2d(X, W)


def refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return "no error"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork(cuda: Any) -> None:
    konv.cuda.conv2d(X, W)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for call in (lambda: konv.cuda.conv2d(X, W), cuda.release_idle):
                os.write(write, refusal(call).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as text:
        told = text.read()
    assert told.count("CUDA does not survive a fork") == 2
    assert "no error" not in told
