"""Handwritten digits to train on: MNIST's IDX files, and scikit-learn's bundled set.

The IDX format is that of http://yann.lecun.com/exdb/mnist: two zero bytes, a byte for the type of
the elements, a byte for the number of dimensions, the dimensions as big-endian 32-bit integers, and
the elements in C order, big-endian.
"""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ._words import counted

__all__ = ["Dataset", "load_digits", "load_mnist", "read_idx"]

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Dataset(NamedTuple):
    """Training and test samples with their labels.

    Attributes
    ----------
    x_train, x_test : ndarray
        Images, (samples, height, width).
    y_train, y_test : ndarray
        Labels, (samples,), int64.
    """

    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read an IDX file, plain or gzipped.

    Parameters
    ----------
    path : path
        Recognised as gzipped by its first bytes, not by its name.

    Returns
    -------
    ndarray
        Of the file's shape and type (uint8, int8, int16, int32, float32, float64), native order.

    Raises
    ------
    ValueError
        If the file is not IDX, is cut short, or goes on behind its last element.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from konv import datasets
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels-idx1-ubyte")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]))
    ...     datasets.read_idx(path)
    array([5, 0, 4], dtype=uint8)
    """
    path = Path(path)
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            return _read(path, cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if zipped else raw)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}") from None


def _read(path: Path, file: BinaryIO) -> NDArray[Any]:
    magic = file.read(4)
    if len(magic) < 4:
        raise ValueError(f"{path}: not an IDX file: it ends within the magic number")
    if magic[:2] != b"\0\0" or magic[2] not in _TYPES or magic[3] == 0:
        raise ValueError(
            f"{path}: not an IDX file: magic number 0x{magic.hex()}; expected 0x0000, a type "
            f"(one of {', '.join(f'0x{code:02x}' for code in _TYPES)}) and a number of dimensions"
        )
    dtype, rank = np.dtype(_TYPES[magic[2]]), magic[3]
    header = file.read(4 * rank)
    if len(header) < 4 * rank:
        raise ValueError(f"{path}: truncated: it ends within the sizes of its {counted(rank, 'dimension')}")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    expected = prod(shape) * dtype.itemsize
    data = _read_at_most(file, expected + 1)
    if len(data) < expected:
        raise ValueError(
            f"{path}: truncated: shape {shape} needs {expected} bytes of elements, the file holds {len(data)}"
        )
    if len(data) > expected:
        raise ValueError(f"{path}: trailing bytes behind the {expected} bytes of elements of shape {shape}")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(file: BinaryIO, size: int) -> bytearray:
    """Read piece by piece, so that a header's absurd sizes allocate nothing by themselves."""
    data = bytearray()
    while len(data) < size and (piece := file.read(min(size - len(data), 1 << 22))):
        data += piece
    return data


def load_mnist(directory: str | os.PathLike[str]) -> Dataset:
    """Read the four files of MNIST (or of a set laid out alike, such as Fashion-MNIST).

    Parameters
    ----------
    directory : path
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
        t10k-labels-idx1-ubyte; a dot may stand in place of the second dash, and .gz at the end.

    Returns
    -------
    Dataset
        Images (samples, 28, 28) uint8.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    ValueError
        If one is damaged, or images and labels do not belong together.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a directory; expected one that holds the four IDX files")
    x_train, y_train = _load_pair(folder, "train")
    x_test, y_test = _load_pair(folder, "t10k")
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(f"{folder}: training images are {x_train.shape[1:]}, test images {x_test.shape[1:]}")
    return Dataset(x_train, y_train, x_test, y_test)


def _load_pair(folder: Path, part: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    paths = [_find(folder, f"{part}-images", "idx3"), _find(folder, f"{part}-labels", "idx1")]
    images, labels = map(read_idx, paths)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{paths[0]}: expected images (samples, height, width) of bytes, got shape {images.shape} of {images.dtype}"
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise ValueError(f"{paths[1]}: expected labels (samples,) of bytes, got shape {labels.shape} of {labels.dtype}")
    if len(images) != len(labels):
        raise ValueError(f"{paths[1]}: {counted(len(labels), 'label')} for {counted(len(images), 'image')}")
    return images, labels.astype(np.int64)


def _find(folder: Path, stem: str, kind: str) -> Path:
    names = [f"{stem}{dot}{kind}-ubyte{end}" for dot in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{folder} holds none of {', '.join(names)}")


def load_digits() -> Dataset:
    """Return scikit-learn's 1797 handwritten digits, a fifth of them for testing.

    Returns
    -------
    Dataset
        Images (samples, 8, 8) float32 from 0 to 16. Every fifth sample is a test sample.

    Raises
    ------
    ImportError
        If scikit-learn is not installed; it comes with ``pip install konv[demo]``.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError("the bundled digits come with scikit-learn: pip install 'konv[demo]'") from error
    bunch = load()
    images = bunch.images.astype(np.float32)
    labels = bunch.target.astype(np.int64)
    test = np.arange(len(images)) % 5 == 4
    return Dataset(images[~test], labels[~test], images[test], labels[test])
