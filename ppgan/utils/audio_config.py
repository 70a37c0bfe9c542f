# SPDX-License-Identifier: Apache-2.0
"""The numbers of PaddleGAN's spectrograms."""

from __future__ import annotations

from ppgan.utils.config import AttrDict
from ppzoo.media.mel import audio_config

__all__ = ["get_audio_config"]


def get_audio_config() -> AttrDict:
    """Return the numbers by name; changing them changes nothing."""
    return AttrDict(audio_config())
