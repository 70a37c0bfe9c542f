# SPDX-License-Identifier: Apache-2.0
"""Faces cut out of pictures and films as talking heads are trained on: half of a square's height.

Boxes are (x1, y1, x2, y2) in pixels, the right and lower edges exclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ppzoo.faces.blend import smooth_step
from ppzoo.faces.boxes import overlaps
from ppzoo.faces.detector import Face, FaceDetector

Part = tuple[int, int, int, int]

_FACES = 2.0  # sides of the square per side of the face: PaddleGAN's margins, above and below
_NEARLY = 0.9  # of the shorter side of a picture, from which on a square is as large as that side
_DOUBLE = 0.5  # intersection over union of two squares, above which their faces are one
_LOOKS = 4  # frames that a detector is given at once
_OFTEN = 0.25  # of the looks, in which a driver's face must be found to be believed in


@dataclass(frozen=True)
class FacePlace:
    """Where a face is in a picture.

    Args:
        square: about the face, see `face_square`.
        middle: (x, y) of the face; at the picture's edge not that of the square.
    """

    square: Part
    middle: tuple[float, float]


def face_square(box: Sequence[float], size: tuple[int, int]) -> Part:
    """Return the square about a face, twice its size, inside of the picture.

    PaddleGAN takes as much above and below the face's middle and less to its sides, cuts off what
    lies beyond the picture and squeezes the rest into a square. Here a square at the picture's edge
    is shifted inside, and no larger than the picture, so that nothing is squeezed.

    Args:
        box: of the face.
        size: height and width of the picture.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return _square(((x1 + x2) / 2, (y1 + y2) / 2), _FACES * max(x2 - x1, y2 - y1), size)


def centre_square(size: tuple[int, int]) -> Part:
    """Return the largest square in the middle of a picture of a height and width."""
    height, width = size
    return _square((width / 2, height / 2), min(size), size)


def without_doubles(faces: Iterable[Face], size: tuple[int, int]) -> list[FacePlace]:
    """Return where faces are, in their order, without those that lie on an earlier one.

    Args:
        faces: the largest first.
        size: height and width of the picture.
    """
    kept: list[FacePlace] = []
    for face in faces:
        square = face_square(face.box, size)
        others = np.array([place.square for place in kept]).reshape(-1, 4)
        if not (overlaps(np.array([square]), others) > _DOUBLE).any():
            x1, y1, x2, y2 = face.box
            kept.append(FacePlace(square, ((x1 + x2) / 2, (y1 + y2) / 2)))
    return kept


def driver_square(
    frames: Iterable[np.ndarray], detector: FaceDetector, every: int, size: tuple[int, int]
) -> Part | None:
    """Return the square of a film that shows its largest face, the same in all frames.

    It is as large as `face_square` makes it about the face's median place, and larger where the
    face moves out of that. It does not follow the face: its motion is what a driver is for.

    Args:
        frames: of the film, uint8 RGB [H, W, 3].
        detector: finds faces.
        every: look at every so many frames.
        size: height and width of the film.

    Returns:
        None if there is no face in at least a quarter of the frames that were looked at.
    """
    found: list[tuple[float, ...]] = []
    looks, waiting = 0, []

    def look() -> None:
        faces = detector.detect_batch(waiting)
        found.extend(each[0].box for each in faces if each)
        waiting.clear()

    for index, frame in enumerate(frames):
        if index % every == 0:
            looks += 1
            waiting.append(frame)
        if len(waiting) == _LOOKS:
            look()
    if waiting:
        look()
    if not found or len(found) < _OFTEN * looks:
        return None
    boxes = np.array(found)
    usual = np.median(boxes, axis=0)
    # Others are somebody else, or no faces at all.
    same = boxes[overlaps(usual[np.newaxis], boxes)[0] > 0]
    x1, y1, x2, y2 = usual
    middle, half = np.array([x1 + x2, y1 + y2]) / 2, _FACES / 2 * max(x2 - x1, y2 - y1)
    low = np.minimum(middle - half, same[:, :2].min(axis=0))
    high = np.maximum(middle + half, same[:, 2:].max(axis=0))
    return _square(tuple((low + high) / 2), float((high - low).max()), size)


def face_masks(places: Sequence[FacePlace], ratio: float, feather: float) -> list[np.ndarray]:
    """Return for several faces what is seen of each, if they are laid down in their order.

    Each is an ellipse about the face's middle that fades. Where two of them meet, a later one is
    seen only where it is nearer to its own middle, in units of its own size: no face is covered by
    another's background.

    Args:
        places: of the faces.
        ratio: half the axes of the ellipses, as a share of the squares' sides.
        feather: how far ellipses fade, as a share of the side.

    Returns:
        float32 [H, W] of each square's size, from 0 to 1.
    """
    masks = []
    for index, place in enumerate(places):
        x1, y1, x2, y2 = place.square
        y, x = np.mgrid[y1:y2, x1:x2] + 0.5
        own = _distance(place, x, y)
        mask = smooth_step((ratio - own) / max(feather, 1e-6))
        for other in places[:index]:
            mask *= (0.5 + (_distance(other, x, y) - own) / max(feather, 1e-6)).clip(0, 1)
        masks.append(mask.astype(np.float32))
    return masks


def cut(picture: np.ndarray, part: Part) -> np.ndarray:
    """Return a part of a picture [H, W, C], not a copy."""
    x1, y1, x2, y2 = part
    return picture[y1:y2, x1:x2]


def _square(middle: Sequence[float], side: float, size: tuple[int, int]) -> Part:
    height, width = size
    shorter = min(size)
    whole = shorter if side >= _NEARLY * shorter else max(1, round(side))
    left, top = (
        int(np.clip(round(at - whole / 2), 0, limit - whole))
        for at, limit in zip(middle, (width, height), strict=True)
    )
    return left, top, left + whole, top + whole


def _distance(place: FacePlace, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far pixels are from a face's middle, in sides of its square."""
    return np.hypot(x - place.middle[0], y - place.middle[1]) / (place.square[2] - place.square[0])
