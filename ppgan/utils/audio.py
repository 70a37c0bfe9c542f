# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's sounds and spectrograms."""

from __future__ import annotations

import io

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.media.mel import audio_config, linearspectrogram, melspectrogram
from ppzoo.media.video import read_audio

__all__ = ["get_hop_size", "linearspectrogram", "load_wav", "melspectrogram", "save_wav"]


def load_wav(path: str, sr: int) -> np.ndarray:
    """Return a sound, float32 [T] in [-1, 1], at `sr` samples a second."""
    return read_audio(path, rate=sr)


def save_wav(wav: np.ndarray, path: str, sr: int) -> None:
    """Write a sound [T] as a WAV file of 16 bits, as loud as it can be.

    Args:
        wav: the sound; unlike PaddleGAN, it stays as it is.
        path: of the file.
        sr: samples a second.
    """
    from scipy.io import wavfile

    loudest = max(0.01, float(np.abs(wav).max()))
    content = io.BytesIO()
    wavfile.write(content, sr, np.rint(wav * (32767 / loudest)).astype(np.int16))
    with atomic_write(path) as file:
        file.write(content.getvalue())


def get_hop_size() -> int:
    """Return how many samples lie between two columns of a spectrogram."""
    return int(audio_config()["hop_size"])
