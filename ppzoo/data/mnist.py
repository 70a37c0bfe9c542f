# SPDX-License-Identifier: Apache-2.0
"""Reading the files of MNIST and of sets in its format (idx).

Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998. An idx file
is: two zero bytes, the type of the values (8: unsigned bytes), the number of dimensions, each
dimension as a big-endian 32-bit integer, then the values.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ppzoo.errors import DataError

_PARTS = {"train": "train", "test": "t10k"}
_FOLDERS = (".", "raw", "MNIST/raw")
_MAX_BYTES = 1 << 33


def find_files(folder: str | os.PathLike[str], mode: str) -> tuple[Path, Path] | None:
    """Return the files of images and labels in `folder`, or None if neither is there.

    The usual names are known: `train-images-idx3-ubyte`, `train-images.idx3-ubyte`, with or
    without `.gz`, in the folder itself, in `raw` or in `MNIST/raw`.

    Args:
        folder: where to look.
        mode: `train` or `test`.

    Raises:
        DataError: one of the two files is there and the other is not.
    """
    found: dict[str, Path] = {}
    for kind, dims in (("images", 3), ("labels", 1)):
        for subfolder in _FOLDERS:
            for name in _names(mode, kind, dims):
                path = Path(folder, subfolder, name)
                if kind not in found and path.is_file():
                    found[kind] = path
    if len(found) == 1:
        ((kind, path),) = found.items()
        other, dims = ("labels", 1) if kind == "images" else ("images", 3)
        raise DataError(
            f"{path} is there, but the file of {other} that belongs to it, "
            f"{_names(mode, other, dims)[0]}, is not in {folder}"
        )
    return (found["images"], found["labels"]) if found else None


def expected_files(mode: str) -> str:
    """Return the names of the two files of a part, as an error message lists them."""
    return f"{_names(mode, 'images', 3)[0]} and {_names(mode, 'labels', 1)[0]}"


def read_pair(
    image_path: str | os.PathLike[str], label_path: str | os.PathLike[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of pictures and the file of their labels.

    Returns:
        Pictures, uint8 [N, H, W, 1], and labels, int64 [N].

    Raises:
        DataError: a file cannot be read, is damaged or foreign, or the two do not belong together.
    """
    images, labels = read_idx(image_path, 3), read_idx(label_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} holds {len(images)} pictures, but {label_path} holds {len(labels)} "
            "labels; they do not belong together"
        )
    if images.size == 0:
        raise DataError(f"{image_path} holds no pictures")
    return images[..., np.newaxis], labels.astype(np.int64)


def read_idx(path: str | os.PathLike[str], dims: int) -> np.ndarray:
    """Read an idx file of unsigned bytes, compressed by gzip or not, whatever its name.

    Args:
        path: the file.
        dims: how many dimensions it must have.

    Returns:
        uint8, of the shape that the file says.

    Raises:
        DataError: the file cannot be read, is truncated, damaged or of another format.
    """
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.GzipFile(fileobj=raw) if compressed else raw as file:
                return _parse(file, path, dims)
    except EOFError:
        raise DataError(f"{path} is truncated: its compressed data stop too early") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(file: BinaryIO, path: str | os.PathLike[str], dims: int) -> np.ndarray:
    header = file.read(4 + 4 * dims)
    magic = bytes((0, 0, 8, dims))
    if header[:4] != magic:
        raise DataError(
            f"{path} is not an idx file of {'pictures' if dims == 3 else 'labels'}: it begins "
            f"with {header[:4].hex() or 'nothing'} instead of {magic.hex()}"
        )
    if len(header) < 4 + 4 * dims:
        raise DataError(f"{path} is truncated: it ends within its header")
    shape = struct.unpack(f">{dims}I", header[4:])
    count = math.prod(shape)
    if count > _MAX_BYTES:
        raise DataError(f"{path} is damaged: its header announces an array of {list(shape)}")
    data = file.read(count)
    if len(data) < count:
        raise DataError(
            f"{path} is truncated: its header announces {count} bytes {list(shape)}, "
            f"{len(data)} follow"
        )
    if file.read(1):
        raise DataError(f"{path} is damaged: more than the announced {count} bytes follow")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _names(mode: str, kind: str, dims: int) -> Sequence[str]:
    part = _PARTS[mode]
    return [
        f"{part}-{kind}{joint}idx{dims}-ubyte{suffix}"
        for joint in ("-", ".")
        for suffix in (".gz", "")
    ]
