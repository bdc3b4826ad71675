"""The IDX reader: every type, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from konv import datasets

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.dtype(TYPES[code]).newbyteorder(">")).tobytes()


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("code", TYPES)
@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_every_type(tmp_path, code, name):
    array = np.arange(24).reshape(2, 3, 4).astype(TYPES[code])
    found = datasets.read_idx(write(tmp_path, name, idx(array, code)))
    assert found.dtype == np.dtype(TYPES[code])
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


def test_an_empty_dimension_is_legal(tmp_path):
    assert datasets.read_idx(write(tmp_path, "a", idx(np.zeros((0, 28, 28))))).shape == (0, 28, 28)


def test_gzip_is_told_by_content_not_by_name(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(idx(np.arange(3))))
    np.testing.assert_array_equal(datasets.read_idx(path), [0, 1, 2])


GOOD = idx(np.arange(6).reshape(2, 3))
BAD = {
    "empty": (b"", "magic number"),
    "two bytes": (GOOD[:2], "magic number"),
    "not zero": (b"\1" + GOOD[1:], "magic number 0x01000802"),
    "unknown type": (GOOD[:2] + b"\x0a" + GOOD[3:], "magic number 0x00000a02"),
    "no dimensions": (GOOD[:3] + b"\0" + GOOD[4:], "magic number 0x00000800"),
    "text": (b"<html>not found</html>", "not an IDX file"),
    "header cut": (GOOD[:9], "sizes of its 2 dimensions"),
    "data cut": (GOOD[:-1], "needs 6 bytes of elements, the file holds 5"),
    "no data": (GOOD[:12], "the file holds 0"),
    "trailing": (GOOD + b"\0", "trailing bytes"),
    "huge": (bytes([0, 0, 8, 4]) + b"\xff" * 16 + b"abc", "truncated"),
}


@pytest.mark.parametrize("name", ["file", "file.gz"])
@pytest.mark.parametrize("case", BAD)
def test_damaged_files_are_named(tmp_path, case, name):
    content, message = BAD[case]
    path = write(tmp_path, name, content)
    with pytest.raises(ValueError, match=message) as info:
        datasets.read_idx(path)
    assert str(path) in str(info.value)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip(tmp_path, damage):
    content = bytearray(gzip.compress(idx(np.arange(200).reshape(10, 20))))
    if damage == "cut":
        content = content[:-20]
    else:
        content[30] ^= 0xFF
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"gzip|truncated") as info:
        datasets.read_idx(path)
    assert str(path) in str(info.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        datasets.read_idx(tmp_path / "nothing")


def mnist_files(dot: str = "-", end: str = "") -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for part, count in (("train", 5), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28))
        files[f"{part}-images{dot}idx3-ubyte{end}"] = idx(images)
        files[f"{part}-labels{dot}idx1-ubyte{end}"] = idx(np.arange(count))
    return files


@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_usual_names_of_mnist(tmp_path, dot, end):
    for name, content in mnist_files(dot, end).items():
        write(tmp_path, name, content)
    data = datasets.load_mnist(tmp_path)
    assert data.x_train.shape == (5, 28, 28)
    assert data.x_train.dtype == np.uint8
    assert data.x_test.shape == (3, 28, 28)
    assert data.y_train.dtype == np.int64
    np.testing.assert_array_equal(data.y_test, [0, 1, 2])


def test_mnist_with_a_file_missing(tmp_path):
    for name, content in mnist_files().items():
        if not name.startswith("t10k-labels"):
            write(tmp_path, name, content)
    with pytest.raises(FileNotFoundError, match=r"t10k-labels-idx1-ubyte, .*\.gz"):
        datasets.load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="not a directory"):
        datasets.load_mnist(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", idx(np.arange(4)), "4 labels for 5 images"),
        ("train-labels-idx1-ubyte", idx(np.zeros((5, 1))), "expected labels"),
        ("train-images-idx3-ubyte", idx(np.zeros((5, 784))), "expected images"),
        ("train-images-idx3-ubyte", idx(np.zeros((5, 28, 28)), 0x0D), "expected images"),
        ("t10k-images-idx3-ubyte", idx(np.zeros((3, 8, 8))), "test images"),
    ],
)
def test_mnist_files_that_do_not_belong_together(tmp_path, name, content, message):
    for other, good in mnist_files().items():
        write(tmp_path, other, good)
    write(tmp_path, name, content)
    with pytest.raises(ValueError, match=message):
        datasets.load_mnist(tmp_path)


def test_the_real_mnist(data_dir):
    data = datasets.load_mnist(data_dir / "mnist")
    assert data.x_train.shape == (60000, 28, 28)
    assert data.x_test.shape == (10000, 28, 28)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(data.y_test).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


def test_bundled_digits():
    pytest.importorskip("sklearn")
    data = datasets.load_digits()
    assert data.x_train.shape == (1438, 8, 8)
    assert data.x_test.shape == (359, 8, 8)
    assert data.x_train.dtype == np.float32
    assert set(data.y_test.tolist()) == set(range(10))
