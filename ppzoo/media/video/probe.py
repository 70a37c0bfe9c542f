# SPDX-License-Identifier: Apache-2.0
"""What a video file holds: size as shown, rate, length, sound."""

from __future__ import annotations

import array
import dataclasses
import math
import os
import statistics
from fractions import Fraction
from typing import Any

import av.error
import numpy as np

from ppzoo.errors import DataError
from ppzoo.media.video.files import READ_ERRORS, find_audio_stream, open_media, video_stream

COMMON_RATES = tuple(
    Fraction(*pair)
    for pair in (
        (10, 1),
        (12, 1),
        (15, 1),
        (24000, 1001),
        (24, 1),
        (25, 1),
        (30000, 1001),
        (30, 1),
        (48, 1),
        (50, 1),
        (60000, 1001),
        (60, 1),
        (90, 1),
        (100, 1),
        (120, 1),
        (240, 1),
    )
)
_DEFAULT_RATE = Fraction(25)
_FASTEST = 1000  # frames/s; what claims more has meaningless time stamps
# A film whose pictures all lie within this part of a frame of an even grid has a constant rate.
_OFF_THE_GRID = 0.25
# Pictures on a screen may stand for hours, but not each of them.
_MOST_REPEATS = 10_000
_HDR_CURVES = (16, 18)  # PQ and HLG in ITU-T H.273
_WIDEST_PIXEL = 4  # stored pixel aspects beyond this, or below its inverse, are damage


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What `VideoReader` yields of a file.

    Args:
        path: the file.
        width: as shown, in pixels: turned upright, and stretched where stored pixels are not
            square (DVDs, DV tapes).
        height: as shown, in pixels.
        fps: frames per second, constant and exact, 30000/1001 as such. Of a variable rate, the one
            that most pictures were taken at.
        frame_count: frames at that rate; None where they can be known only by decoding all.
        duration: of the pictures, in seconds.
        rotation: how far stored pictures are turned clockwise to be upright, 0, 90, 180 or 270.
        has_audio: whether there is sound.
        is_variable_rate: whether pictures are repeated or left out to make the rate constant.
    """

    path: str
    width: int
    height: int
    fps: Fraction
    frame_count: int | None
    duration: Fraction
    rotation: int
    has_audio: bool
    is_variable_rate: bool


@dataclasses.dataclass(frozen=True)
class Examined:
    """What the reader needs to know beside `VideoInfo`.

    Args:
        info: see there.
        problems: sentences about what is wrong with the file.
        start: when the first picture is shown, in seconds of the file's clock; None if pictures
            have no time stamps.
        last: when the last one is.
        is_mirrored: whether upright pictures are mirrored left to right to be shown.
        is_decode_order: whether time stamps tell when pictures are decoded and not when they are
            shown, as in AVI files, which know nothing of pictures that are decoded out of order.
    """

    info: VideoInfo
    problems: tuple[str, ...]
    start: Fraction | None
    last: Fraction | None
    is_mirrored: bool
    is_decode_order: bool


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Return what a video file holds; its packets are read through, only one picture is decoded.

    Raises:
        DataError: the file is missing, not a video, or no picture of it can be decoded; names it.
    """
    return examine(path).info


