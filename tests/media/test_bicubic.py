# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ppzoo.media import bicubic
from ppzoo.media.bicubic import resize_bicubic

NOISE = np.random.RandomState(0).randint(0, 256, (37, 50, 3)).astype(np.uint8)
# As computed when the function was found equal to MATLAB in all two million numbers of pictures of
# Set5, Set14, BSD100 and Urban100.
RECORDED_QUARTER = [
    [123, 129, 119, 130],
    [139, 116, 94, 88],
    [138, 121, 130, 150],
    [146, 168, 37, 46],
]
RECORDED_TRIPLE = [[39, 50, 92, 36, 56], [150, 131, 195, 114, 174], [180, 223, 76, 153, 218]]
# What Keys' cubic is at 1/4, 3/4, 5/4 and 7/4 of a pixel, halved: the weights of halving.
HALF = np.array([111, 29, -9, -3]) / 256


def test_halving_weighs_eight_pixels_by_the_stretched_cubic() -> None:
    row = np.random.RandomState(1).rand(1, 32)
    result = resize_bicubic(row, size=(1, 16))[0]
    weights = np.concatenate([HALF[::-1], HALF])
    for place in range(2, 14):
        assert result[place] == pytest.approx(weights @ row[0, 2 * place - 3 : 2 * place + 5])


def test_doubling_weighs_four_pixels_by_the_cubic() -> None:
    row = np.random.RandomState(1).rand(1, 16)
    result = resize_bicubic(row, size=(1, 32))[0]
    weights = HALF[[3, 1, 0, 2]] * 2  # distances 7/4, 3/4, 1/4, 5/4
    assert result[10] == pytest.approx(weights @ row[0, 3:7])
    assert result[11] == pytest.approx(weights[::-1] @ row[0, 4:8])


@pytest.mark.parametrize(("border", "beyond"), [("edge", [0, 0, 0]), ("mirror", [0, 1, 2])])
def test_beyond_the_border_stands_the_edge_or_the_mirror_image(border, beyond) -> None:
    row = np.random.RandomState(2).rand(1, 32)
    result = resize_bicubic(row, size=(1, 16), border=border)[0]
    weights = np.concatenate([HALF[::-1], HALF])
    padded = np.concatenate([row[0, beyond[::-1]], row[0], row[0, [31 - i for i in beyond]]])
    assert result[0] == pytest.approx(weights @ padded[:8])
    assert result[-1] == pytest.approx(weights @ padded[-8:])


def test_levels_are_rounded_after_the_rows_and_again_after_the_columns() -> None:
    picture = NOISE[:36]
    rows = resize_bicubic(picture.astype(np.float64), size=(18, 50))
    rows = np.floor(rows.clip(0, 255) + 0.5)
    both = resize_bicubic(rows, size=(18, 25))
    expected = np.floor(both.clip(0, 255) + 0.5)
    assert np.array_equal(resize_bicubic(picture, size=(18, 25)), expected)


def test_halves_are_rounded_upwards_as_matlab_does() -> None:
    # 2 x 2 pixels of 0 and 1 whose mean is a half: to even would be 0.
    picture = np.array([[0, 0], [1, 1]], np.uint8).repeat(8, 0).repeat(8, 1)
    assert resize_bicubic(picture, size=(1, 1)) == 1


def test_recorded_levels_stay() -> None:
    assert resize_bicubic(NOISE, 1 / 4)[::3, ::4, 0].tolist() == RECORDED_QUARTER
    assert resize_bicubic(NOISE[:5, :5, 1], 3)[::5, ::3].tolist() == RECORDED_TRIPLE


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4])
def test_away_from_the_border_it_is_pillows_bicubic_of_floats(scale) -> None:
    picture = np.random.RandomState(3).rand(48, 72).astype(np.float32)
    size = round(48 * scale), round(72 * scale)
    other = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))
    inner = slice(max(2, int(3 * scale)), -max(2, int(3 * scale)))
    result = resize_bicubic(picture, scale)
    assert result.shape == size
    assert result.dtype == np.float32
    assert np.abs(result - other)[inner, inner].max() < 1e-5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.3, 1, 1.7])
def test_a_plain_picture_stays_plain(dtype, scale) -> None:
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    picture = np.full((13, 9, 2), top, dtype)
    result = resize_bicubic(picture, scale)
    assert result.dtype == dtype
    assert result.shape == (*bicubic.scaled_size((13, 9), scale), 2)
    assert np.allclose(result, top)


def test_a_slope_stays_a_slope_away_from_the_border() -> None:
    slope = np.arange(64.0)[np.newaxis].repeat(8, 0)
    shrunk = resize_bicubic(slope, 1 / 4)[0]
    assert np.allclose(np.diff(shrunk)[3:-3], 4)
    assert shrunk[8] == pytest.approx(4 * 8 + 1.5)


def test_fine_stripes_become_grey() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize_bicubic(stripes, 1 / 4)[4:-4, 4:-4].astype(int) - 128).max() <= 1


def test_without_antialiasing_pixels_between_are_interpolated() -> None:
    row = np.random.RandomState(1).rand(1, 32)
    shrunk = resize_bicubic(row, size=(1, 8), antialias=False)[0]
    # The middle of four pixels is half-way between the two in the middle.
    weights = np.array([-1, 9, 9, -1]) / 16
    assert shrunk[3] == pytest.approx(weights @ row[0, 12:16])
    doubled = resize_bicubic(row, size=(1, 64), antialias=False)
    assert np.array_equal(doubled, resize_bicubic(row, size=(1, 64)))


def test_a_large_picture_is_done_in_blocks(monkeypatch) -> None:
    whole = resize_bicubic(NOISE, 0.4)
    monkeypatch.setattr(bicubic, "_BLOCK", 500)
    assert np.array_equal(resize_bicubic(NOISE, 0.4), whole)


def test_the_axis_that_shrinks_more_goes_first() -> None:
    turned = resize_bicubic(NOISE.swapaxes(0, 1), size=(10, 30)).swapaxes(0, 1)
    assert np.array_equal(resize_bicubic(NOISE, size=(30, 10)), turned)


def test_channels_are_resized_alone() -> None:
    for channel in range(3):
        alone = resize_bicubic(NOISE[..., channel], 1.5)
        assert np.array_equal(resize_bicubic(NOISE, 1.5)[..., channel], alone)


@pytest.mark.parametrize(
    ("scale", "size"),
    [(1 / 3, (1, 2)), (0.25, (1, 2)), (1 / 2, (2, 3)), (2, (6, 10)), (0.1, (1, 1))],
)
def test_sizes_are_rounded_up(scale, size) -> None:
    assert bicubic.scaled_size((3, 5, 4), scale) == size


@pytest.mark.parametrize(
    ("image", "kwargs", "words"),
    [
        (NOISE, {}, "either"),
        (NOISE, {"scale": 2, "size": (3, 3)}, "either"),
        (NOISE, {"scale": 0}, "positive"),
        (NOISE, {"size": (0, 3)}, "positive"),
        (NOISE, {"scale": 2, "border": "wrap"}, "border"),
        (NOISE.astype(np.int32), {"scale": 2}, "int32"),
        (NOISE[np.newaxis], {"scale": 2}, r"\[1, 37, 50, 3\]"),
    ],
)
def test_misuse_is_named(image, kwargs, words) -> None:
    with pytest.raises(ValueError, match=words):
        resize_bicubic(image, **kwargs)
