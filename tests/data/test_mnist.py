# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.mnist: idx files, good and bad."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppzoo.data import mnist
from ppzoo.errors import DataError


def idx(array, magic=None):
    header = magic or bytes((0, 0, 8, array.ndim))
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["x-idx3-ubyte.gz", "x"])
def test_compression_is_told_by_content_not_by_name(tmp_path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(idx(IMAGES)))
    np.testing.assert_array_equal(mnist.read_idx(path, 3), IMAGES)


def test_a_pair_gets_a_channel_and_wide_labels(tmp_path):
    (tmp_path / "i").write_bytes(idx(IMAGES))
    (tmp_path / "l").write_bytes(idx(LABELS))
    images, labels = mnist.read_pair(tmp_path / "i", tmp_path / "l")
    assert images.shape == (5, 28, 28, 1)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, LABELS)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not an idx file of pictures: it begins with nothing"),
        (b"\x89PNG\r\n", "begins with 89504e47 instead of 00000803"),
        (idx(LABELS), "begins with 00000801 instead of 00000803"),
        (idx(IMAGES)[:10], "ends within its header"),
        (idx(IMAGES)[:-1], r"announces 3920 bytes \[5, 28, 28\], 3919 follow"),
        (idx(IMAGES) + b"\0", "more than the announced 3920 bytes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "its header announces an array of"),
        (gzip.compress(idx(IMAGES))[:-20], "is truncated: its compressed data"),
        (gzip.compress(idx(IMAGES))[:20] + b"\0" * 99, "is damaged"),
    ],
)
def test_bad_files_are_named_with_the_problem(tmp_path, content, problem):
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        mnist.read_idx(path, 3)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_opened_are_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gone"):
        mnist.read_idx(tmp_path / "gone", 3)
    with pytest.raises(DataError, match=r"cannot read .*directory"):
        mnist.read_idx(tmp_path, 3)


def test_images_and_labels_must_belong_together(tmp_path):
    (tmp_path / "i").write_bytes(idx(IMAGES))
    (tmp_path / "l").write_bytes(idx(LABELS[:4]))
    with pytest.raises(DataError, match=r"5 pictures, but .* holds 4 labels"):
        mnist.read_pair(tmp_path / "i", tmp_path / "l")
    (tmp_path / "i").write_bytes(idx(IMAGES[:0]))
    (tmp_path / "l").write_bytes(idx(LABELS[:0]))
    with pytest.raises(DataError, match="holds no pictures"):
        mnist.read_pair(tmp_path / "i", tmp_path / "l")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
    ],
)
def test_files_are_found_by_their_usual_names(tmp_path, images, labels):
    for name in (images, labels):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert mnist.find_files(tmp_path, "train") == (tmp_path / images, tmp_path / labels)
    assert mnist.find_files(tmp_path, "test") is None


def test_half_a_pair_is_an_error_that_names_the_other_half(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").touch()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz, is not in"):
        mnist.find_files(tmp_path, "test")


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_content_raises_anything_but_a_data_error(tmp_path_factory, content, compressed):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    prefix = b"\x1f\x8b\x08" if compressed else b"\0\0\x08\x03"
    path.write_bytes(prefix + content)
    with contextlib.suppress(DataError):
        assert mnist.read_idx(path, 3).dtype == np.uint8
