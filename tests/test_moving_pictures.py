# SPDX-License-Identifier: Apache-2.0
"""Pictures and films of First Order Motion show what they say they show."""

import numpy as np
import pytest

from ppzoo.config import load_config
from ppzoo.engine.trainer import Trainer
from ppzoo.media.sprites import draw, figure
from tests.runs import SMOKE
from tools.moving_pictures import motion_film, motion_picture


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    options = ["dataset.test.frames=6", "dataset.test.samples=4", "dataset.test.batch_size=4"]
    config = load_config(SMOKE / "firstorder.yaml", [*options, "model.eval_animation=True"])
    return Trainer(config, run_dir=tmp_path_factory.mktemp("run"))


def drawn(motion, clip, frame):
    """Return a frame of a held-out clip."""
    sample = motion.evaluator.loader.dataset[clip]
    return draw(figure(sample["clip"]), sample["pose"][frame], 32)


def test_a_film_shows_the_driver_in_the_middle(motion):
    frames, fps = motion_film(motion, None)
    assert fps == 12.5
    assert frames.dtype == np.uint8
    assert len(frames) == 6
    # The second row: the third clip is the driver. Pixels are doubled, margins are 6 wide.
    side, gap = 64, 6
    top, left = frames.shape[1] - 3 * (side + gap), 2 * gap + side
    shown = frames[4, top : top + side, left : left + side]
    wanted = drawn(motion, 2, 4).repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(shown, wanted)


def test_a_picture_shows_what_is_wanted_above_the_result(motion):
    picture = motion_picture(motion, None)
    # Twelve rows; a column for the source, and two of six frames.
    side, gap = 3 * 32, 2
    assert picture.shape == (12 * (side + gap) + gap, 3 * (side + gap) + gap, 3)

    def cell(row, column):
        top, left = (gap + i * (side + gap) for i in (row, column))
        return picture[top : top + side : 3, left : left + side : 3]

    assert np.array_equal(cell(0, 2), drawn(motion, 1, 4))
    assert (cell(1, 0) == 255).all()
    # From the seventh row on videos are remade from their first frames.
    assert np.array_equal(cell(6, 0), drawn(motion, 0, 0))
    assert np.array_equal(cell(8, 2), drawn(motion, 1, 4))
    assert not np.array_equal(cell(9, 2), drawn(motion, 1, 4))
