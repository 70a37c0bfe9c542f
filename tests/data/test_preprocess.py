# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.preprocess: from a path to the arrays of a sample."""

import numpy as np
import pytest

from ppzoo.data.paired import SRPairedRandomCrop
from ppzoo.data.preprocess import LoadImageFromFile, SplitPairedImage, Transforms, is_random, run
from ppzoo.data.transforms import RandomHorizontalFlip, Transpose
from ppzoo.errors import ConfigError, DataError, UnknownNameError
from ppzoo.media.image import write_image
from ppzoo.registry import PREPROCESS, build

STAGES = [
    {"name": "LoadImageFromFile", "key": "pair"},
    {"name": "SplitPairedImage", "key": "pair", "paired_keys": ["A", "B"]},
    {
        "name": "Transforms",
        "input_keys": ["A", "B"],
        "pipeline": [
            {"name": "Resize", "size": [4, 4], "keys": ["image", "image"]},
            {"name": "Transpose", "keys": ["image", "image"]},
            {"name": "Normalize", "mean": 127.5, "std": 127.5, "keys": ["image", "image"]},
        ],
    },
]


@pytest.fixture
def pair(tmp_path):
    image = np.zeros((6, 12, 3), np.uint8)
    image[:, :6] = [255, 0, 0]
    write_image(tmp_path / "pair.png", image)
    return str(tmp_path / "pair.png")


def test_a_configs_steps_turn_a_file_into_two_normalised_pictures(pair):
    sample = run([build(PREPROCESS, stage) for stage in STAGES], {"pair_path": pair})
    assert sample["A"].shape == sample["B"].shape == (3, 4, 4)
    np.testing.assert_array_equal(sample["A"][:, 0, 0], [1, -1, -1])
    np.testing.assert_array_equal(sample["B"], -1)
    assert sample["A_path"] == sample["B_path"] == pair
    assert "pair" not in sample


def test_loading_gives_rgb_bgr_or_grey(pair):
    colour = LoadImageFromFile("x")({"x_path": pair})
    np.testing.assert_array_equal(colour["x"][0, 0], [255, 0, 0])
    np.testing.assert_array_equal(colour["x_ori_shape"], [6, 12, 3])
    swapped = LoadImageFromFile("x", to_rgb=False, save_original_img=True)({"x_path": pair})
    np.testing.assert_array_equal(swapped["x"][0, 0], [0, 0, 255])
    np.testing.assert_array_equal(swapped["ori_x"], swapped["x"])
    assert LoadImageFromFile("x", flag=0)({"x_path": pair})["x"].shape == (6, 12, 1)


def test_loading_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png"):
        LoadImageFromFile()({"image_path": tmp_path / "gone.png"})


def test_splitting_gives_the_odd_column_to_the_right():
    sample = SplitPairedImage("p", ["l", "r"])({"p": np.zeros((2, 7, 3)), "p_path": "x"})
    assert (sample["l"].shape[1], sample["r"].shape[1]) == (3, 4)


def test_splitting_refuses_what_it_cannot_split():
    with pytest.raises(DataError, match=r"thin\.png is one pixel wide"):
        SplitPairedImage("p")({"p": np.zeros((2, 1, 3)), "p_path": "thin.png"})
    with pytest.raises(ConfigError, match="two names"):
        SplitPairedImage("p", ["A"])


def test_transforms_write_more_keys_than_they_read():
    small, large = np.zeros((4, 4, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)
    step = Transforms(
        [SRPairedRandomCrop(4, 8, scale_list=True)], ["lq", "gt"], ["lq", "lqx2", "gt"]
    )
    sample = step({"lq": small, "gt": large})
    assert [sample[key].shape[0] for key in ("lq", "lqx2", "gt")] == [2, 4, 8]


def test_transforms_refuse_absent_keys_and_another_number_of_results():
    with pytest.raises(DataError, match=r"no entry 'B'.*only A"):
        Transforms([Transpose()], ["A", "B"])({"A": np.zeros((2, 2, 3))})
    step = Transforms([SRPairedRandomCrop(4, 8, scale_list=True)], ["lq", "gt"])
    with pytest.raises(DataError, match="returns 3 pictures for the 2 keys"):
        step({"lq": np.zeros((4, 4, 3), np.uint8), "gt": np.zeros((16, 16, 3), np.uint8)})


def test_steps_say_whether_they_are_random():
    fixed = Transforms([Transpose()], ["A"])
    drawn = Transforms([Transpose(), RandomHorizontalFlip()], ["A"])
    assert not is_random([LoadImageFromFile(), SplitPairedImage("A"), fixed])
    assert is_random([LoadImageFromFile(), drawn])
    assert is_random([lambda sample: sample])


def test_an_unknown_transform_in_a_pipeline_is_named():
    spec = {"name": "Transforms", "input_keys": ["A"], "pipeline": [{"name": "Resizee"}]}
    with pytest.raises(UnknownNameError, match="did you mean 'Resize'"):
        build(PREPROCESS, spec)
