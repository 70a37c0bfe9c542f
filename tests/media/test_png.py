# SPDX-License-Identifier: Apache-2.0
"""PNG files written part by part are what other programs read, and about as small as Pillow's."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from ppzoo.media.png import PngFile


def written(array, rows=(slice(0, None),), **extras):
    stream = io.BytesIO()
    height, width, channels = array.shape
    with PngFile(stream, height, width, channels, array.dtype, **extras) as png:
        for part in rows:
            bounds = slice(*part.indices(height)[:2])
            for left in range(0, width, 50):
                columns = slice(left, min(width, left + 50))
                png.put(bounds, columns, array[bounds, columns])
    return stream.getvalue()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_opencv_reads_what_was_written(channels, dtype):
    top = np.iinfo(dtype).max
    array = np.random.default_rng(0).integers(0, top, (100, 120, channels), dtype, endpoint=True)
    # Parts of which each filter is the best one.
    array[:30] = np.arange(120, dtype=dtype)[:, np.newaxis]
    array[30:60] = np.arange(30, dtype=dtype)[:, np.newaxis, np.newaxis] * 3
    array[60:80] = array[60:80] // 64 + np.add.outer(np.arange(20), np.arange(120))[..., np.newaxis]
    file = written(array, (slice(0, 33), slice(33, 34), slice(34, None)))
    decoded = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    decoded = decoded.reshape(array.shape)
    if channels > 1:
        decoded = decoded[..., [2, 1, 0, 3][:channels]]
    np.testing.assert_array_equal(decoded, array)
    Image.open(io.BytesIO(file)).verify()


def test_grey_with_transparency():
    array = np.random.default_rng(0).integers(0, 256, (9, 7, 2), "uint8")
    image = Image.open(io.BytesIO(written(array)))
    assert image.mode == "LA"
    np.testing.assert_array_equal(image, array)


def test_a_photograph_is_about_as_small_as_pillow_writes_it():
    photo = data.astronaut()
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    assert len(written(photo)) < 1.05 * len(stream.getvalue())


def test_a_single_pixel():
    image = Image.open(io.BytesIO(written(np.array([[[1, 2, 3]]], np.uint8))))
    assert image.getpixel((0, 0)) == (1, 2, 3)


def test_extras_are_beside_the_samples():
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    array = np.zeros((2, 2, 1), np.uint8)
    file = written(array, exif=exif.tobytes(), icc_profile=b"profile", dpi=(300, 72))
    image = Image.open(io.BytesIO(file))
    assert image.getexif()[0x010F] == "Camera"
    assert image.info["icc_profile"] == b"profile"
    assert image.info["dpi"] == pytest.approx((300, 72), abs=0.01)


def test_a_band_may_be_begun_again():
    stream, part = io.BytesIO(), np.zeros((4, 5, 1), np.uint8)
    with PngFile(stream, 6, 10, 1, np.uint8) as png:
        png.put(slice(0, 4), slice(0, 5), part + 9)
        for left in (0, 5):
            png.put(slice(0, 2), slice(left, left + 5), part[:2] + 1)
        for left in (0, 5):
            png.put(slice(2, 6), slice(left, left + 5), part + 2)
    expected = np.full((6, 10), 1)
    expected[2:] = 2
    np.testing.assert_array_equal(Image.open(io.BytesIO(stream.getvalue())), expected)


def test_parts_in_the_wrong_place_are_refused():
    part = np.zeros((2, 5, 3), np.uint8)
    png = PngFile(io.BytesIO(), 6, 10, 3, np.uint8)
    for rows, columns in (((2, 4), (0, 5)), ((0, 2), (5, 10))):
        with pytest.raises(ValueError, match="not next"):
            png.put(slice(*rows), slice(*columns), part)
    png.put(slice(0, 2), slice(0, 5), part)
    with pytest.raises(ValueError, match="not next"):
        png.put(slice(2, 4), slice(5, 10), part)
    with pytest.raises(ValueError, match=r"expected uint8 \[2, 5, 3\], got uint16"):
        png.put(slice(0, 2), slice(5, 10), part.astype(np.uint16))
    png.put(slice(0, 2), slice(5, 10), part)
    with pytest.raises(ValueError, match="6 rows, 2 are filled"):
        png.close()
