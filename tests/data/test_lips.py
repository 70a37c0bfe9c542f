# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.io import wavfile

from ppzoo.data.lips import Wav2LipDataset, sound_of
from ppzoo.errors import DataError
from ppzoo.media.image import write_image
from ppzoo.media.mel import melspectrogram


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


def test_sounds_of_other_rates_are_resampled(tmp_path):
    folder = make(tmp_path, rate=44100)
    mel = sound_of(folder / "audio.wav")
    tone = 3000 / 32768 * np.sin(2 * np.pi * 440 * np.arange(12800) / 16000)
    expected = melspectrogram(tone)
    assert mel.shape == expected.shape
    assert np.abs(mel[:20, 5:-5] - expected[:20, 5:-5]).max() < 0.1


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
