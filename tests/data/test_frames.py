# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ppzoo.data.frames import padded_numbers
from ppzoo.data.preprocess import run
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image
from ppzoo.registry import PREPROCESS, build


def step(name: str, **arguments):
    return build(PREPROCESS, {"name": name, **arguments})


def numbers(paths: list[str]) -> list[int]:
    return [int(os.path.basename(path).split(".")[0]) for path in paths]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for number in range(6):
        frame = np.full((4, 6, 3), 10 * number, np.uint8)
        frame[..., 0] = 200
        (tmp_path / "003").mkdir(exist_ok=True)
        write_image(tmp_path / "003" / f"{number:08d}.png", frame)
    return tmp_path


def start(folder: object, key: str = "003/00000001", **more: object) -> dict:
    return {"key": key, "lq_path": str(folder), "gt_path": str(folder), "num_frames": 5, **more}


def test_frames_are_chosen_and_read_in_order(clip: Path) -> None:
    steps = [
        step("GetFrameIdxwithPadding", padding="reflection_circle"),
        step("ReadImageSequence", key="lq"),
        step("ReadImageSequence", key="gt"),
    ]
    sample = run(steps, start(clip, max_frame_num=6))
    assert [int(frame[0, 0, 1]) for frame in sample["lq"]] == [40, 0, 10, 20, 30]
    assert [int(frame[0, 0, 1]) for frame in sample["gt"]] == [10]
    assert all(frame[0, 0, 0] == 200 for frame in sample["lq"])
    assert sample["gt_path"] == [str(clip / "003" / "00000001.png")]
    assert sample["lq_ori_shape"].tolist() == [[4, 6, 3]] * 5


def test_frames_can_be_read_grey_bgr_and_be_kept(clip: Path) -> None:
    paths = [clip / "003" / "00000001.png"] * 2
    sample = step("ReadImageSequence", key="x", to_rgb=False, save_original_img=True)(
        {"x_path": paths}
    )
    assert sample["x"][1][0, 0].tolist() == [10, 10, 200]
    assert sample["ori_x"][1] is not sample["x"][1]
    assert np.array_equal(sample["ori_x"], sample["x"])
    assert sample["x_path"] == [str(path) for path in paths]
    grey = step("ReadImageSequence", key="x", flag=0)({"x_path": paths})["x"]
    assert grey[0].shape == (4, 6, 1)


def test_a_missing_frame_is_named_beside_those_that_are_there(clip: Path) -> None:
    read = step("ReadImageSequence", key="lq")
    with pytest.raises(DataError, match=r"00000006\.png is missing in .*003.* 6 files, 00000000"):
        read({"lq_path": [str(clip / "003" / "00000006.png")]})
    with pytest.raises(DataError, match="does not exist"):
        read({"lq_path": [str(clip / "004" / "00000006.png")]})
    with pytest.raises(DataError, match="GetFrameIdx"):
        read({"lq_path": str(clip)})
    write_image(clip / "003" / "00000005.png", np.zeros((4, 7, 3), np.uint8))
    with pytest.raises(DataError, match=r"6 x 4 in .*00000000.png, 7 x 4 in .*00000005.png"):
        read({"lq_path": [str(clip / "003" / f"0000000{n}.png") for n in (0, 5)]})


@pytest.mark.parametrize(
    ("padding", "first", "last"),
    [
        ("replicate", [0, 0, 0, 1, 2], [7, 8, 9, 9, 9]),
        ("reflection", [2, 1, 0, 1, 2], [7, 8, 9, 8, 7]),
        ("reflection_circle", [4, 3, 0, 1, 2], [7, 8, 9, 6, 5]),
        ("circle", [3, 4, 0, 1, 2], [7, 8, 9, 5, 6]),
    ],
)
def test_paddings(padding: str, first: list[int], last: list[int]) -> None:
    assert padded_numbers(0, 5, 10, padding) == first
    assert padded_numbers(9, 5, 10, padding) == last
    assert padded_numbers(4, 5, 10, padding) == [2, 3, 4, 5, 6]
    for length in (5, 7):
        for centre in range(length):
            chosen = padded_numbers(centre, 5, length, padding)
            assert chosen[2] == centre
            assert set(chosen) <= set(range(length))


