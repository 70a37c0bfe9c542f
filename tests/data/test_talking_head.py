# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.data.talking_head import TalkingHeadDataset, make_clip
from ppzoo.errors import ConfigError
from ppzoo.media.mel import column_of
from ppzoo.media.mouths import mouth_opening

OPTIONS = {"samples": 6, "clips": 3, "frames": 20}


def test_samples_are_a_function_of_their_index():
    data = TalkingHeadDataset(**OPTIONS)
    first, batch = data[4], data.get_batch([4, 5])
    for key, value in first.items():
        assert np.array_equal(value, batch[key][0])
    assert not np.array_equal(batch["y"][0], batch["y"][1])
    assert not np.array_equal(first["y"], TalkingHeadDataset("test", **OPTIONS)[4]["y"])


def test_a_sample_is_one_of_wav2lips():
    sample = TalkingHeadDataset(**OPTIONS)[0]
    shapes = {key: value.shape for key, value in sample.items()}
    assert shapes == {
        "x": (6, 5, 96, 96),
        "indiv_mels": (5, 1, 80, 16),
        "mel": (1, 80, 16),
        "y": (3, 5, 96, 96),
        "opening": (5,),
        "other_opening": (5,),
    }
    assert np.array_equal(sample["x"][:3, :, :48], sample["y"][:, :, :48])
    assert (sample["x"][:3, :, 48:] == 0).all()
    assert not np.array_equal(sample["x"][3:], sample["y"])


def test_the_sound_is_that_of_the_frames():
    data = TalkingHeadDataset(**OPTIONS)
    clip, sample = data.clip(0), data[0]
    starts = [
        start
        for start in range(20 - 5)
        if np.array_equal(clip.speech.opening[start : start + 5], sample["opening"])
        and np.array_equal(
            clip.draw(start)[..., ::-1].transpose(2, 0, 1) / np.float32(255), sample["y"][:, 0]
        )
    ]
    (start,) = starts
    column = column_of(start, 25)
    assert np.array_equal(sample["mel"][0], clip.mel[:, column : column + 16])
    column = column_of(start + 2 - 1, 25)
    assert np.array_equal(sample["indiv_mels"][2, 0], clip.mel[:, column : column + 16])


def test_sounds_around_are_those_of_other_frames():
    data = TalkingHeadDataset("test", **OPTIONS, reach=4)
    sample, plain = data[4], TalkingHeadDataset("test", **OPTIONS)[4]
    assert all(np.array_equal(sample[key], value) for key, value in plain.items())
    assert sample["clip"] == 1
    assert sample["mels_around"].shape == (9, 1, 80, 16)
    assert np.array_equal(sample["mels_around"][4], sample["mel"])
    mel = data.clip(4).mel
    column = next(c for c in range(64) if np.array_equal(mel[:, c : c + 16], sample["mel"][0]))
    (start,) = [frame for frame in range(20) if column_of(frame, 25) == column]
    frames = np.arange(start - 4, start + 5)
    ends = [column_of(frame, 25) + 16 for frame in frames]
    known = (frames >= 0) & (np.array(ends) <= mel.shape[1])
    assert np.array_equal(sample["has_sound"], known)
    assert 4 < known.sum() < 9
    for place in np.flatnonzero(known):
        there = mel[:, ends[place] - 16 : ends[place]]
        assert np.array_equal(sample["mels_around"][place, 0], there)


def test_whole_clips_come_window_by_window_with_another_sound():
    data = TalkingHeadDataset("test", clips=2, frames=23, whole=True)
    assert len(data) == 2 * 4  # from frames 1, 6, 11 and 16 on
    batch = data.get_batch(range(8))
    assert batch["clip"].tolist() == [0] * 4 + [1] * 4
    clips = [data.clip(0), data.clip(4)]
    assert clips[0] is not clips[1]
    for number, clip in enumerate(clips):
        rows = slice(4 * number, 4 * number + 4)
        assert np.array_equal(batch["opening"][rows].ravel(), clip.speech.opening[1:21])
        first = np.stack([clip.draw(frame)[..., ::-1] for frame in (1, 6, 11, 16)])
        assert np.array_equal(batch["y"][rows, :, 0], first.transpose(0, 3, 1, 2) / np.float32(255))
        others = slice(4 - 4 * number, 8 - 4 * number)
        assert np.array_equal(batch["other_sound"][rows], batch["indiv_mels"][others])
        assert np.array_equal(batch["opening_other_sound"][rows], batch["opening"][others])


def test_whole_clips_can_have_sounds_around():
    sample = TalkingHeadDataset("test", clips=2, frames=20, whole=True, reach=2)[1]
    assert np.array_equal(sample["mels_around"][2], sample["mel"])


def test_people_speak_in_the_training_and_in_the_test():
    train, test = (
        TalkingHeadDataset(mode, samples=4, clips=4, frames=20, people=2)
        for mode in ("train", "test")
    )
    heads = [train.clip(i).head for i in range(4)]
    assert heads[0] == heads[2] == test.clip(0).head
    assert heads[1] == heads[3] == test.clip(3).head
    assert heads[0] != heads[1]
    for first, second in ((train.clip(0), train.clip(2)), (train.clip(0), test.clip(0))):
        assert not np.array_equal(first.poses, second.poses)
        assert not np.array_equal(first.speech.opening, second.speech.opening)


def test_the_opening_of_a_mouth_can_be_measured():
    for number in (0, 1, 2):
        clip = make_clip(number, 50)
        pictures = np.stack([clip.draw(frame) for frame in range(50)]).transpose(0, 3, 1, 2) / 255
        assert np.corrcoef(mouth_opening(pictures), clip.speech.opening)[0, 1] > 0.9


def test_the_task_motion_has_poses():
    sample = TalkingHeadDataset("train", "motion", **OPTIONS, size=48)[1]
    assert sample["source"].shape == sample["driving"].shape == (3, 48, 48)
    assert sample["pose_source"].shape == (6,)
    whole = TalkingHeadDataset("test", "motion", samples=2, frames=15, size=32)[0]
    assert whole["video"].shape == (3, 15, 32, 32)
    assert whole["pose"].shape == (15, 6)


def test_heads_sway_farther_and_do_the_rest_as_ever():
    options = {"mode": "test", "task": "motion", "samples": 2, "frames": 15, "size": 32}
    usual, farther, still = (TalkingHeadDataset(**options, sway=s)[1] for s in (1, 2.5, 0))
    turned = usual["pose"] - [0.5, 0.5, 0, 0, 0, 0]
    expected = turned * [2.5, 2.5, 1, 2.5, 1, 1] + [0.5, 0.5, 0, 0, 0, 0]
    np.testing.assert_allclose(farther["pose"], expected, atol=1e-6)
    assert np.ptp(still["pose"][:, [0, 1, 3]]) == pytest.approx(0.5)  # all at 0.5, upright
    moves = [np.abs(np.diff(d["video"], axis=1)).mean() for d in (still, usual, farther)]
    assert moves[0] < moves[1] < moves[2]


@pytest.mark.parametrize(
    "options",
    [
        *({"mode": "val"}, {"task": "sing"}, {"frames": 10}, {"size": 8}, {"reach": -1}),
        *({"whole": True, "samples": 3}, {"whole": True, "task": "motion"}),
        *({"whole": True, "clips": 1}, {"people": 0}, {"sway": -1}),
    ],
)
def test_arguments_are_checked(options):
    with pytest.raises(ConfigError, match="TalkingHeadDataset"):
        TalkingHeadDataset(**options)


def test_it_ends():
    with pytest.raises(IndexError):
        TalkingHeadDataset(**OPTIONS)[6]
