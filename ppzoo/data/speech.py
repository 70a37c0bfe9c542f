# SPDX-License-Identifier: Apache-2.0
"""Speech-like sound, and the mouth that goes with it: vowels of a made-up language, and pauses.

A mouth that is wide open sounds loud; lips that are spread sound bright. So a network can learn
from the sound how the mouth stands, and another to hear what does not belong to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ppzoo.media.mel import SAMPLE_RATE

# Of each vowel: how far the mouth opens and how wide the lips are spread, both 0 to 1, and the
# two lowest resonances of the throat in hertz.
_VOWELS = (
    (1.0, 0.5, 800.0, 1300.0),
    (0.7, 0.8, 500.0, 1900.0),
    (0.45, 1.0, 300.0, 2400.0),
    (0.65, 0.2, 500.0, 900.0),
    (0.4, 0.0, 320.0, 700.0),
)
# Seconds that a syllable and a pause between words last, least and greatest.
_SYLLABLE, _PAUSE = (0.12, 0.3), (0.15, 0.5)
_SYLLABLES_PER_WORD = 4
_HARMONICS, _SHARPNESS = 30, 90.0
_NOISE = 0.002


class Speech(NamedTuple):
    """Sound and mouth.

    Args:
        wav: float32 [T], 16 kHz, in [-1, 1].
        opening: float32 [frames], how far the mouth is open at the beginning of each frame, 0 to 1.
        spread: float32 [frames], how wide the lips are, 0 to 1.
    """

    wav: np.ndarray
    opening: np.ndarray
    spread: np.ndarray


def speak(number: int, frames: int, fps: float = 25.0) -> Speech:
    """Return what is said in a clip, always the same.

    Args:
        number: of the clip.
        frames: how many it has.
        fps: frames a second.
    """
    random = np.random.RandomState((number, 389))
    seconds = frames / fps
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tracks = _tracks(random, times)
    base = random.uniform(100, 220)
    wobble = 1 + 0.08 * np.sin(2 * np.pi * random.uniform(0.5, 1.5) * times + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(base * wobble) / SAMPLE_RATE
    wav = np.zeros(len(times))
    for harmonic in range(1, _HARMONICS + 1):
        hertz = harmonic * base * wobble
        loud = sum(
            weight / (1 + ((hertz - tracks[name]) / _SHARPNESS) ** 2)
            for name, weight in (("first", 1.0), ("second", 0.6))
        )
        wav += loud * np.sin(harmonic * phase)
    wav *= 0.5 * tracks["opening"] / max(1e-6, np.abs(wav).max())
    wav += _NOISE * random.standard_normal(len(times))
    at = np.minimum(np.rint(np.arange(frames) / fps * SAMPLE_RATE).astype(int), len(times) - 1)
    return Speech(
        wav.astype(np.float32),
        tracks["opening"][at].astype(np.float32),
        tracks["spread"][at].astype(np.float32),
    )


def _tracks(random: np.random.RandomState, times: np.ndarray) -> dict[str, np.ndarray]:
    """Return opening, spread and both resonances [T] at all times [T] in seconds."""
    opening = np.zeros(len(times))
    shares = np.full(len(times), 1e-3)
    others = np.zeros((3, len(times)))
    others += shares * np.array([[0.5], [500.0], [1500.0]])
    now, end = random.uniform(0, 0.2), times[-1] + 1 / SAMPLE_RATE
    while now < end:
        for _ in range(random.randint(1, _SYLLABLES_PER_WORD + 1)):
            length = random.uniform(*_SYLLABLE)
            vowel = _VOWELS[random.randint(len(_VOWELS))]
            here = np.clip((times - now) / length, 0, 1)
            rise = np.sin(np.pi * here) ** 2  # closed, open, closed
            opening = np.maximum(opening, vowel[0] * random.uniform(0.8, 1.0) * rise)
            shares += rise
            others += rise * np.array(vowel[1:])[:, np.newaxis]
            now += 0.8 * length
        now += random.uniform(*_PAUSE)
    spread, first, second = others / shares
    return {"opening": opening, "spread": spread, "first": first, "second": second}
