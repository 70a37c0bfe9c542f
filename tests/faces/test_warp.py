# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from ppzoo.faces.warp import square_matrix, warp


def gradient(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y], axis=-1).astype(np.float32)


def test_the_square_about_a_picture_is_the_picture() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    assert (warp(image, square_matrix((10, 10), 20, 20), (20, 20)) == image).all()


@pytest.mark.parametrize("size", [7, 13, 20, 50, 100, 200])
def test_corners_of_boxes_are_corners_of_cuts(size) -> None:
    # Pixel x holds the level x, so the left edge of a box at 40 is the level 39.5.
    cut = warp(gradient(200, 300), square_matrix((90, 70), 100, size), (size, size))
    step = 100 / size
    expected = 40 - 0.5 + step * (np.arange(size) + 0.5)
    # OpenCV interpolates in steps of 1/32 of a pixel.
    near = max(step, 1) / 32
    assert cut[size // 2, :, 0] == pytest.approx(expected, abs=near)
    assert cut[:, size // 2, 1] == pytest.approx(expected - 20, abs=near)


def test_what_leans_clockwise_is_put_upright() -> None:
    # A line from the upper left to the lower right leans by 45 degrees.
    image = np.zeros((101, 101), np.float32)
    np.fill_diagonal(image, 1.0)
    cut = warp(image, square_matrix((50.5, 50.5), 41, 41, roll=45), (41, 41))
    assert cut.sum(1).argmax() == 20
    assert cut[20].sum() > 0.6 * cut.sum()


def test_shrinking_averages() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = warp(stripes, square_matrix((128, 128), 256, 32), (32, 32))
    assert np.ptp(small) <= 2
    assert small.mean() == pytest.approx(127.5, abs=1)


@pytest.mark.parametrize(("border", "level"), [("white", 255), ("black", 0), ("replicate", 100)])
def test_what_lies_beyond_the_picture(border, level) -> None:
    image = np.full((10, 10, 3), 100, np.uint8)
    cut = warp(image, square_matrix((-20, 5), 10, 16), (16, 16), border)
    assert (cut == level).all()


def test_a_square_far_larger_than_the_picture_costs_nothing() -> None:
    image = np.full((10, 10), 100, np.uint8)
    cut = warp(image, square_matrix((5, 5), 1e7, 16), (16, 16), "white")
    assert (cut == 255).mean() > 0.9
