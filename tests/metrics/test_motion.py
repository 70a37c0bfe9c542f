# SPDX-License-Identifier: Apache-2.0
"""Motion of animations: worked out by hand, what moves rightly, what does not, merging."""

import numpy as np
import paddle
import pytest

from ppzoo.media.sprites import draw, figure, poses
from ppzoo.metrics.motion import KeypointMotion, SpriteMotion, motion_correlation

FIGURES = ("least", "x", "y", "turn", "arms")


def test_correlation_of_changes():
    true = np.array([[[0.0], [1.0], [2.0]], [[9.0], [7.0], [8.0]]])
    assert motion_correlation(3 * true + 5, true) == pytest.approx([1])
    assert motion_correlation(-true, true) == pytest.approx([-1])
    # Each film may lie elsewhere: only how it changes counts.
    elsewhere = true + np.array([100.0, -100.0]).reshape(2, 1, 1)
    assert motion_correlation(elsewhere, true) == pytest.approx([1])
    assert motion_correlation(np.ones_like(true), true) == pytest.approx([0])
    # By hand: changes (-1, 0, 1) and (1, -1, 0) against (-1, 0, 1) and (-1, 1, 0).
    half = true.copy()
    half[1] = [[7.0], [9.0], [8.0]]
    assert motion_correlation(half, true) == pytest.approx([0])


def videos(count=5, frames=7, seed=0):
    """Return true poses [N, T, 4], and keytruth [N T, 3, 2] that depend on them linearly."""
    random = np.random.RandomState(seed)
    truth = random.randn(count, frames, 4)
    mixing = random.randn(4, 6)
    return truth, lambda of: (of @ mixing + 0.7).reshape(-1, 3, 2)


def seen(animated, real, truth):
    metric = KeypointMotion()
    metric.update(animated, real, truth, np.roll(truth, -1, axis=0))
    return metric


def test_keytruth_that_follow_the_next_video():
    truth, keytruth = videos()
    follow = keytruth(np.roll(truth, -1, axis=0))
    found = seen(follow, keytruth(truth), truth).accumulate()
    assert found == pytest.approx({"mean": 1, "least": 1, "real": 1}, abs=1e-3)
    own = seen(keytruth(truth), keytruth(truth), truth).accumulate()
    assert abs(own["mean"]) < 0.5
    assert own["real"] == pytest.approx(1, abs=1e-3)


def test_keytruth_that_stand_still():
    truth, keytruth = videos()
    found = seen(np.ones([35, 3, 2]), keytruth(truth), truth).accumulate()
    assert found["mean"] == found["least"] == 0


def test_the_map_from_keytruth_knows_neither_picture_nor_driver():
    # Keytruth that are the same everywhere but in one video: nothing can be learnt of it.
    truth, keytruth = videos(4)
    real = keytruth(truth).reshape(4, 7, 3, 2)
    real[[0, 2, 3]] = 0
    follow = np.zeros([4, 7, 3, 2])
    follow[0] = keytruth(np.roll(truth, -1, axis=0)).reshape(4, 7, 3, 2)[0]
    metric = seen(follow.reshape(-1, 3, 2), real.reshape(-1, 3, 2), truth)
    assert metric.accumulate()["mean"] == 0


def test_quantities_are_chosen_by_column():
    truth, keytruth = videos()
    wanted = np.roll(truth, -1, axis=0)
    follow = keytruth(wanted * [1, 1, -1, 1])
    found = []
    for columns in (None, [0, 3], [2]):
        metric = KeypointMotion(columns)
        metric.update(follow, keytruth(truth), truth, wanted)
        found.append(metric.accumulate()["mean"])
    assert found == pytest.approx([0.5, 1, -1], abs=1e-3)


def test_too_few_videos():
    truth, keytruth = videos(2)
    with pytest.raises(ValueError, match="three videos or more"):
        seen(keytruth(truth), keytruth(truth), truth).accumulate()
    with pytest.raises(ValueError, match="KeypointMotion has seen no films"):
        KeypointMotion().accumulate()


def test_processes_see_together_what_one_would():
    parts, whole = [], KeypointMotion()
    for seed in (1, 2):
        truth, _ = videos(3, seed=seed)
        args = truth.reshape(-1, 2, 2), truth.reshape(-1, 2, 2), truth, np.roll(truth, -1, 0)
        whole.update(*args)
        parts.append(KeypointMotion())
        parts[-1].update(*args)
    parts[0].merge([part.state() for part in parts] + [KeypointMotion().state()])
    assert parts[0].accumulate() == whole.accumulate()
    parts[0].reset()
    assert parts[0].state() == {}


def sprites(move):
    """Return what `SpriteMotion` sees of figure 7 that moves by `move` of what figure 8 does."""
    size, frames = 40, 6
    driver, start = poses(8, frames), poses(7, 1)[0]
    way = start + move * (driver - driver[0])
    film = np.stack([draw(figure(7), pose, size) for pose in way])
    metric = SpriteMotion()
    metric.update_from(
        {
            "animated": paddle.to_tensor(film.transpose(0, 3, 1, 2) / np.float32(127.5) - 1),
            "clip": paddle.to_tensor([7]),
            "pose_start": paddle.to_tensor(start[np.newaxis]),
            "pose_driver": paddle.to_tensor(driver[np.newaxis]),
        }
    )
    return metric


def test_figures_that_move_as_the_driver_does():
    metric = sprites(1.0)
    found = metric.accumulate()
    assert tuple(found) == FIGURES
    assert min(found.values()) > 0.9
    assert metric.state()["poses"].shape == (1, 6, 6)
    np.testing.assert_array_equal(metric.state()["wanted"], poses(8, 6)[np.newaxis])


def test_figures_that_move_the_other_way():
    assert max(sprites(-0.5).accumulate().values()) < -0.9


def test_a_copy_of_the_source_does_not_move():
    assert set(sprites(0.0).accumulate().values()) == {0}
