# SPDX-License-Identifier: Apache-2.0
import numpy as np

from ppzoo.media.mouths import INSIDE, mouth_opening


def faces_with(rows: list[int]) -> np.ndarray:
    faces = np.full((len(rows), 3, 32, 32), 0.8)
    for face, row in zip(faces, rows, strict=True):
        face[:, 20 : 20 + row, 8:16] = np.reshape(INSIDE, (3, 1, 1)) / 255
    return faces


def test_the_opening_is_a_share_of_the_lower_half():
    found = mouth_opening(faces_with([0, 3, 6]))
    assert np.allclose(found, [0, 3 * 8 / (16 * 32), 6 * 8 / (16 * 32)])


def test_the_upper_half_does_not_count():
    faces = faces_with([3])
    flipped = faces[:, :, ::-1]
    assert mouth_opening(flipped)[0] == 0


def test_a_mouth_that_is_nearly_drawn_counts_partly():
    faces = faces_with([4])
    blurred = 0.85 * faces + 0.15 * faces_with([0])
    assert 0 < mouth_opening(blurred)[0] < mouth_opening(faces)[0]
