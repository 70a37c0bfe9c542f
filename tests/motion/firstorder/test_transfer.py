# SPDX-License-Identifier: Apache-2.0
"""Animation across videos, with a detector that sees exactly and a generator that shows it."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.motion.firstorder.transfer import animate_batch, animate_next, most_alike


class Seer(nn.Layer):
    """Reads keypoints off the first pixels of a picture."""

    def forward(self, x):
        return {"value": x[:, 0, 0, :6].reshape([-1, 3, 2])}


class Shower(nn.Layer):
    """Writes keypoints into the first pixels of a picture."""

    def encode(self, source_image):
        assert source_image.shape[0] == 1
        return source_image

    def motion(self, source_image, kp_driving, kp_source):
        assert kp_source["value"].shape == [1, 3, 2]
        return {"deformation": kp_driving["value"]}

    def decode(self, maps, motion):
        out = maps.clone()
        out[:, 0, 0, :6] = motion["deformation"].reshape([-1, 6])
        return out

    def deform(self, x, deformation):
        return x


def videos(values):
    """Return videos [N, 3, T, 8, 8] whose pictures show the keypoints `values` [N, T, 3, 2]."""
    values = np.asarray(values, np.float32)
    n, frames = values.shape[:2]
    video = np.zeros([n, 3, frames, 8, 8], np.float32)
    video[:, 0, :, 0, :6] = values.reshape(n, frames, 6)
    video[:, 2] = np.arange(n).reshape(n, 1, 1, 1)  # whose it is
    return paddle.to_tensor(video)


TRIANGLE = np.array([[0, 0], [1, 0], [0, 1]])
LARGE, RIGHT = 2 * TRIANGLE + 0.3, np.array([1, 0])


def two():
    """Return two videos: a triangle that moves by 0.1, and one twice as large that moves by 1."""
    small = [TRIANGLE, TRIANGLE + 0.1, TRIANGLE + 0.2]
    large = [LARGE, LARGE + RIGHT, LARGE + 1]
    return videos([small, large])


def test_the_most_alike_frame():
    frames = {"value": paddle.to_tensor(np.float32([TRIANGLE, TRIANGLE + 1, TRIANGLE + 2]))}
    one = {"value": paddle.to_tensor(np.float32([TRIANGLE + 1.3]))}
    assert most_alike(one, frames) == 1


def test_each_video_moves_as_the_next_in_proportion_to_their_sizes():
    films, chosen = animate_next(Seer(), Shower(), two())
    assert films.shape == [2, 3, 3, 8, 8]
    # The third frame of the small one is nearest to the driver's first, the first of the large.
    assert chosen == [2, 0]
    keypoints = films[:, :, 0, 0, :6].reshape([2, 3, 3, 2]).numpy()
    start = TRIANGLE + 0.2
    expected = [start, start + 0.5 * RIGHT, start + 0.5]
    np.testing.assert_allclose(keypoints[0], expected, atol=1e-5)
    expected = [LARGE, LARGE + 0.2, LARGE + 0.4]
    np.testing.assert_allclose(keypoints[1], expected, atol=1e-5)
    # The pictures are the source's.
    assert (films[0, :, 2] == 0).all()
    assert (films[1, :, 2] == 1).all()


def test_one_video_has_no_other():
    with pytest.raises(ConfigError, match=r"raise dataset\.test\.batch_size"):
        animate_next(Seer(), Shower(), two()[:1])


def test_what_metrics_get():
    truth = paddle.arange(2 * 3 * 4, dtype="float32").reshape([2, 3, 4])
    batch = {"video": two(), "pose": truth, "clip": paddle.to_tensor([7, 8])}
    found = animate_batch(Seer(), Shower(), batch)
    pictures = ("animated", "animated_source", "animated_driver")
    assert all(found[key].shape == [6, 3, 8, 8] for key in pictures)
    assert set(found) == {
        *pictures, "kp_animated", "pose", "pose_driver", "pose_start", "clip", "clip_driver",
    }  # fmt: skip
    assert found["kp_animated"].shape == [6, 3, 2]
    clips = batch["video"].transpose([0, 2, 1, 3, 4]) * 2 - 1
    assert (found["animated_source"][1] == clips[0, 2]).all()
    assert (found["animated_driver"][4] == clips[0, 1]).all()
    assert found["clip_driver"].tolist() == [8, 7]
    assert (found["pose_driver"][0] == truth[1]).all()
    assert (found["pose_start"][0] == truth[0, 2]).all()
    # As in every output, pictures are in [-1, 1].
    assert found["animated"].reshape([2, 3, 3, 8, 8])[0, :, 2].unique().tolist() == [-1]
