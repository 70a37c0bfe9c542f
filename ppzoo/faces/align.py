# SPDX-License-Identifier: Apache-2.0
"""Faces put upright into a square of fixed size.

The square has the margins of the pictures that Photo2Cartoon was trained with, hair and shoulders
included. PaddleGAN takes them from dlib's 68 landmarks: its square is 2.1 times as high as the way
from brows to chin, the face's proportions make that 4.6 times the distance of the eyes, and these
lie at 46 hundredths of its height. Where a detector gives no eyes, they are taken from the box.
"""

from __future__ import annotations

import numpy as np

from ppzoo.faces.detector import Face, as_picture, roll_of_eyes
from ppzoo.faces.warp import Border, square_matrix, warp

_SIDE = 4.6  # of the square, in distances of the eyes
_EYE_LEVEL = 0.46  # of the square, from its upper edge
# The eyes come closer where a head turns aside, the mouth does not: it is so many distances of the
# eyes below them in a face seen from the front.
_MOUTH = 1.1
# Where the eyes are in the box of a face, and how far apart: (share of the height, of the width).
_IN_SQUARE_BOX = (0.39, 0.38)  # brows to chin, as the cascade gives them
_IN_TALL_BOX = (0.42, 0.46)  # hairline to chin, as S3FD gives them
_TALL = 1.15  # height over width


def align_face(
    image: np.ndarray,
    face: Face,
    size: int = 256,
    zoom: float = 1.0,
    border: Border = "replicate",
) -> tuple[np.ndarray, np.ndarray]:
    """Return a face put upright in a square, and the matrix that leads there.

    Args:
        image: uint8 RGB [H, W, 3], or grey [H, W] or [H, W, 1].
        face: a face of it, as a detector gives it.
        size: of the square, in pixels.
        zoom: above 1 the face fills more of the square, below 1 less.
        border: what lies beyond the picture: its nearest pixel, "white" or "black".

    Returns:
        uint8 [size, size, 3], and a float64 matrix [2, 3] that maps the picture to the square as
        OpenCV's `warpAffine` takes it.

    Raises:
        ValueError: a size or zoom that is not positive, an empty box, or an image that is none.
    """
    image = as_picture(image)
    if size < 1:
        raise ValueError(f"size must be positive, got {size}")
    if not zoom > 0:
        raise ValueError(f"zoom must be positive, got {zoom}")
    if border not in ("replicate", "white", "black"):
        raise ValueError(f"border must be 'replicate', 'white' or 'black', got {border!r}")
    eyes, distance, roll = _eyes(face)
    side = _SIDE * distance / zoom
    # Down the leaning face, from the eyes to the middle of the square.
    down = np.array([-np.sin(np.radians(roll)), np.cos(np.radians(roll))])
    middle = eyes + down * (0.5 - _EYE_LEVEL) * side
    matrix = square_matrix(middle, side, size, roll)
    return warp(image, matrix, (size, size), border), matrix


def _eyes(face: Face) -> tuple[np.ndarray, float, float]:
    """Return the point between the eyes, their distance in a face from the front, and the roll."""
    width, height = face.size
    if not (width > 0 and height > 0):
        raise ValueError(f"the face's box is empty: {face.box}")
    if face.landmarks is not None and len(face.landmarks) >= 2:
        points = np.asarray(face.landmarks, dtype=np.float64)
        eyes = points[:2].mean(0)
        distance = float(np.hypot(*(points[1] - points[0])))
        if len(points) >= 4:
            distance = max(distance, float(np.hypot(*(points[3] - eyes))) / _MOUTH)
        # Landmarks that have collapsed into a point say nothing.
        if distance > 0.1 * width:
            return eyes, distance, roll_of_eyes(points)
    x1, y1, x2, y2 = face.box
    level, apart = _IN_TALL_BOX if height > _TALL * width else _IN_SQUARE_BOX
    up = (0.5 - level) * height
    angle = np.radians(face.roll)
    eyes = np.array([(x1 + x2) / 2 + up * np.sin(angle), (y1 + y2) / 2 - up * np.cos(angle)])
    return eyes, apart * width, face.roll