def test_clips_that_are_too_short_for_a_padding_are_named() -> None:
    assert padded_numbers(0, 5, 1, "replicate") == [0] * 5
    with pytest.raises(ValueError, match="2 frames is too short for 5 frames around frame 0"):
        padded_numbers(0, 5, 2, "reflection")
    pad = step("GetFrameIdxwithPadding", padding="reflection_circle")
    with pytest.raises(DataError, match=r"lq/003: a clip of 3 frames"):
        pad(start("lq", max_frame_num=3))
    with pytest.raises(DataError, match=r"no frame 12 in a clip of 10 frames, 0 to 9"):
        pad(start("lq", "003/00000012", max_frame_num=10))
    with pytest.raises(DataError, match="'003' does not name a frame"):
        pad(start("lq", "003", max_frame_num=10))


def test_training_draws_another_centre_where_neighbours_are_missing() -> None:
    choose = step("GetFrameIdx", interval_list=[1, 2], frames_per_clip=9)
    np.random.seed(0)
    centres, intervals = set(), set()
    for _ in range(300):
        sample = choose(start("lq", "003/00000000"))
        chosen = numbers(sample["lq_path"])
        (centre,) = numbers(sample["gt_path"])
        assert np.diff(chosen).tolist() == [sample["interval"]] * 4
        assert chosen[2] == centre
        assert min(chosen) >= 0
        assert max(chosen) <= 9
        centres.add(centre)
        intervals.add(sample["interval"])
    assert centres == set(range(2, 8))
    assert intervals == {1, 2}
    kept = choose(start("lq", "003/00000005"))
    assert kept["gt_path"] == [os.path.join("lq", "003", "00000005.png")]
    with pytest.raises(ConfigError, match="0 to 3"):
        step("GetFrameIdx", interval_list=[1], frames_per_clip=3)(start("lq"))


def test_successive_frames_are_the_same_of_both_folders() -> None:
    choose = step(
        "GetNeighboringFramesIdx", interval_list=[2], start_idx=1, filename_tmpl="im{}.png"
    )
    np.random.seed(1)
    begun = set()
    for _ in range(60):
        sample = {"key": "a", "lq_path": "lq", "gt_path": "gt", "sequence_length": 10}
        sample = choose(sample | {"num_frames": 4})
        chosen = [int(Path(path).stem[2:]) for path in sample["lq_path"]]
        assert np.diff(chosen).tolist() == [2, 2, 2]
        assert [path.replace("gt", "lq") for path in sample["gt_path"]] == sample["lq_path"]
        begun.add(chosen[0])
    assert begun == {1, 2, 3}
    whole = step("GetNeighboringFramesIdx", interval_list=[1])
    paths = whole({"key": "a", "lq_path": "lq", "gt_path": "gt", "sequence_length": 3})["gt_path"]
    assert paths == [os.path.join("gt", "a", f"0000000{n}.png") for n in range(3)]
    with pytest.raises(DataError, match=r"lq/a has 7 frames, too few for 4 at an interval of 2"):
        choose({**sample, "lq_path": "lq", "sequence_length": 7})


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("GetFrameIdx", {"interval_list": []}, "'interval_list'"),
        ("GetFrameIdx", {"interval_list": [0]}, "'interval_list'"),
        ("GetNeighboringFramesIdx", {"interval_list": 1}, "'interval_list'"),
        ("GetFrameIdxwithPadding", {"padding": "mirror"}, "reflection_circle, circle"),
        ("GetFrameIdxwithPadding", {"padding": "circle", "filename_tmpl": "a"}, "'filename_tmpl'"),
        ("GetNeighboringFramesIdx", {"interval_list": [1], "filename_tmpl": "{a}"}, "tmpl"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(name: str, arguments: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        step(name, **arguments)