def examine(path: str | os.PathLike[str]) -> Examined:
    """Return what `VideoReader` needs to know about a file; raises as `probe` does."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        stream.thread_count = 1  # with more, the first picture comes many packets later
        scan = _Scan(container, stream)
        scan.run()
        if scan.picture is None:
            raise DataError(f"no picture of the video {os.fspath(path)} can be decoded")
        promised = Fraction(container.duration or 0, av.time_base)
        timing = _timing(scan, stream, promised)
        width, height, rotation, is_mirrored = _geometry(scan.picture, stream)
        info = VideoInfo(
            path=os.fspath(path),
            width=width,
            height=height,
            fps=timing.fps,
            frame_count=timing.count,
            duration=timing.duration,
            rotation=rotation,
            has_audio=find_audio_stream(container) is not None,
            is_variable_rate=timing.is_variable,
        )
        begin = Fraction(container.start_time or 0, av.time_base)
        missing = promised - (scan.end - begin)
        return Examined(
            info,
            problems=tuple(_problems(info, scan, stream, timing, missing)),
            start=timing.start,
            last=timing.last,
            is_mirrored=is_mirrored,
            is_decode_order=container.format.name == "avi" and stream.codec_context.has_b_frames,
        )


class _Scan:
    """Read all packets of a file and decode its first picture."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.picture: Any = None
        self.count = 0  # pictures to be shown
        self.stored = 0  # and those that only help to decode them
        self.end = Fraction(0)  # when the last packet of any stream ends, in seconds
        self.last_duration = 0  # ticks
        self.is_broken_off = False
        self._shown, self._decoded = array.array("q"), array.array("q")
        self._latest: int | None = None

    @property
    def times(self) -> np.ndarray | None:
        """When pictures are shown, ascending, in ticks of the stream; None if it is not known."""
        for ticks in (self._shown, self._decoded):
            if self.count and len(ticks) == self.count:
                return np.unique(np.frombuffer(ticks, np.int64))
        return None

    def run(self) -> None:
        try:
            for packet in self._container.demux():
                if packet.stream_index == self._stream.index and self.picture is None:
                    self._decode(packet)
                if packet.size:
                    self._count(packet)
        except READ_ERRORS:
            self.is_broken_off = True

    def _decode(self, packet: Any) -> None:
        try:
            self.picture = next(iter(self._stream.decode(packet)), None)
        except av.error.FFmpegError:
            self.picture = None  # a later packet may do

    def _count(self, packet: Any) -> None:
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is not None:
            self.end = max(self.end, (ticks + (packet.duration or 0)) * packet.time_base)
        if packet.stream_index != self._stream.index:
            return
        self.stored += 1
        if packet.is_discard:  # cut away by an edit list
            return
        self.count += 1
        if packet.pts is not None:
            self._shown.append(packet.pts)
            if self._latest is None or packet.pts >= self._latest:
                self._latest, self.last_duration = packet.pts, packet.duration or 0
        if packet.dts is not None:
            self._decoded.append(packet.dts)


@dataclasses.dataclass(frozen=True)
class _Timing:
    fps: Fraction
    count: int
    duration: Fraction
    is_variable: bool
    start: Fraction | None
    last: Fraction | None


def _timing(scan: _Scan, stream: Any, promised: Fraction) -> _Timing:
    times, tick = scan.times, stream.time_base
    stated = [rate for rate in (stream.guessed_rate, stream.average_rate) if _is_sane(rate)]
    if times is None or not tick:
        fps = stated[0] if stated else _DEFAULT_RATE
        count = max(1, scan.count)
        return _Timing(fps, count, count / fps, False, None, None)
    start, last = int(times[0]) * tick, int(times[-1]) * tick
    fps = _constant_rate(times, tick, stated)
    if fps is not None:
        return _Timing(fps, len(times), len(times) / fps, False, start, last)
    fps = _usual_rate(times, tick) or (stated[0] if stated else _DEFAULT_RATE)
    duration = last - start + (scan.last_duration * tick or 1 / fps)
    if _is_absurd(duration, fps, scan.count, promised):
        fps = stated[0] if stated else _DEFAULT_RATE
        return _Timing(fps, scan.count, scan.count / fps, False, None, None)
    return _Timing(fps, nearest(duration * fps) or 1, duration, len(times) > 1, start, last)


def _is_absurd(duration: Fraction, fps: Fraction, count: int, promised: Fraction) -> bool:
    """Tell whether time stamps are damaged: a film of seconds would be repeated for days.

    Nothing is promised by what was written as a stream, such as recordings of a browser.
    """
    return duration * fps > _MOST_REPEATS * count or bool(promised and duration > 2 * promised + 1)


