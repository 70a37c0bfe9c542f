# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.data.sprites import MovingSpritesDataset
from ppzoo.errors import ConfigError
from ppzoo.media.sprites import POSE, draw, figure


def test_samples_are_a_function_of_their_index():
    first, again = (MovingSpritesDataset(samples=8, size=32) for _ in range(2))
    for key, value in first[5].items():
        assert np.array_equal(value, again[5][key])
    assert not np.array_equal(first[5]["source"], first[6]["source"])
    batch = first.get_batch([5, 6])
    assert np.array_equal(batch["driving"][0], first[5]["driving"])


def test_a_training_sample_has_two_frames_of_one_figure():
    sample = MovingSpritesDataset(size=32)[0]
    assert sample["source"].shape == sample["driving"].shape == (3, 32, 32)
    assert sample["source"].dtype == np.float32
    assert 0 <= sample["source"].min() < sample["source"].max() <= 1
    assert not np.array_equal(sample["pose_source"], sample["pose_driving"])
    # The corners show the background, which does not move.
    assert np.array_equal(sample["source"][:, 0, 0], sample["driving"][:, 0, 0])


def test_the_test_has_whole_clips_of_others():
    sample = MovingSpritesDataset("test", size=32, frames=5)[0]
    assert sample["video"].shape == (3, 5, 32, 32)
    assert sample["pose"].shape == (5, len(POSE))
    assert figure(0) != figure(1_000_000)
    shown = figure(sample["clip"])
    last = np.rint(sample["video"][:, -1].transpose(1, 2, 0) * 255)
    assert np.array_equal(last, draw(shown, sample["pose"][-1], 32))


@pytest.mark.parametrize("options", [{"mode": "val"}, {"size": 8}, {"frames": 1}, {"samples": 0}])
def test_arguments_are_checked(options):
    with pytest.raises(ConfigError, match="MovingSpritesDataset"):
        MovingSpritesDataset(**options)


def test_it_ends():
    with pytest.raises(IndexError):
        MovingSpritesDataset(samples=2)[2]
