# SPDX-License-Identifier: Apache-2.0
"""Clips of talking faces, cut out of one film.

The film is read twice: faces are followed, and only when it is known where each was are they cut
out. For models of motion a clip shows one square of the film, in which the head moves. For models
of lips it shows the face itself, frame by frame, as Wav2Lip's detector would box it.
"""

from __future__ import annotations

import array
import collections
import contextlib
import dataclasses
import functools
import itertools
import math
import os
import shutil
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppzoo.apps.faces import detector_of_film
from ppzoo.errors import DataError, UserError
from ppzoo.faces.blend import resize, whole
from ppzoo.faces.boxes import clip
from ppzoo.faces.detector import DetectorName, FaceDetector
from ppzoo.faces.tracking import FaceTracker
from ppzoo.media.mel import SAMPLE_RATE

Layout = Literal["lips", "motion"]
Store = Literal["frames", "mp4"]

SOUND = "audio.wav"
_SMOOTH = 5  # frames over which boxes are averaged
# A head that moves so far that its square would be this many faces larger begins a new clip.
_MOST_MOTION = 0.75
_LEAST_VISIBLE = 0.6  # of a face that partly lies beside the picture
_JPEG_QUALITY = 95
_TOLD = 50  # frames after which progress is told


@dataclass(frozen=True)
class Recipe:
    """How clips are made.

    Args:
        layout: "lips", faces with their sound, or "motion", squares about them without sound.
        size: side of the pictures, in pixels.
        fps: frames per second.
        margin: what is added to a face on each side, as a share of its own.
        min_seconds: shorter clips are left out.
        max_seconds: longer ones are cut in equal parts.
        max_faces: how many at once.
        min_face: clips are left out if their face is narrower, in pixels of the film.
        detector: its name.
        every: faces are detected in every so many frames.
        store: of clips of motion: "frames", as PNG, or "mp4".
    """

    layout: Layout
    size: int
    fps: Fraction
    margin: float
    min_seconds: float
    max_seconds: float
    max_faces: int
    min_face: int
    detector: DetectorName
    every: int
    store: Store

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON has them."""
        return dataclasses.asdict(self) | {"fps": str(self.fps)}


@dataclass
class Made:
    """What was made of a film.

    Args:
        clips: seconds of each clip, by its number.
        left_out: how many faces were left out, by the reason.
        problems: sentences about what is wrong with the film.
    """

    clips: dict[str, float] = field(default_factory=dict)
    left_out: collections.Counter[str] = field(default_factory=collections.Counter)
    problems: list[str] = field(default_factory=list)


@dataclass
class Piece:
    """What becomes a clip: a face in frames that follow each other.

    Args:
        first: number of its first frame in the film.
        boxes: [T, 4] of the face, in pixels of the film.
    """

    first: int
    boxes: np.ndarray

    @property
    def end(self) -> int:
        """Return the number of the frame after the last."""
        return self.first + len(self.boxes)

    @property
    def face(self) -> float:
        """Return the usual width of the face, in pixels."""
        return float(np.median(self.boxes[:, 2] - self.boxes[:, 0]))


@dataclass(frozen=True)
class Task:
    """A film to cut clips out of.

    Args:
        film: the file.
        key: what it is noted under, its place among the films.
        name: what its clips are called.
        target: the folder to put them in.
        recipe: how.
    """

    film: Path
    key: str
    name: str
    target: Path
    recipe: Recipe


def work(task: Task, hear: Callable[[float], None]) -> Made:
    """Do a task in a process that has one core; see `make_clips`."""
    import cv2

    cv2.setNumThreads(1)
    shutil.rmtree(task.target, ignore_errors=True)
    task.target.mkdir(parents=True)
    return make_clips(task.film, task.target, task.recipe, hear)


def make_clips(film: Path, target: Path, recipe: Recipe, hear: Callable[[float], None]) -> Made:
    """Write the clips of a film.

    Args:
        film: a video file.
        target: a folder, where each clip becomes a folder or a file, named by its number.
        recipe: how.
        hear: is told how many more seconds of the film have been read.

    Raises:
        DataError: the film cannot be read.
        UserError: a file cannot be written.
    """
    from ppzoo.media.video import VideoReader

    made = Made()
    with VideoReader(film, recipe.fps) as reader:
        size = (reader.info.height, reader.info.width)
        if recipe.layout == "lips" and not reader.info.has_audio:
            return Made(left_out=collections.Counter({"films without sound": 1}))
        frames = _told(reader, recipe, hear)
        pieces = _pieces(_tracks(frames, recipe, size), recipe, made)
        made.problems = list(reader.problems)
    clips = {f"{number:04d}": piece for number, piece in enumerate(pieces, 1)}
    try:
        if recipe.layout == "lips":
            clips = _write_sounds(film, clips, target, recipe)
            made.left_out["faces without sound"] += len(pieces) - len(clips)
        if clips:
            with VideoReader(film, recipe.fps) as reader:
                _write_pictures(reader, clips, target, recipe, size)
    except OSError as error:
        raise UserError(f"cannot write clips to {target}: {error.strerror or error}") from error
    made.clips = {name: float(len(piece.boxes) / recipe.fps) for name, piece in clips.items()}
    made.left_out = +made.left_out  # without what did not happen
    return made


@functools.cache
def _detector(name: DetectorName) -> FaceDetector:
    return detector_of_film(name, option="--detector")


def _told(reader: Any, recipe: Recipe, hear: Callable[[float], None]) -> Iterator[np.ndarray]:
    count = 0
    for frame in reader:
        count += 1
        if count % _TOLD == 0:
            hear(float(_TOLD / recipe.fps))
        yield frame
    hear(float(count % _TOLD / recipe.fps))


def _tracks(frames: Iterator[np.ndarray], recipe: Recipe, size: tuple[int, int]) -> list[Piece]:
    """Return where each face is, from when it appears until it is lost or leaves the picture."""
    first: dict[int, int] = {}
    found: dict[int, array.array[float]] = {}
    detector = _detector(recipe.detector)
    tracker = FaceTracker(detector, recipe.every, _SMOOTH)
    for number, (_, faces) in enumerate(tracker.stream(frames)):
        for tracked in faces:
            box = tracked.face.box
            first.setdefault(tracked.id, number)
            found.setdefault(tracked.id, array.array("d")).extend(
                detector.whole_face(box) if recipe.layout == "lips" else box
            )
    tracks = []
    for id, numbers in found.items():
        boxes = np.array(numbers).reshape(-1, 4)
        low, high = boxes[:, :2].clip(0), np.minimum(boxes[:, 2:], size[::-1])
        seen = (high - low).clip(0).prod(axis=1)
        whole_area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        edges = np.diff(np.r_[0, seen >= _LEAST_VISIBLE * whole_area, 0])
        for start, end in zip(*(np.flatnonzero(edges == sign) for sign in (1, -1)), strict=True):
            tracks.append(Piece(first[id] + int(start), boxes[start:end]))
    return tracks


def _pieces(tracks: list[Piece], recipe: Recipe, made: Made) -> list[Piece]:
    """Return what becomes clips, by when they begin; count the others in `made`."""
    least = max(1, math.ceil(recipe.min_seconds * recipe.fps))
    most = max(least, int(recipe.max_seconds * recipe.fps))
    if not tracks:
        made.left_out["films without a face"] += 1
    kept = []
    chosen = _most_important(tracks, recipe.max_faces)
    for track in chosen:
        for part in _steady(track) if recipe.layout == "motion" else [track]:
            count = math.ceil(len(part.boxes) / most)
            bounds = [round(i * len(part.boxes) / count) for i in range(count + 1)]
            for start, end in itertools.pairwise(bounds):
                piece = Piece(part.first + start, part.boxes[start:end])
                if len(piece.boxes) < least:
                    made.left_out["faces seen too shortly"] += 1
                elif piece.face < recipe.min_face:
                    made.left_out["faces too small"] += 1
                else:
                    kept.append(piece)
    beyond = len(tracks) - len(chosen)
    made.left_out["faces beyond --max-faces"] += beyond
    return sorted(kept, key=lambda piece: piece.first)


def _most_important(tracks: list[Piece], most: int) -> list[Piece]:
    """Return tracks so that no frame has more than `most`: large faces that are seen for long."""
    kept: list[Piece] = []
    for track in sorted(tracks, key=lambda t: t.face * len(t.boxes), reverse=True):
        others = [t for t in kept if t.first < track.end and track.first < t.end]
        starts = [track.first, *(t.first for t in others if t.first > track.first)]
        if all(sum(t.first <= at < t.end for t in others) < most for at in starts):
            kept.append(track)
    return kept


def _steady(track: Piece) -> Iterator[Piece]:
    """Cut a track where one square for all of it would become too large."""
    start = 0
    while start < len(track.boxes):
        boxes = track.boxes[start:]
        low = np.minimum.accumulate(boxes[:, :2])
        high = np.maximum.accumulate(boxes[:, 2:])
        sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        usual = np.cumsum(sides) / np.arange(1, len(sides) + 1)
        too_far = np.flatnonzero((high - low).max(axis=1) > (1 + _MOST_MOTION) * usual)
        end = start + (int(too_far[0]) if len(too_far) else len(boxes))
        yield Piece(track.first + start, track.boxes[start:end])
        start = end


def _square(piece: Piece, margin: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the square that shows a face in all frames, inside of frames of a height and width."""
    sides = (piece.boxes[:, 2:] - piece.boxes[:, :2]).max(axis=1)
    low, high = piece.boxes[:, :2].min(axis=0), piece.boxes[:, 2:].max(axis=0)
    side = float((high - low).max()) + 2 * margin * float(np.median(sides))
    side = max(1, min(round(side), *size))
    corner = np.round((low + high) / 2 - side / 2)
    x, y = (int(min(max(c, 0), s - side)) for c, s in zip(corner, size[::-1], strict=True))
    return x, y, x + side, y + side


