# SPDX-License-Identifier: Apache-2.0
"""Videos in and out, one picture at a time: what a file holds, its pictures, its sound.

FFmpeg (through PyAV, which brings its own) does the work. `VideoReader` and `VideoWriter` hold a
few pictures at once, whatever the length of the film.
"""

from __future__ import annotations

from ppzoo.media.video.probe import VideoInfo, probe
from ppzoo.media.video.reader import VideoReader
from ppzoo.media.video.sound import read_audio
from ppzoo.media.video.writer import VideoWriter

__all__ = ["VideoInfo", "VideoReader", "VideoWriter", "probe", "read_audio"]
