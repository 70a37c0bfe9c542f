# SPDX-License-Identifier: Apache-2.0
import warnings

import numpy as np
import pytest
from scipy.io import wavfile

from ppzoo.data.lips import Wav2LipDataset, sound_of
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import write_image
from ppzoo.media.mel import column_of, melspectrogram


def make(root, name="clip", frames=20, seconds=0.8, rate=16000, side=32):
    """Write a folder of faces, whose red tells their number, and their sound."""
    folder = root / "data" / name
    folder.mkdir(parents=True)
    for number in range(frames):
        face = np.full([side, side, 3], [10 * number, 0, 0], np.uint8)
        write_image(folder / f"{number}.jpg", face)
    tone = np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    wavfile.write(folder / "audio.wav", rate, np.int16(3000 * tone))
    (root / "train.txt").write_text(f"{name} 12\n", encoding="utf-8")
    return folder


def dataset(root, **options):
    return Wav2LipDataset(str(root / "data"), str(root), "train", img_size=16, **options)


def test_a_sample_is_one_of_wav2lips(tmp_path):
    make(tmp_path)
    sample = dataset(tmp_path)[0]
    shapes = {key: value.shape for key, value in sample.items()}
    assert shapes == {
        "x": (6, 5, 16, 16),
        "indiv_mels": (5, 1, 80, 16),
        "mel": (1, 80, 16),
        "y": (3, 5, 16, 16),
    }
    assert all(value.dtype == np.float32 for value in sample.values())
    reds = np.rint(sample["y"][2, :, 0, 0] * 255 / 10)  # blue comes first
    assert np.array_equal(np.diff(reds), np.ones(4))
    assert np.array_equal(sample["x"][:3, :, :8], sample["y"][:, :, :8])
    assert (sample["x"][:3, :, 8:] == 0).all()
    other = np.rint(sample["x"][5, 0, 0, 0] * 255 / 10)
    assert abs(other - reds[0]) >= 5


def test_lists_may_lie_in_the_data_and_names_may_have_spaces(tmp_path):
    folder = make(tmp_path, name="my clip")
    (tmp_path / "train.txt").unlink()
    (tmp_path / "data" / "train.txt").write_text("my clip\n", encoding="utf-8")
    assert dataset(tmp_path).paths == [folder]


def test_sounds_around_are_those_of_other_frames(tmp_path):
    folder = make(tmp_path, frames=25, seconds=1.0)
    rate, sweep = 16000, np.linspace(0, 1, 16000)
    wavfile.write(folder / "audio.wav", rate, np.int16(3000 * np.sin(900 * sweep**2)))
    data = dataset(tmp_path, reach=15, windows=3)
    assert len(data) == 3
    mel = sound_of(folder / "audio.wav")
    seen = set()
    for index in (0, 1, 2, 0, 1, 2):
        sample = data[index]
        start = int(np.rint(sample["y"][2, 0, 0, 0] * 25.5))
        seen.add(start)
        assert sample["clip"] == 0
        assert sample["mels_around"].shape == (31, 1, 80, 16)
        assert np.array_equal(sample["mels_around"][15], sample["mel"])
        for place in range(31):
            frame = start + place - 15
            column = column_of(frame, 25)
            inside = frame >= 0 and column + 16 <= mel.shape[1]
            assert sample["has_sound"][place] == inside
            if inside:
                there = mel[:, column : column + 16]
                assert np.array_equal(sample["mels_around"][place, 0], there)
    assert len(seen) > 1


def test_each_folder_is_a_clip(tmp_path):
    for name in ("a", "b"):
        make(tmp_path, name)
    (tmp_path / "train.txt").write_text("a\nb\n", encoding="utf-8")
    data = dataset(tmp_path, reach=2, windows=2)
    assert [data[index]["clip"] for index in range(4)] == [0, 1, 0, 1]
    assert [data.source(index).split("/")[-1] for index in range(4)] == ["a", "b", "a", "b"]


@pytest.mark.parametrize("options", [{"reach": -1}, {"windows": 0}, {"reach": "far"}])
def test_numbers_are_checked(tmp_path, options):
    make(tmp_path)
    with pytest.raises(ConfigError, match=next(iter(options))):
        dataset(tmp_path, **options)


def test_sounds_of_other_rates_are_resampled(tmp_path):
    folder = make(tmp_path, rate=44100)
    mel = sound_of(folder / "audio.wav")
    tone = 3000 / 32768 * np.sin(2 * np.pi * 440 * np.arange(12800) / 16000)
    expected = melspectrogram(tone)
    assert mel.shape == expected.shape
    assert np.abs(mel[:20, 5:-5] - expected[:20, 5:-5]).max() < 0.1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda raw: raw[:6], "header is damaged"),
        (lambda raw: raw[:30], "header is damaged"),
        (lambda raw: raw[:16], "cannot read the sound"),
        (lambda raw: raw[:1000], "is cut short"),
        (lambda raw: raw[:22] + b"\0\0" + raw[24:], "header is damaged"),  # no channels
        (lambda raw: raw[:4] + b"\0" * 4 + raw[8:], "header is damaged"),  # no bytes
        (lambda raw: raw[:24] + b"\0" * 8 + raw[32:], "a rate of 0"),
    ],
)
def test_damaged_sounds_are_refused(tmp_path, damage, reason):
    path = make(tmp_path) / "audio.wav"
    path.write_bytes(damage(path.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=reason) as raised:
            sound_of(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:4] + b"\xff" * 4 + raw[8:40] + b"\xff" * 4 + raw[44:],  # of a pipe
        lambda raw: raw[:36] + b"what\4\0\0\0ever" + raw[36:],  # a chunk of somebody's
    ],
)
def test_whole_sounds_with_odd_headers_are_read_without_a_warning(tmp_path, change):
    path = make(tmp_path) / "audio.wav"
    expected = sound_of(path)
    sound_of.cache_clear()
    path.write_bytes(change(path.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(sound_of(path), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"frames": 4}, "no 5 frames in a row"),
        ({"frames": 6}, "no two moments of 5 frames"),
        ({"seconds": 0.2}, "no 5 frames in a row"),
        ({"seconds": 0.01}, "401 samples or more"),
    ],
)
def test_videos_that_are_too_short_are_refused(tmp_path, changes, reason):
    make(tmp_path, **changes)
    with pytest.raises(DataError, match=reason):
        dataset(tmp_path)[0]


def test_missing_files_are_said(tmp_path):
    with pytest.raises(DataError, match="cannot read the list"):
        dataset(tmp_path)
    folder = make(tmp_path)
    (folder / "audio.wav").unlink()
    with pytest.raises(DataError, match="cannot read the sound"):
        dataset(tmp_path)[0]
    (tmp_path / "train.txt").write_text("other\n", encoding="utf-8")
    with pytest.raises(DataError, match="is no folder"):
        dataset(tmp_path)