def nearest(value: Fraction) -> int:
    """Return the nearest whole number, halves upwards."""
    return math.floor(value + Fraction(1, 2))


def _is_sane(rate: Fraction | None) -> bool:
    return bool(rate) and 0 < rate <= _FASTEST


def _constant_rate(times: np.ndarray, tick: Fraction, stated: list[Fraction]) -> Fraction | None:
    """Return the rate of an even grid that all pictures lie on, None if there is none."""
    if len(times) < 2:
        return None
    measured = (len(times) - 1) / (int(times[-1] - times[0]) * tick)
    near = sorted(COMMON_RATES, key=lambda rate: abs(rate - measured))[:2]
    usual = [rate for rate in stated if rate in COMMON_RATES]
    candidates = [*usual, *near, *stated, measured.limit_denominator(1001), measured]
    index = np.arange(len(times))
    errors = {}
    for rate in (one for one in candidates if _is_sane(one)):
        step = float(1 / (rate * tick))  # ticks
        error = float(np.abs(times - times[0] - index * step).max())
        errors[rate] = error / step
        # Files round time stamps to whole ticks.
        if error <= 1.01 and errors[rate] < _OFF_THE_GRID:
            return rate
    best = min(errors, key=lambda rate: errors[rate], default=None)
    return best if best is not None and errors[best] < _OFF_THE_GRID else None


def _usual_rate(times: np.ndarray, tick: Fraction) -> Fraction | None:
    """Return the rate that most pictures follow each other at, None if there are too few."""
    if len(times) < 2:
        return None
    steps = np.diff(times)
    middle = statistics.median_low(steps.tolist())
    usual = steps[(steps > 0.75 * middle) & (steps < 1.5 * middle)]
    rate = 1 / (Fraction(int(usual.sum()), len(usual)) * tick)
    common = min(COMMON_RATES, key=lambda one: abs(one - rate))
    if abs(common - rate) < rate / 50:
        return common
    rate = rate.limit_denominator(1001)
    return rate if _is_sane(rate) else None


def _geometry(picture: Any, stream: Any) -> tuple[int, int, int, bool]:
    """Return width and height as shown, the turn clockwise, and whether it is mirrored after."""
    width, height = picture.width, picture.height
    aspect = stream.sample_aspect_ratio
    if aspect and Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
        width = max(1, nearest(width * aspect))
    rotation, is_mirrored = _orientation(picture)
    if rotation % 180:
        width, height = height, width
    return width, height, rotation, is_mirrored


def _orientation(picture: Any) -> tuple[int, bool]:
    """Return how a picture is turned clockwise, and then mirrored left to right, to be shown."""
    matrix = next((d for d in picture.side_data if d.type.name == "DISPLAYMATRIX"), None)
    if matrix is None:
        return 0, False
    # (x, y) is shown at (a x + c y, b x + d y); values are 16.16 fixed point, rows of three.
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float)
    is_mirrored = a * d - b * c < 0
    if is_mirrored:
        a = -a
        c = -c
    turn = math.degrees(math.atan2(b, a))
    return round(turn / 90) * 90 % 360, is_mirrored


def _problems(
    info: VideoInfo, scan: _Scan, stream: Any, timing: _Timing, missing: Fraction
) -> list[str]:
    """Return sentences about the file; `missing` seconds are promised and not there."""
    problems = []
    seconds = f"{float(info.duration):.1f} seconds"
    if stream.frames > scan.stored or missing > max(Fraction(1, 2), 3 / info.fps):
        problems.append(f"{info.path} is cut off: {seconds} of its pictures are left")
    elif scan.is_broken_off:
        problems.append(f"{info.path} cannot be read to its end: it is damaged after {seconds}")
    if scan.times is not None and timing.start is None:
        problems.append(
            f"the time stamps of {info.path} are damaged: its pictures are shown at equal intervals"
        )
    if scan.picture.color_trc in _HDR_CURVES:
        problems.append(
            f"{info.path} is HDR: its pictures are read as they are stored and look pale"
        )
    return problems
