# SPDX-License-Identifier: Apache-2.0
"""The pictures of a video, upright, in RGB, at a constant rate, one at a time."""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any

import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from ppzoo.errors import DataError
from ppzoo.media.video.background import in_background
from ppzoo.media.video.files import open_media, read_packets, video_stream
from ppzoo.media.video.probe import Examined, VideoInfo, examine, nearest

# swscale's bicubic filter with exact rounding and all colour samples computed: without the last
# two, the error of a photograph's colours is three times as large.
EXACT_BICUBIC = 0x4 | 0x40000 | 0x2000
FULL_RANGE = 2
BT709, BT601 = 1, 6  # matrices in ITU-T H.273
_KNOWN_MATRICES = {1, 4, 5, 6, 7, 9}
_BT2020_CONSTANT, _BT2020 = 10, 9
_DECODER_THREADS = 4


class VideoReader:
    """Iterate over the pictures of a video as uint8 RGB [H, W, 3].

    They come upright (phones store them turned), mirrored as the file asks, with square pixels,
    and at the constant rate `info.fps`: of a variable rate, each picture is shown from the frame
    nearest to its time on, until the next one, so that the length stays right within a frame.
    Interlaced pictures stay so.
    Colours follow the matrix and range that the file states; where it states none, BT.709 is taken
    for pictures at least 1280 pixels wide or more than 576 high and BT.601 for smaller ones, as
    players do.

    What a damaged file still holds is kept, lost pictures are replaced by those before them, and
    `problems` says so. A thread decodes a few pictures ahead. Each iteration starts at the first
    picture; only one runs at a time.

    Args:
        path: the video file.
        fps: the rate to convert to; the file's own by default.
        depth: how many decoded pictures may wait.

    Attributes:
        info: what there is, see `VideoInfo`; `fps` and `frame_count` are those of the output.
        problems: sentences about what is wrong with the file; complete after an iteration.

    Raises:
        DataError: the file is missing, not a video, or no picture of it can be decoded; names it.
        ValueError: a rate that is not positive.
    """

    def __init__(
        self, path: str | os.PathLike[str], fps: Fraction | int | None = None, depth: int = 4
    ) -> None:
        if fps is not None and fps <= 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self._examined = examine(path)
        self.info: VideoInfo = self._examined.info
        if fps is not None:
            self.info = _at_rate(self.info, Fraction(fps))
        self.problems: list[str] = list(self._examined.problems)
        self._depth = depth
        self._running: Generator[np.ndarray, None, None] | None = None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[np.ndarray]:
        self.close()
        self._running = in_background(
            _pictures(self._examined, self.info, self.problems), self._depth
        )
        return self._running

    def close(self) -> None:
        """End the iteration and its thread."""
        if self._running is not None:
            self._running.close()
            self._running = None


# Not a method: the thread that runs it must not keep a forgotten reader alive.
def _pictures(
    examined: Examined, info: VideoInfo, problems: list[str]
) -> Generator[np.ndarray, None, None]:
    with open_media(info.path) as container:
        decoder = _Decoder(container, video_stream(container, info.path))
        timeline = _Timeline(examined, info)
        upright = _Upright(examined)
        shown = 0
        for frame, times in timeline.frames(decoder):
            picture = upright(frame)
            for _ in range(times - 1):
                yield picture.copy()
            yield picture
            shown += times
    if not shown:
        raise DataError(f"no picture of the video {info.path} can be decoded")
    found = []
    if decoder.damaged:
        found.append(f"{info.path} has {decoder.damaged} damaged pictures, patched up or left out")
    if timeline.late:
        found.append(f"{info.path} has {timeline.late} pictures out of their order, left out")
    if info.frame_count is not None and shown < info.frame_count:
        found.append(
            f"only {shown} of the {info.frame_count} pictures of {info.path} can be decoded"
        )
    problems += [sentence for sentence in found if sentence not in problems]


def _at_rate(info: VideoInfo, fps: Fraction) -> VideoInfo:
    return dataclasses.replace(info, fps=fps, frame_count=nearest(info.duration * fps) or 1)


