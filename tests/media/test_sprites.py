# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from ppzoo.media.sprites import POSE, draw, figure, fit_poses, poses


def test_the_figure_stands_where_its_pose_says():
    shown = figure(3)
    pose = dict(zip(POSE, poses(3, 1)[0], strict=True)) | {"y": 0.1, "turn": 0.0}

    def centre(x):
        picture = draw(shown, list((pose | {"x": x}).values()), 64).astype(int)
        empty = draw(shown, list((pose | {"x": 9.0}).values()), 64).astype(int)
        columns = np.abs(picture - empty).sum(axis=(0, 2))
        return (columns * np.arange(64)).sum() / columns.sum()

    assert centre(0.3) - centre(-0.3) == pytest.approx(0.3 * 63, abs=1)


def test_poses_change_smoothly():
    way = poses(0, 32)
    assert np.abs(np.diff(way, axis=0)).max() < 0.6
    assert way.std(axis=0).min() > 0.01


def test_pictures_are_ones_own():
    first = draw(figure(3), poses(3, 1)[0], 32)
    before = first.copy()
    first[:] = 0
    assert np.array_equal(draw(figure(3), poses(3, 1)[0], 32), before)


def test_poses_are_seen_in_blurred_pictures():
    shown, way = figure(1), poses(1, 6)
    film = np.stack([cv2.GaussianBlur(draw(shown, pose, 48), (0, 0), 1.2) for pose in way])
    found = fit_poses(shown, film, way[0] + 0.03)
    assert found.shape == (6, len(POSE))
    assert np.abs(found - way)[:, :2].max() < 0.02
    assert np.abs(found - way)[:, 2:4].max() < 0.06
    assert np.abs(found - way)[:, 4:].max() < 0.25
    # That is less than poses change on the way.
    assert np.abs(found - way).mean() < 0.3 * np.abs(way - way[0]).mean()
