# SPDX-License-Identifier: Apache-2.0
import numpy as np

from ppzoo.data.speech import speak
from ppzoo.media.mel import melspectrogram


def test_it_is_the_same_each_time():
    first, again, other = speak(1, 25), speak(1, 25), speak(2, 25)
    assert np.array_equal(first.wav, again.wav)
    assert not np.array_equal(first.wav, other.wav)


def test_sound_and_mouth_have_the_clips_length():
    said = speak(0, 50)
    assert said.wav.shape == (32000,)
    assert said.opening.shape == said.spread.shape == (50,)
    assert np.abs(said.wav).max() <= 1
    assert 0 <= said.opening.min() <= said.opening.max() <= 1


def test_an_open_mouth_is_loud():
    said = speak(4, 100)
    frames = said.wav.reshape(100, 640)
    loudness = np.sqrt((frames**2).mean(axis=1))
    assert np.corrcoef(loudness, said.opening)[0, 1] > 0.7


def test_spread_lips_are_bright():
    brightness, spread = [], []
    for number in range(3):
        said = speak(number, 100)
        energy = 10 ** (melspectrogram(said.wav) * 100 / 8 / 10)  # of decibels
        share = energy[37:57].sum(axis=0) / energy.sum(axis=0)  # from 1.5 to 3 kHz
        loud = said.opening > 0.25
        brightness.append(share[(np.arange(100) * 80 / 25).astype(int)][loud])
        spread.append(said.spread[loud])
    assert np.corrcoef(np.concatenate(brightness), np.concatenate(spread))[0, 1] > 0.5