def _write_pictures(
    reader: Any, clips: dict[str, Piece], target: Path, recipe: Recipe, size: tuple[int, int]
) -> None:
    waiting = collections.deque(clips.items())
    active: list[_Clip] = []
    with contextlib.ExitStack() as stack:
        for number, frame in enumerate(reader):
            while waiting and waiting[0][1].first <= number:
                name, piece = waiting.popleft()
                active.append(stack.enter_context(_Clip(piece, target / name, recipe, size)))
            for one in active:
                one.add(frame)
                if number + 1 == one.piece.end:
                    one.close()
            active = [one for one in active if one.piece.end > number + 1]
            if not active and not waiting:
                return
    raise DataError(f"{reader.info.path} ended sooner when it was read again: it has changed")


class _Clip:
    """Writes the pictures of a clip, one for each frame.

    Args:
        piece: where the face is.
        target: the folder, or the film without its suffix.
        recipe: how.
        size: height and width of the frames.
    """

    def __init__(self, piece: Piece, target: Path, recipe: Recipe, size: tuple[int, int]) -> None:
        self.piece = piece
        self._target, self._recipe, self._frame_size = target, recipe, size
        self._square = _square(piece, recipe.margin, size)
        self._count = 0
        self._film: Any = None

    def __enter__(self) -> _Clip:
        from ppzoo.media.video import VideoWriter

        if self._recipe.layout == "motion" and self._recipe.store == "mp4":
            film = VideoWriter(self._target.with_suffix(".mp4"), self._recipe.fps)
            self._film = film.__enter__()
        else:
            self._target.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._film is not None:
            self._film.__exit__(*error)
            self._film = None

    def close(self) -> None:
        """End a film that is complete."""
        self.__exit__(None, None, None)

    def add(self, frame: np.ndarray) -> None:
        """Cut the face out of the next frame.

        Args:
            frame: uint8 RGB [H, W, 3].
        """
        from PIL import Image

        number = self._count
        self._count += 1
        x1, y1, x2, y2 = self._square
        if self._recipe.layout == "lips":
            x1, y1, x2, y2 = self._face(self.piece.boxes[number])
        picture = resize(frame[y1:y2, x1:x2], (self._recipe.size, self._recipe.size))
        if self._film is not None:
            self._film.write(picture)
        elif self._recipe.layout == "motion":
            Image.fromarray(picture).save(self._target / f"{number:07d}.png", compress_level=3)
        else:
            path = self._target / f"{number}.jpg"
            Image.fromarray(picture).save(path, quality=_JPEG_QUALITY, subsampling=0)

    def _face(self, box: np.ndarray) -> tuple[int, int, int, int]:
        x1, y1, x2, y2 = box
        width, height = (x2 - x1) * self._recipe.margin, (y2 - y1) * self._recipe.margin
        enlarged = (x1 - width, y1 - height, x2 + width, y2 + height)
        return whole(clip(enlarged, *self._frame_size))


