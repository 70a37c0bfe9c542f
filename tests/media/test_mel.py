# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.errors import DataError
from ppzoo.media.mel import (
    column_of,
    linearspectrogram,
    mel_pieces,
    melspectrogram,
    windows_of,
)


def tone(hertz, seconds=1.0):
    return 0.01 * np.sin(2 * np.pi * hertz * np.arange(round(16000 * seconds)) / 16000)


def test_silence_is_the_lowest_value():
    mel = melspectrogram(np.zeros(16000))
    assert mel.shape == (80, 81)
    assert mel.dtype == np.float32
    assert (mel == -4).all()


def test_a_higher_tone_is_in_a_higher_band():
    bands = [melspectrogram(tone(hertz))[:, 40].argmax() for hertz in (200, 1000, 4000)]
    assert bands == sorted(set(bands))


def test_a_tone_is_at_its_frequency():
    assert linearspectrogram(tone(2000))[:, 40].argmax() == 2000 * 800 // 16000


def test_ten_times_louder_is_twenty_decibels():
    quiet, loud = (melspectrogram(volume * tone(500))[:, 40].max() for volume in (1, 10))
    assert loud - quiet == pytest.approx(20 * 8 / 100, abs=0.01)


@pytest.mark.parametrize("wav", [np.zeros(400), np.zeros([2, 16000])])
def test_what_is_no_sound_is_refused(wav):
    with pytest.raises(DataError, match="one channel of 401 samples or more"):
        melspectrogram(wav)


def test_windows_begin_with_their_frames():
    mel = np.arange(100)[np.newaxis] + np.zeros([80, 1])
    assert column_of(25, 25.0) == 80
    assert column_of(1, 29.97) == 2
    windows = windows_of(mel, np.array([3, 95, -2]))
    assert windows.shape == (3, 80, 16)
    assert windows[0, 0].tolist() == list(range(3, 19))
    assert windows[1, 0, -1] == 99
    assert windows[2, 0, :3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [401, 402, 799, 800, 1001, 16000, 200_123])
@pytest.mark.parametrize("chunk", [1, 7, 1024, 70_001])
def test_pieces_are_parts_of_the_whole(size, chunk):
    size = min(size, 2001 * chunk)  # a sample at a time takes its time
    wav = 0.3 * np.random.default_rng(size).standard_normal(size).clip(-3, 3).astype(np.float32)
    pieces = list(mel_pieces(wav[i : i + chunk] for i in range(0, size, chunk)))
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), melspectrogram(wav), atol=1e-6)


def test_pieces_are_small():
    widths = [piece.shape[1] for piece in mel_pieces(np.zeros(1000) for _ in range(1000))]
    assert max(widths) < 400
    assert sum(widths) == 1 + 1_000_000 // 200


def test_what_is_too_short_in_pieces_is_refused():
    with pytest.raises(DataError, match="401 samples or more"):
        list(mel_pieces([np.zeros(200), np.zeros(0), np.zeros(200)]))
