# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's videos as folders of frames."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from ppzoo.errors import DataError
from ppzoo.media.image import read_image, write_image
from ppzoo.media.video import VideoReader, VideoWriter

_NUMBER = re.compile(r"%(?:0\d+)?d")


def video2frames(video_path: str, outpath: str, **_: object) -> str:
    """Write a film's frames as `OUT/STEM/00000000.png`, and return that folder.

    Args:
        video_path: of the film.
        outpath: the folder OUT.
        _: options of FFmpeg, which PaddleGAN takes and nothing here needs.
    """
    folder = Path(outpath) / Path(video_path).name.split(".")[0]
    folder.mkdir(parents=True, exist_ok=True)
    with VideoReader(video_path) as reader:
        for index, frame in enumerate(reader):
            write_image(folder / f"{index:08d}.png", frame)
    return str(folder)


def frames2video(frame_path: str, video_path: str, r: str | float) -> None:
    """Write a film of frames.

    Args:
        frame_path: of the frames, a pattern such as `frames/%08d.png`, counted from 0.
        video_path: of the film.
        r: frames a second.

    Raises:
        DataError: there is no first frame, or the name has no number.
    """
    pattern = Path(frame_path)
    if len(_NUMBER.findall(pattern.name)) != 1:
        raise DataError(f"{frame_path} is no pattern of frames such as frames/%08d.png")

    def frame(index: int) -> Path:
        return pattern.with_name(_NUMBER.sub(lambda number: number[0] % index, pattern.name))

    if not frame(0).is_file():
        raise DataError(f"there is no frame {frame(0)}: frames are counted from 0")
    with VideoWriter(video_path, Fraction(str(r)).limit_denominator(1001)) as writer:
        index = 0
        while frame(index).is_file():
            writer.write(read_image(frame(index)))
            index += 1
