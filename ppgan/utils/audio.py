# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's spectrograms."""

from __future__ import annotations

import numpy as np

from ppzoo.media.mel import linearspectrogram, melspectrogram
from ppzoo.media.video import read_audio

__all__ = ["linearspectrogram", "load_wav", "melspectrogram"]


def load_wav(path: str, sr: int) -> np.ndarray:
    """Return a sound, float32 [T] in [-1, 1], at `sr` samples a second."""
    return read_audio(path, rate=sr)
