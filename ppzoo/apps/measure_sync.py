# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure sync`: do the lips in films say what is heard, and at the same time?

Faces are found and followed as for Wav2Lip, and what a sync expert sees of each is compared with
what it hears up to 15 frames earlier and later; see ppzoo/metrics/lse.py. Figures of different
experts do not compare.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ppzoo import runtime
from ppzoo.apps.faces import detector_name, detector_of_film
from ppzoo.apps.talkers import face_place, read_voice
from ppzoo.atomic import atomic_write
from ppzoo.data.video_frames import find_videos
from ppzoo.errors import DataError, UserError
from ppzoo.faces.blend import resize
from ppzoo.faces.detector import DetectorName, FaceDetector
from ppzoo.faces.tracking import FaceTracker, TrackedFace
from ppzoo.lipsync.losses import FRAMES, mouths_of
from ppzoo.media.mel import WINDOW, column_of, windows_of
from ppzoo.media.video import VideoReader
from ppzoo.metrics.lse import REACH, Sync, judge, load_expert

FPS = 25  # of what the expert knows
SIZE = 96
PADS = (0, 10, 0, 0)
# Windows of frames, about a second: the least of 31 means of fewer is small by chance.
_LEAST = 25


@dataclasses.dataclass(frozen=True)
class FaceSync:
    """How well the lips of a face fit the sound.

    Args:
        first: second of the film at which the face is first seen.
        last: second at which it is last seen.
        windows: of five frames each, that the figures are means of.
        sync: the figures.
        pieces: those of the pieces it was seen in, if it was lost between; else none.
    """

    first: float
    last: float
    windows: int
    sync: Sync
    pieces: tuple[FaceSync, ...] = ()

    @property
    def weight(self) -> float:
        """Return how much speaks for this face being the speaker's."""
        # The least of noisy means is small by chance, and noise falls with the root of the number.
        return self.sync.confidence * math.sqrt(self.windows)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name; `offset_ms` is `offset` in milliseconds.

        The offset means nothing unless `clear`, see `Sync`. `pieces` has those of the pieces, where
        there are several.
        """
        figures = {
            "distance": self.sync.distance,
            "confidence": self.sync.confidence,
            "offset": int(self.sync.offset),
            "offset_ms": self.sync.offset * 1000 / FPS,
            "clear": self.sync.is_clear,
            "first": self.first,
            "last": self.last,
            "windows": self.windows,
        }
        if self.pieces:
            figures["pieces"] = [piece.as_dict() for piece in self.pieces]
        return figures


def measure_film(
    path: str | os.PathLike[str],
    expert: Any,
    detector: FaceDetector,
    *,
    every: int = 5,
    pads: Sequence[int] = PADS,
    reach: int = REACH,
    batch_size: int = 32,
    progress: bool = True,
) -> list[FaceSync]:
    """Return how well each face of a film fits the sound, the speaker's first.

    A person who is lost and found again, or seen in another scene, is seen in pieces; those of less
    than a second are left out. Pieces that are never seen at the same time are taken for one face,
    beginning with the piece that fits best, and their windows are judged together. Frames are read
    one by one; what the expert makes of ten minutes takes 60 MB.

    Args:
        path: a film with sound.
        expert: a `SyncNetColor` in evaluation mode.
        detector: finds faces.
        every: look for faces in each frame of this number, and follow them between.
        pads: pixels that are added to a face's box above, below, to the left and to the right.
        reach: frames by which the sound may be too early or too late.
        batch_size: windows that the expert sees at once.
        progress: show a bar.

    Raises:
        DataError: the film is missing, damaged or has no sound, or no face is seen for a second.
    """
    mel = read_voice(path).mel
    embedder = _Embedder(expert, batch_size)
    tracks = _Tracks(embedder)
    with VideoReader(path, fps=FPS) as reader, contextlib.ExitStack() as exits:
        frames = iter(reader)
        if progress:
            from tqdm import tqdm

            name, total = Path(path).name, reader.info.frame_count
            frames = iter(
                exits.enter_context(tqdm(frames, name, total, unit="frame", disable=None))
            )
        place = _Place(detector, pads)
        tracker = FaceTracker(detector, every=every)
        number = -1
        for number, (frame, faces) in enumerate(tracker.stream(frames)):
            for face in faces:
                tracks.see(number, face.id, place(frame, face))
    sounds = embedder.sounds(mel, number + 1)
    found = [
        _Piece(starts, lips, _judged(starts, lips, sounds, reach))
        for starts, lips in tracks.finished()
        if np.isin(starts, np.arange(len(sounds))).sum() >= _LEAST
    ]
    if not found:
        raise DataError(
            f"no face is seen for a second with sound in {os.fspath(path)} (looked for by "
            f"{detector_name(detector)!r})"
        )
    return [_together(pieces, sounds, reach) for pieces in _persons(found)]


class _Place:
    """Cut faces out as Wav2Lip sees them.

    Args:
        detector: what finds them.
        pads: see `measure_film`.
    """

    def __init__(self, detector: FaceDetector, pads: Sequence[int]) -> None:
        self._detector = detector
        self._pads = pads

    def __call__(self, frame: np.ndarray, tracked: TrackedFace) -> np.ndarray | None:
        """Return a face with blue first, uint8 [3, 96, 96]; None if too little of it is there."""
        box = self._detector.whole_face(tracked.face.box)
        place = face_place(box, self._pads, frame.shape[:2])
        if place is None:
            return None
        x1, y1, x2, y2 = place
        return resize(frame[y1:y2, x1:x2], (SIZE, SIZE))[..., ::-1].transpose(2, 0, 1)


class _Embedder:
    """Ask the expert batch by batch.

    Args:
        expert: a `SyncNetColor` in evaluation mode.
        batch_size: windows at once.
    """

    def __init__(self, expert: Any, batch_size: int) -> None:
        self._expert, self.batch_size = expert, batch_size

    def lips(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """Return embeddings [N, D] of clips uint8 [3, 5, 96, 96]."""
        import paddle

        with paddle.no_grad():
            faces = paddle.to_tensor(np.stack(clips).astype(np.float32) / np.float32(255))
            return self._expert.see(mouths_of(faces)).numpy()

    def sounds(self, mel: np.ndarray, frames: int) -> np.ndarray:
        """Return embeddings [F, D] of what is heard from each frame on, as long as there is sound.

        Args:
            mel: [80, C].
            frames: of the film, at least F.
        """
        import paddle

        starts = np.array([column_of(frame, FPS) for frame in range(frames)], np.int64)
        starts = starts[starts + WINDOW <= mel.shape[1]]
        parts = []
        for i in range(0, len(starts), self.batch_size):
            windows = windows_of(mel, starts[i : i + self.batch_size])[:, np.newaxis]
            with paddle.no_grad():
                parts.append(self._expert.hear(paddle.to_tensor(windows)).numpy())
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


class _Tracks:
    """Gather what the expert sees of each person.

    Args:
        embedder: asks it.
    """

    def __init__(self, embedder: _Embedder) -> None:
        self._embedder = embedder
        self._recent: dict[int, collections.deque[tuple[int, np.ndarray]]] = {}
        self._waiting: list[tuple[int, int, np.ndarray]] = []  # id, first frame, clip
        self._starts: dict[int, list[int]] = {}
        self._lips: dict[int, list[np.ndarray]] = {}

    def see(self, number: int, id: int, face: np.ndarray | None) -> None:
        """Add a person's face in a frame, uint8 [3, 96, 96]."""
        for other in [i for i, recent in self._recent.items() if recent[-1][0] < number - 1]:
            del self._recent[other]
        if face is None:
            return
        recent = self._recent.setdefault(id, collections.deque(maxlen=FRAMES))
        recent.append((number, face))
        if len(recent) == FRAMES:
            clip = np.stack([each for _, each in recent], axis=1)
            self._waiting.append((id, recent[0][0], clip))
        if len(self._waiting) >= self._embedder.batch_size:
            self._embed()

    def finished(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield first frames [N] and embeddings [N, D] of each person's windows."""
        self._embed()
        for id, starts in self._starts.items():
            yield np.array(starts), np.stack(self._lips[id])

    def _embed(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        lips = self._embedder.lips([clip for _, _, clip in waiting])
        for (id, start, _), embedding in zip(waiting, lips, strict=True):
            self._starts.setdefault(id, []).append(start)
            self._lips.setdefault(id, []).append(embedding.copy())


@dataclasses.dataclass(frozen=True, eq=False)
class _Piece:
    """What the expert sees of a face that is followed without being lost.

    Args:
        starts: first frames of its windows, [N].
        lips: their embeddings, [N, D].
        face: how well they fit the sound.
    """

    starts: np.ndarray
    lips: np.ndarray
    face: FaceSync

    @functools.cached_property
    def frames(self) -> frozenset[int]:
        """Return the frames it is seen in."""
        return frozenset((self.starts[:, np.newaxis] + np.arange(FRAMES)).flat)


def _persons(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Return pieces that can be one face's, as none is seen while another is; the speaker's first.

    The second face is seen while the first is, at least for a moment, and so on.
    """
    persons: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda piece: piece.face.weight, reverse=True):
        for person in persons:
            if all(piece.frames.isdisjoint(other.frames) for other in person):
                person.append(piece)
                break
        else:
            persons.append([piece])
    return persons


def _together(pieces: Sequence[_Piece], sounds: np.ndarray, reach: int) -> FaceSync:
    """Return how well all pieces of a face fit the sound, as if it had never been lost."""
    if len(pieces) == 1:
        return pieces[0].face
    pieces = sorted(pieces, key=lambda piece: piece.starts[0])
    starts, lips = (
        np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("starts", "lips")
    )
    face = _judged(starts, lips, sounds, reach)
    return dataclasses.replace(face, pieces=tuple(piece.face for piece in pieces))


def _judged(starts: np.ndarray, lips: np.ndarray, sounds: np.ndarray, reach: int) -> FaceSync:
    """Return how well windows of lips fit the sound, in the order of the film."""
    return FaceSync(
        first=starts[0] / FPS,
        last=(starts[-1] + FRAMES) / FPS,
        windows=len(starts),
        sync=judge(_mean_distances(lips, sounds, starts, reach)),
    )


def _mean_distances(
    lips: np.ndarray, sounds: np.ndarray, starts: np.ndarray, reach: int
) -> np.ndarray:
    """Return the mean distances of lips and sounds by offset, [2 reach + 1]; NaN without any."""
    means = np.full(2 * reach + 1, np.nan)
    for offset in range(-reach, reach + 1):
        heard = starts + offset
        there = (heard >= 0) & (heard < len(sounds))
        if there.any():
            apart = lips[there] - sounds[heard[there]]
            means[offset + reach] = np.linalg.norm(apart, axis=1).mean()
    return means


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `ppzoo measure sync` understands."""
    add = parser.add_argument
    add("what", choices=["sync"], help=argparse.SUPPRESS)
    add("--video", type=Path, nargs="+", required=True, metavar="FILE", help="films, or folders")
    add("--weights", type=Path, metavar="FILE", help="a sync expert's, else PaddleGAN's")
    add("--face-detector", choices=get_args(DetectorName), default="auto", help="(auto)")
    add("--detector-weights", type=Path, metavar="FILE", help="of sfd or blazeface")
    add("--detect-every", type=int, default=5, metavar="N", help="look for faces so often (5)")
    pads = {"nargs": 4, "type": int, "default": PADS, "metavar": "N"}
    add("--pads", **pads, help="pixels added to a face: top, bottom, left, right (0 10 0 0)")
    add("--reach", type=int, default=REACH, metavar="N", help="frames earlier and later (15)")
    add("--batch-size", type=int, default=32, metavar="N", help="of no account for figures")
    add("--json", type=Path, metavar="FILE", help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measure and print, and return 1 if films had to be left out.

    Raises:
        UserError: an option is out of range, weights are missing, or no film can be measured.
    """
    for name, least in (("detect_every", 1), ("reach", 5), ("batch_size", 1)):
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')} must be {least} or more")
    paths = [path for given in args.video for path in find_videos(given)]
    runtime.select_device(None)
    expert = load_expert(args.weights)
    detector = detector_of_film(args.face_detector, args.detector_weights)
    films: dict[Path, list[FaceSync]] = {}
    left_out: dict[Path, str] = {}
    for path in paths:
        try:
            films[path] = measure_film(
                path,
                expert,
                detector,
                every=args.detect_every,
                pads=args.pads,
                reach=args.reach,
                batch_size=args.batch_size,
            )
        except DataError as error:
            left_out[path] = str(error)
            if len(paths) > 1:
                sys.stderr.write(f"note: {error}; this film is left out\n")
            continue
        _say(f"{path}: {_told(films[path])}")
    means = _means(films) if films else None
    if means is not None and len(films) > 1:
        _say(
            f"mean of {len(films)} films: distance (LSE-D) {means['distance']:.4f}, confidence "
            f"(LSE-C) {means['confidence']:.4f}; {means['within_one']:.0%} within one frame"
        )
    if args.json is not None:
        content = {
            "expert": "official" if args.weights is None else str(args.weights),
            "reach": args.reach,
            "mean": means,
            "films": {str(path): [face.as_dict() for face in films[path]] for path in films},
            "left_out": {str(path): reason for path, reason in left_out.items()},
        }
        with atomic_write(args.json) as file:
            file.write(json.dumps(content, indent=2).encode("utf-8") + b"\n")
    if not films:
        none = f"none of {len(paths)} films can be measured"
        raise DataError(none if len(paths) > 1 else left_out[paths[0]])
    return 1 if left_out else 0


def _means(films: dict[Path, list[FaceSync]]) -> dict[str, float]:
    speakers = [faces[0].sync for faces in films.values()]
    return {
        "distance": float(np.mean([sync.distance for sync in speakers])),
        "confidence": float(np.mean([sync.confidence for sync in speakers])),
        "within_one": float(
            np.mean([sync.is_clear and abs(sync.offset) <= 1 for sync in speakers])
        ),
    }


def _told(faces: Sequence[FaceSync]) -> str:
    face = faces[0]
    distance, confidence, offset, _ = face.sync
    if not face.sync.is_clear:
        when = "lips and sound fit at no offset"
    elif offset:
        way = "late" if offset > 0 else "early"
        when = f"the sound is {abs(offset):.0f} frames ({abs(offset) * 1000 / FPS:.0f} ms) {way}"
    else:
        when = "the sound is on time"
    pieces = f" in {len(face.pieces)} pieces" if face.pieces else ""
    others = {1: "", 2: ", 1 other face"}.get(len(faces), f", {len(faces) - 1} other faces")
    return (
        f"distance (LSE-D) {distance:.4f}, confidence (LSE-C) {confidence:.4f}, {when} "
        f"(a face from {face.first:.1f} to {face.last:.1f} s{pieces}{others})"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
