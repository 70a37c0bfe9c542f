# SPDX-License-Identifier: Apache-2.0
"""Pictures and films of lip-sync models show what they say they show."""

import numpy as np
import pytest

from ppzoo.config import load_config
from ppzoo.engine.trainer import Trainer
from tests.runs import SMOKE
from tools import talking_pictures
from tools.talking_pictures import lips_film, lips_picture, sync_picture

WHOLE = ["dataset.test.samples=null", "dataset.test.frames=15", "dataset.test.whole=True"]


@pytest.fixture(scope="module")
def lips(tmp_path_factory):
    config = load_config(SMOKE / "wav2lip.yaml", [*WHOLE, "dataset.test.batch_size=3"])
    return Trainer(config, run_dir=tmp_path_factory.mktemp("run"))


def test_clips_are_put_together_whatever_the_batch(lips):
    assert len(lips.evaluator.loader.dataset) == 4  # two windows of two clips: batches of 3 and 1
    clips = list(talking_pictures._clips(lips))
    assert [len(clip["real"]) for clip in clips] == [10, 10]
    data = lips.evaluator.loader.dataset
    for number, clip in enumerate(clips):
        truth = [data.clip(2 * number).draw(frame) for frame in range(1, 11)]
        seen = (clip["real"].transpose(0, 2, 3, 1) + 1) * 127.5
        assert np.allclose(seen, truth, atol=0.01)


def test_a_film_of_two_clips(lips):
    frames, fps = lips_film(lips, None)
    assert fps == 12.5
    assert frames.shape[0] == 5
    assert frames.dtype == np.uint8
    truth = lips.evaluator.loader.dataset.clip(0).draw(1).repeat(2, axis=0).repeat(2, axis=1)
    top, width = frames.shape[1] - 2 * (192 + 6), 192 + 6
    assert np.array_equal(frames[0, top : top + 192, 6 + 2 * width : 2 * width + 198], truth)


def test_a_picture_of_a_clip(lips):
    picture = lips_picture(lips, None)
    assert picture.shape == (4 * (96 + 20) + 150 + 20, 2 * 96, 3)


def test_a_picture_of_what_the_expert_says(tmp_path):
    options = ["dataset.test.reach=2", "dataset.test.samples=4", "dataset.test.batch_size=4"]
    trainer = Trainer(load_config(SMOKE / "syncnet.yaml", options), run_dir=tmp_path)
    picture = sync_picture(trainer, trainer)
    assert picture.shape[0] == 4 * (96 + 20) + 150 + 20
    assert picture.dtype == np.uint8


def test_curves_stand_at_their_values():
    plot = talking_pictures._plot({"a": [0.0, 1.0, 0.0], "b": [0.5] * 3}, 101, 122, (0.0, 1.0))
    first, second = (np.array(colour) for colour in talking_pictures._COLOURS[:2])
    at_top = np.argwhere((plot[20:24] == first).all(axis=2))
    assert at_top.size
    assert np.all(np.abs(at_top[:, 1] - 50) < 5)
    middle = np.argwhere((plot[30:] == second).all(axis=2))[:, 0] + 30
    assert np.all(np.abs(middle - 70) <= 2)
