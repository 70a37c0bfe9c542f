# SPDX-License-Identifier: Apache-2.0
"""Who is to talk and what is said: films and pictures of faces, speakers among them, sounds."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from ppzoo.apps.films import is_picture
from ppzoo.errors import DataError, UserError
from ppzoo.faces.blend import resize, whole
from ppzoo.faces.boxes import clip
from ppzoo.faces.tracking import TrackedFace
from ppzoo.media.image import load_image
from ppzoo.media.mel import (
    BANDS,
    COLUMNS_PER_SECOND,
    SAMPLE_RATE,
    SILENCE,
    WINDOW,
    mel_pieces,
    windows_of,
)
from ppzoo.media.video import VideoReader
from ppzoo.media.video.probe import COMMON_RATES
from ppzoo.media.video.sound import audio_chunks

_LOG = logging.getLogger(__name__)

Source = str | os.PathLike[str]
# (left, upper, right, lower) edges in whole pixels, the last two exclusive.
Place = tuple[int, int, int, int]

_SHORTEST = 401  # samples that a spectrogram needs
# Rates that differ less from a usual one are meant to be that one, 29.97 is 30000/1001.
_SAME_RATE = Fraction(1, 200)
_SLOWEST, _FASTEST = 0.1, 1000  # frames a second
_LEAST_SIDE = 2  # pixels of a face that is worth drawing
_HELD_BYTES = 2**28  # of frames that are shown backwards
_MANY_PIECES = 8  # of a film, that take so long to go back through that it is worth a word


@dataclasses.dataclass(frozen=True, eq=False)
class Voice:
    """A sound as the networks hear it.

    Args:
        mel: its spectrogram, float32 [80, C]; an hour of it needs 92 MB, and twice that while it is
            made.
        samples: at 16 kHz.
    """

    mel: np.ndarray
    samples: int

    def frame_count(self, fps: Fraction) -> int:
        """Return how many frames the sound lasts, at least one."""
        return max(1, round(self.samples * fps / SAMPLE_RATE))

    def windows(self, frames: range, fps: Fraction, lead: Fraction) -> np.ndarray:
        """Return what is heard with frames, float32 [N, 80, 16]; silence beyond the sound's ends.

        Args:
            frames: their numbers.
            fps: frames per second, exact.
            lead: seconds before a frame at which its window begins.
        """
        starts = np.array([COLUMNS_PER_SECOND * (i / fps - lead) // 1 for i in frames], np.int64)
        columns = starts[:, np.newaxis] + np.arange(WINDOW)
        is_sound = (columns >= 0) & (columns < self.mel.shape[1])
        heard = windows_of(self.mel, starts)
        return np.where(is_sound[:, np.newaxis], heard, np.float32(SILENCE))


def voice_of(chunks: Iterable[np.ndarray]) -> Voice:
    """Return the sound that comes in pieces [t] of any length, 16 kHz, in [-1, 1]."""
    count = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal count
        for chunk in chunks:
            count += len(chunk)
            yield chunk
        if count < _SHORTEST:
            yield np.zeros(_SHORTEST - count, np.float32)

    pieces = list(mel_pieces(counted()))
    return Voice(np.concatenate(pieces, axis=1), count)


def read_voice(path: Source) -> Voice:
    """Return the sound of an audio file or film of any format, rate and length.

    Raises:
        DataError: the file is missing, unreadable or has no sound; names it.
    """
    voice = voice_of(chunk[0] for chunk in audio_chunks(path, SAMPLE_RATE))
    if not voice.samples:
        raise DataError(f"the sound of {os.fspath(path)} cannot be decoded: it is damaged")
    return voice


@dataclasses.dataclass(frozen=True)
class Framing:
    """What of a frame is taken, in this order: made smaller, turned, cut.

    Args:
        resize_factor: pixels along a side that become one.
        rotate: turn clockwise by 90 degrees.
        crop: first and last row, first and last column that are kept, the last ones exclusive; -1
            stands for the frame's own edge.

    Raises:
        UserError: a factor below 1, or a crop of other than four numbers.
    """

    resize_factor: int = 1
    rotate: bool = False
    crop: Sequence[int] = (0, -1, 0, -1)

    def __post_init__(self) -> None:
        if self.resize_factor < 1 or int(self.resize_factor) != self.resize_factor:
            raise UserError(f"resize_factor is {self.resize_factor}, expected 1, 2, 3, ...")
        if len(self.crop) != 4:
            raise UserError(
                f"crop is {list(self.crop)}, expected four numbers: top, bottom, left, right"
            )

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Return a frame uint8 RGB [H, W, 3] as it is to be used, contiguous.

        Raises:
            UserError: nothing of it is left.
        """
        if self.resize_factor > 1:
            height, width = (max(1, side // self.resize_factor) for side in frame.shape[:2])
            frame = resize(frame, (height, width))
        if self.rotate:
            frame = np.rot90(frame, -1)
        height, width = frame.shape[:2]
        top, bottom, left, right = self.crop
        top, left = max(0, top), max(0, left)
        bottom = height if bottom < 0 else min(bottom, height)
        right = width if right < 0 else min(right, width)
        if top >= bottom or left >= right:
            raise UserError(
                f"crop {' '.join(map(str, self.crop))} (top, bottom, left, right) leaves nothing "
                f"of frames of {width} x {height} pixels"
            )
        return np.ascontiguousarray(frame[top:bottom, left:right])


class FaceFilm:
    """The film or picture whose face is to talk, frame by frame, as often as it is needed.

    Args:
        path: a video, or a picture, which is told by its content and is a film of one frame.
        framing: what is taken of each frame.
        fps: frames per second of a picture.
        static: take the first frame of a film only.

    Attributes:
        fps: exact frames per second.
        size: width and height in pixels before framing.
        has_sound: whether there is any.
        is_still: whether there is one frame only.

    Raises:
        DataError: the file is missing, or neither video nor picture; names it.
        UserError: a rate that no film could have.
    """

    def __init__(
        self, path: Source, framing: Framing, fps: float = 25, static: bool = False
    ) -> None:
        self.name = os.fspath(path)
        self._framing = framing
        self._picture: np.ndarray | None = None
        self._still: np.ndarray | None = None
        self._reader: VideoReader | None = None
        if is_picture(path):
            self._picture = load_image(path)
            height, width = self._picture.shape[:2]
            self.fps, self.size, self.has_sound = exact_rate(fps), (width, height), False
        else:
            self._reader = VideoReader(path)
            info = self._reader.info
            self.fps, self.size, self.has_sound = (
                info.fps,
                (info.width, info.height),
                info.has_audio,
            )
        self.is_still = static or self._picture is not None

    @property
    def problems(self) -> list[str]:
        """Return what is wrong with the file, complete once it has been read."""
        return [] if self._reader is None else self._reader.problems

    def frames(self) -> Iterator[np.ndarray]:
        """Yield the frames from the first one on, uint8 RGB [H, W, 3], arrays of their own."""
        if self.is_still and self._still is not None:
            yield self._still.copy()
            return
        with contextlib.closing(self._unframed()) as frames:
            for frame in frames:
                framed = self._framing(frame)
                if not self.is_still:
                    yield framed
                    continue
                self._still = framed
                yield framed.copy()
                return

    def backwards(self, count: int) -> Iterator[np.ndarray]:
        """Yield the first `count` frames from the last one on.

        Films cannot be read backwards: this one is read from its beginning for as many frames as
        256 MB hold, so that the way back through n such pieces takes n / 2 times as long as the way
        there. What is long in this sense is said in the log.
        """
        fits = max(1, _HELD_BYTES // max((frame.nbytes for frame in self._first()), default=1))
        if count > _MANY_PIECES * fits:
            _LOG.warning(
                "the way back through %d frames of %s reads them %d times over: a shorter film, "
                "smaller frames or another cycle take less time",
                count,
                self.name,
                round(count / fits / 2),
            )
        end = count
        while end > 0:
            held: list[np.ndarray] = []
            begin = max(0, end - fits)
            with contextlib.closing(self._unframed()) as frames:
                for frame in itertools.islice(frames, begin, end):
                    held.append(self._framing(frame))
            if not held:
                return
            while held:
                yield held.pop()
            end = begin

    def _unframed(self) -> Generator[np.ndarray, None, None]:
        if self._picture is not None:
            yield self._picture
            return
        running = iter(self._reader)
        with contextlib.closing(running):
            yield from running

    def _first(self) -> Iterator[np.ndarray]:
        with contextlib.closing(self.frames()) as frames:
            yield from itertools.islice(frames, 1)


def exact_rate(fps: float) -> Fraction:
    """Return the rate that a number means: 30000/1001 for 29.97.

    Raises:
        UserError: it is none that a film could have.
    """
    if not _SLOWEST <= fps <= _FASTEST:
        raise UserError(f"fps is {fps}, expected a number from {_SLOWEST} to {_FASTEST}")
    given = Fraction(fps).limit_denominator(1001)
    usual = min(COMMON_RATES, key=lambda rate: abs(rate - given))
    return usual if abs(usual - given) < _SAME_RATE else given


class Speaker:
    """Choose the face that talks, and stay with it.

    A face is followed by its number, as long as the tracker sees it. When it is lost, another one
    is chosen among those that were not seen beside it: a listener does not take over the words, the
    speaker who comes back does, and in another scene whoever has the speaker's rank there, or the
    smallest face where there are fewer.

    Args:
        rank: 0 for the largest face of the frame where so many appear first, 1 for the next one...

    Attributes:
        most: how many faces were seen at once.
    """

    def __init__(self, rank: int = 0) -> None:
        self.rank = rank
        self.most = 0
        self._id: int | None = None
        self._others: set[int] = set()

    def choose(self, faces: Sequence[TrackedFace]) -> TrackedFace | None:
        """Return the speaker among a frame's faces, the largest first; None without one."""
        self.most = max(self.most, len(faces))
        for face in faces:
            if face.id == self._id:
                self._others |= {other.id for other in faces} - {self._id}
                return face
        unknown = [face for face in faces if face.id not in self._others]
        if self._id is None:
            chosen = faces[self.rank] if len(faces) > self.rank else None
        elif len(unknown) == len(faces):
            # Another scene, or the speaker comes back after the listeners have left.
            chosen = faces[min(self.rank, len(faces) - 1)] if faces else None
        else:
            chosen = unknown[0] if unknown else None
        if chosen is not None:
            self._id = chosen.id
            self._others = {other.id for other in faces} - {chosen.id}
        return chosen


def face_place(box: Sequence[float], pads: Sequence[int], size: tuple[int, int]) -> Place | None:
    """Return the part of a frame that is drawn anew; None if too little of the face is in it.

    Args:
        box: of the face, (x1, y1, x2, y2) in pixels.
        pads: pixels that are added above, below, to the left and to the right.
        size: height and width of the frame.
    """
    top, bottom, left, right = pads
    x1, y1, x2, y2 = box
    place = whole(clip((x1 - left, y1 - top, x2 + right, y2 + bottom), *size))
    is_there = min(place[2] - place[0], place[3] - place[1]) >= _LEAST_SIDE
    return place if is_there else None


def given_place(box: Sequence[int], size: tuple[int, int]) -> Place:
    """Return the part of a frame that a user names by first and last row, first and last column.

    Args:
        box: top, bottom, left, right in pixels.
        size: height and width of the frame.

    Raises:
        UserError: it is empty, or not in the frame.
    """
    top, bottom, left, right = box
    place = face_place((left, top, right, bottom), (0, 0, 0, 0), size)
    if place is None:
        raise UserError(
            f"box {' '.join(map(str, box))} (top, bottom, left, right) holds nothing of frames of "
            f"{size[1]} x {size[0]} pixels"
        )
    return place


def check_windows(mels: np.ndarray) -> np.ndarray:
    """Return spectrogram windows as float32 [N, 80, 16].

    Raises:
        ValueError: another shape.
    """
    mels = np.asarray(mels, np.float32)
    if mels.ndim != 3 or mels.shape[1:] != (BANDS, WINDOW):
        raise ValueError(f"expected windows [N, {BANDS}, {WINDOW}], got {list(mels.shape)}")
    return mels