def _write_sounds(
    film: Path, clips: dict[str, Piece], target: Path, recipe: Recipe
) -> dict[str, Piece]:
    """Write the sound of each clip, 16 bits at 16 kHz; return the clips that have any."""
    from ppzoo.media.video.sound import audio_chunks

    spans = {
        name: [round(number * SAMPLE_RATE / recipe.fps) for number in (piece.first, piece.end)]
        for name, piece in clips.items()
    }
    heard: set[str] = set()
    position = 0
    with contextlib.ExitStack() as stack:
        files: dict[str, wave.Wave_write] = {}
        for chunk in audio_chunks(film, SAMPLE_RATE) if clips else ():
            samples = np.round(chunk[0].clip(-1, 1) * 32767).astype("<i2")
            end = position + len(samples)
            for name, (first, last) in spans.items():
                part = samples[max(first - position, 0) : max(last - position, 0)]
                if not len(part):
                    continue
                if name not in files:
                    path = target / name / SOUND
                    path.parent.mkdir(parents=True)
                    files[name] = stack.enter_context(wave.open(os.fspath(path), "wb"))
                    files[name].setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
                files[name].writeframesraw(part.tobytes())
                if part.any():
                    heard.add(name)
                if end >= last:
                    files.pop(name).close()
            position = end
    for name in set(clips) - heard:
        shutil.rmtree(target / name, ignore_errors=True)
    return {name: piece for name, piece in clips.items() if name in heard}
