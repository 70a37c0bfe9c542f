# SPDX-License-Identifier: Apache-2.0
"""Films of green and blue "faces" that a fake detector finds by their colours."""

from __future__ import annotations

import collections
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from ppzoo.apps.talking_clips import Recipe
from ppzoo.errors import UserError
from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.media.video import VideoWriter

HEIGHT, WIDTH, SIDE = 96, 128, 32
RATE = 16000
Place = Callable[[int], "tuple[float, float] | None"]


def still(number: int) -> tuple[float, float]:
    return (44, 30)


def draw(number: int, places: tuple[Place, ...]) -> np.ndarray:
    """Return a frame with a green square, and a blue one, whose upper left corners are places."""
    frame = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    frame[::8] = 90  # something to follow
    for channel, place in zip((1, 2), places, strict=False):
        corner = place(number)
        if corner is None:
            continue
        x, y = (round(value) for value in corner)
        part = frame[max(y, 0) : max(y + SIDE, 0), max(x, 0) : max(x + SIDE, 0)]
        part[:] = 30
        part[..., channel] = 220
    return frame


def write_film(
    path: Path,
    *places: Place,
    count: int = 50,
    fps: Fraction | int = 25,
    sound: np.ndarray | None = None,
) -> Path:
    """Write a film; with sound, float [N] at 16 kHz."""
    audio = None
    path.parent.mkdir(parents=True, exist_ok=True)
    if sound is not None:
        audio = path.with_suffix(".wav")
        wavfile.write(audio, RATE, np.round(sound * 32767).astype(np.int16))
    with VideoWriter(path, fps, audio, crf=4, preset="ultrafast") as writer:
        for number in range(count):
            writer.write(draw(number, places or (still,)))
    if audio is not None:
        audio.unlink()
    return path


def hum(seconds: float) -> np.ndarray:
    """Return a sound for `write_film`."""
    return 0.3 * np.sin(np.arange(round(seconds * RATE)) * 0.2)


class ColourDetector(FaceDetector):
    """Finds the squares of `draw`, also where they are partly beside the picture."""

    def _detect(self, images):
        return [self._one(image.astype(int)) for image in images]

    @staticmethod
    def _one(image):
        faces = []
        for channel in (1, 2):
            others = [image[..., other] for other in range(3) if other != channel]
            rows, columns = np.nonzero(image[..., channel] - np.maximum(*others) > 60)
            if len(rows):
                x1, x2, y1, y2 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
                x1 = x2 - SIDE if x1 == 0 else x1
                faces.append(Face((float(x1), float(y1), float(x1 + SIDE), float(y2)), 0.9))
        return faces


RECIPE = Recipe(
    layout="motion",
    size=64,
    fps=Fraction(25),
    margin=0.5,
    min_seconds=0.8,
    max_seconds=10.0,
    max_faces=1,
    min_face=8,
    detector="sfd",
    every=5,
    store="frames",
)


class Here:
    """`run_apart` without processes; counts how often each film was worked on.

    Args:
        fails: exceptions that stop the work on films of these names.
    """

    def __init__(self, fails: dict[str, BaseException] | None = None) -> None:
        self.fails = fails or {}
        self.films: collections.Counter[str] = collections.Counter()

    def __call__(self, work, tasks, workers, hear):
        for task in tasks:
            self.films[task.film.name] += 1
            if task.film.name in self.fails:
                task.target.mkdir(parents=True)
                (task.target / "half").write_text("of a clip")
                raise self.fails[task.film.name]
            try:
                yield task, work(task, hear)
            except UserError as error:
                yield task, error
