# SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import pytest

from ppzoo.data.motion import FirstOrderDataset
from ppzoo.data.paired import PairedRandomHorizontalFlip
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image


def make(root, names=("id1#a", "id1#b", "id2#a"), frames=12, phase="train"):
    """Write folders of frames whose red tells their number."""
    for name in names:
        folder = root / phase / name
        folder.mkdir(parents=True)
        for number in range(frames):
            picture = np.zeros([16, 20, 3], np.uint8)
            picture[:, :10] = [10 * number, 0, 0]
            write_image(folder / f"{number}.png", picture)


def dataset(root, **options):
    return FirstOrderDataset(str(root), **{"frame_shape": [16, 20, 3]} | options)


def test_a_sample_has_two_frames_in_their_order(tmp_path):
    make(tmp_path)
    random.seed(0)
    data = dataset(tmp_path)
    assert len(data) == 3
    for _ in range(5):
        sample = data[0]
        assert sample["source"].shape == (3, 16, 20)
        assert sample["source"].dtype == np.float32
        assert sample["driving"][0, 0, 0] <= sample["source"][0, 0, 0]
        assert sample["name"] == "id1#a"


def test_time_may_flip(tmp_path):
    make(tmp_path)
    random.seed(0)
    data = dataset(tmp_path, time_flip=True)
    steps = [s["driving"][0, 0, 0] - s["source"][0, 0, 0] for s in (data[0] for _ in range(20))]
    assert min(steps) < 0 < max(steps)


def test_videos_of_a_person_take_turns(tmp_path):
    make(tmp_path)
    random.seed(0)
    data = dataset(tmp_path, id_sampling=True, num_repeats=2)
    assert len(data) == 4
    assert {data[0]["name"] for _ in range(20)} == {"id1#a", "id1#b"}


def test_transforms_treat_both_frames_alike(tmp_path):
    make(tmp_path)
    flip = PairedRandomHorizontalFlip(prob=1.0, keys=["image", "image"])
    sample = dataset(tmp_path, transforms=[flip])[0]
    for key in ("source", "driving"):
        assert (sample[key][0, :, :10] == 0).all()


def test_the_test_has_whole_videos_in_numeric_order(tmp_path):
    make(tmp_path, names=["v"], phase="test")
    sample = dataset(tmp_path, phase="test")[0]
    assert np.allclose(sample["video"][0, :, 0, 0] * 255, 10 * np.arange(12))
    assert not dataset(tmp_path, phase="test").is_random
    few = dataset(tmp_path, phase="test", max_frames=3, frame_shape=[8, 8, 3])[0]
    assert few["video"].shape == (3, 3, 8, 8)


def test_missing_videos_are_said(tmp_path):
    with pytest.raises(DataError, match="needs the subfolders train and test"):
        dataset(tmp_path)
    (tmp_path / "train" / "empty").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no frames"):
        dataset(tmp_path)[0]


@pytest.mark.parametrize(
    "options",
    [
        {"phase": "val"},
        {"create_frames_folder": True},
        {"frame_shape": [256, 256]},
        {"num_repeats": 0},
    ],
)
def test_arguments_are_checked(tmp_path, options):
    make(tmp_path)
    with pytest.raises(ConfigError, match="FirstOrderDataset"):
        dataset(tmp_path, **options)