class _Decoder:
    """Iterate over all frames that can be decoded."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        # Not by frames: where one of several that are under way fails, PyAV loses the others.
        stream.thread_type = "SLICE"
        stream.thread_count = min(os.cpu_count() or 1, _DECODER_THREADS)
        self.damaged = 0

    def __iter__(self) -> Iterator[Any]:
        # The empty packet at the end makes the decoder give what it holds; a file that cannot be
        # read to its end has none.
        packets = read_packets(self._container, self._stream)
        for packet in itertools.chain(packets, [None]):
            for frame in self._decode(packet):
                self.damaged += frame.is_corrupt
                yield frame

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return self._stream.decode(packet)
        except av.error.EOFError:
            return []  # flushed already, by the empty packet at the end of the file
        except av.error.FFmpegError:
            self.damaged += 1
            return []


class _Timeline:
    """Decide which frames are shown, and how many times."""

    def __init__(self, examined: Examined, info: VideoInfo) -> None:
        self._start, self._last = examined.start, examined.last
        self._is_decode_order = examined.is_decode_order
        self._first_dts: int | None = None
        self._step = 1 / examined.info.fps  # between pictures without time stamps
        self._fps = info.fps
        has_times = self._start is not None and info.frame_count is not None
        self._total = info.frame_count if has_times else sys.maxsize
        self.late = 0

    def frames(self, decoded: _Decoder) -> Iterator[tuple[Any, int]]:
        """Yield frames with how many times each is to be shown, at least once."""
        held, time, shown = None, -self._step, 0
        for frame in decoded:
            now = self._time(frame, time + self._step)
            if held is not None and now < time:
                self.late += 1
                continue
            place = min(self._place(now), self._total)
            # Before the first frame that can be decoded there is nothing else to show.
            if held is not None and place > shown:
                yield held, place - shown
                shown = place
            held, time = frame, now
        if held is not None:
            end = self._end(time)
            if end > shown:
                yield held, end - shown

    def _time(self, frame: Any, next_time: Fraction) -> Fraction:
        if self._is_decode_order:
            if frame.dts is None:
                return next_time
            if self._first_dts is None:
                self._first_dts = frame.dts
            return (frame.dts - self._first_dts) * frame.time_base
        if self._start is None or frame.pts is None:
            return next_time
        return frame.pts * frame.time_base - self._start

    def _place(self, time: Fraction) -> int:
        return max(0, nearest(time * self._fps))

    def _end(self, time: Fraction) -> int:
        """Return the place after a frame that none follows."""
        if self._start is None:
            return self._place(time + self._step)
        if time >= self._last - self._start:
            return self._total
        return min(self._place(time) + 1, self._total)


class _Upright:
    """Turn decoded frames into pictures to be looked at."""

    def __init__(self, examined: Examined) -> None:
        info = examined.info
        self._turns = info.rotation // 90
        self._is_mirrored = examined.is_mirrored
        self._width, self._height = info.width, info.height
        if self._turns % 2:
            self._width, self._height = info.height, info.width
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> np.ndarray:
        """Return uint8 RGB [H, W, 3] of a decoded frame."""
        if not frame.format.is_rgb:
            frame.colorspace = _matrix(frame)
        rgb = self._reformatter.reformat(
            frame,
            width=self._width,
            height=self._height,
            format="rgb24",
            interpolation=EXACT_BICUBIC,
            dst_color_range=FULL_RANGE,
            threads=1,
        )
        picture = np.rot90(rgb.to_ndarray(), -self._turns)
        if self._is_mirrored:
            picture = picture[:, ::-1]
        # A copy: the array that PyAV gives is the frame's own memory.
        return np.array(picture, order="C")


def _matrix(frame: Any) -> int:
    if frame.colorspace == _BT2020_CONSTANT:
        return _BT2020
    if frame.colorspace in _KNOWN_MATRICES:
        return frame.colorspace
    return BT709 if frame.width >= 1280 or frame.height > 576 else BT601
