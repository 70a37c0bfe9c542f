# SPDX-License-Identifier: Apache-2.0
"""Faces by a cascade of local binary patterns, which needs no download.

The cascade is scikit-image's (from OpenCV's `lbpcascade_frontalface`; OpenCV 5 has no reader for
it, and that of OpenCV 4 does not know its format). It answers with many windows around a face and
with few around what only resembles one, so the number of windows that agree is the score.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ppzoo.faces.detector import Face, FaceDetector

_WINDOW = 24  # pixels: the smallest face that the cascade can see
_STEP = 1.1  # between sizes of the window
_MARGIN = 1 / 8  # of the shorter side, added all around for faces that fill the picture
_SMALLEST_LEANING = 0.18  # of the shorter side
_ROLLS = np.arange(-50.0, 51.0, 10.0)  # degrees at which a face that was found is tried


class CascadeDetector(FaceDetector):
    """Finds frontal faces, upright or leaning.

    Leaning faces are looked for where nothing upright is found.

    Args:
        search_size: the longer side, in pixels, that larger pictures are reduced to for the search.
        smallest_face: the smallest face to look for, as a share of the picture's shorter side.
        min_votes: how many windows must agree on a face; twice as many on a leaning one.
        angles: degrees that the picture is turned by to find leaning faces.
    """

    is_from_brows = True

    def __init__(
        self,
        search_size: int = 480,
        smallest_face: float = 0.09,
        min_votes: int = 8,
        angles: tuple[float, ...] = (-20.0, 20.0, -40.0, 40.0),
    ) -> None:
        if search_size < 4 * _WINDOW:
            raise ValueError(f"search_size must be {4 * _WINDOW} or more, got {search_size}")
        if not 0 < smallest_face <= 1:
            raise ValueError(f"smallest_face is a share from 0 to 1, got {smallest_face}")
        if min_votes < 1:
            raise ValueError(f"min_votes must be positive, got {min_votes}")
        self.search_size = search_size
        self.smallest_face = smallest_face
        self.min_votes = min_votes
        self.angles = tuple(angles)

    def _detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: np.ndarray) -> list[Face]:
        grey, scale, margin = self._prepared(image)
        shortest = min(grey.shape) - 2 * margin
        smallest = max(_WINDOW, round(self.smallest_face * shortest))
        sizes = (smallest, min(grey.shape))
        found = self._agreeing(_windows(grey, 0.0, sizes), self.min_votes)
        if not found:
            # Small windows take most of the time, and pictures without a face come here as well.
            sizes = (max(smallest, round(_SMALLEST_LEANING * shortest)), sizes[1])
            turned = [_windows(grey, angle, sizes) for angle in self.angles]
            windows = np.concatenate([np.zeros((0, 4)), *turned])
            # More chances to be mistaken, hence more votes.
            found = self._agreeing(windows, self.min_votes * 2)
        faces = []
        for votes, (x, y, size, _) in found:
            roll = _measured_roll(grey, x, y, size)
            corners = np.array([x, y, x, y]) + np.array([-1, -1, 1, 1]) * size / 2
            box = tuple(((corners - margin) / scale).tolist())
            faces.append(Face(box, votes / (votes + self.min_votes), None, roll))
        return faces

    def _prepared(self, image: np.ndarray) -> tuple[np.ndarray, float, int]:
        """Return the grey search picture, its scale, and the pixels added at each edge."""
        import cv2

        height, width = image.shape[:2]
        scale = self.search_size / max(height, width)
        if scale > 1:
            # So small that a face in it may be smaller than the cascade's window.
            scale = min(scale, max(1.0, 5 * _WINDOW / min(height, width)))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        # Reduced first: converting all of a large picture would cost more than the search.
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        reduced = image if scale == 1 else cv2.resize(image, size, interpolation=mode)
        grey = cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY)
        margin = round(_MARGIN * min(size))
        border = cv2.BORDER_REPLICATE
        return cv2.copyMakeBorder(grey, margin, margin, margin, margin, border), scale, margin

    @staticmethod
    def _agreeing(windows: np.ndarray, votes: float) -> list[tuple[int, np.ndarray]]:
        return _without_inner([group for group in _grouped(windows) if group[0] >= votes])


@functools.cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _windows(grey: np.ndarray, angle: float, sizes: tuple[int, int]) -> np.ndarray:
    """Return all windows that hold a face leaning by `angle`: [N, 4] of (x, y, size, angle).

    (x, y) is the middle of the window in `grey`, and `size` its side.
    """
    import cv2

    smallest, largest = sizes
    if min(grey.shape) < _WINDOW or largest < smallest:
        return np.zeros((0, 4))
    back = np.eye(2, 3)
    if angle:
        grey, back = _upright(grey, angle)
    # A threshold above 1 keeps the cascade from merging windows: how many they are is the score.
    windows = _cascade().detect_multi_scale(
        img=grey,
        scale_factor=_STEP,
        step_ratio=1,
        min_size=(smallest, smallest),
        max_size=(largest, largest),
        min_neighbor_number=0,
        intersection_score_threshold=2.0,
    )
    squares = [(found["c"], found["r"], found["width"]) for found in windows]
    table = np.array(squares, dtype=np.float64).reshape(-1, 3)
    middles = (table[:, :2] + table[:, 2:] / 2).reshape(-1, 1, 2)
    middles = cv2.transform(middles, back).reshape(-1, 2) if len(table) else table[:, :2]
    return np.column_stack([middles, table[:, 2], np.full(len(table), angle)])


def _upright(grey: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn what leans by `angle` upright; return the picture and the matrix that leads back."""
    import cv2

    height, width = grey.shape
    # Positive angles of OpenCV turn counter-clockwise, which undoes a clockwise lean.
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    cosine, sine = np.abs(matrix[0, :2])
    size = np.ceil([width * cosine + height * sine, width * sine + height * cosine])
    matrix[:, 2] += size / 2 - (width / 2, height / 2)
    turned = cv2.warpAffine(
        grey, matrix, tuple(size.astype(int).tolist()), borderMode=cv2.BORDER_REPLICATE
    )
    return turned, cv2.invertAffineTransform(matrix)


def _grouped(windows: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return (number of windows, mean window) of each group, largest group first."""
    if not len(windows):
        return []
    sizes = windows[:, 2]
    smaller = np.minimum(sizes[:, np.newaxis], sizes)
    larger = np.maximum(sizes[:, np.newaxis], sizes)
    apart = windows[:, np.newaxis, :2] - windows[:, :2]
    near = (np.hypot(apart[..., 0], apart[..., 1]) < 0.35 * smaller) & (larger < 1.6 * smaller)
    left = np.ones(len(windows), dtype=bool)
    groups = []
    while left.any():
        middle = int(np.where(left, (near & left).sum(1), -1).argmax())
        members = near[middle] & left
        groups.append((int(members.sum()), windows[members].mean(0)))
        left &= ~members
    return groups


def _without_inner(groups: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """Drop what overlaps a group of more windows: parts of a face resemble faces."""
    kept: list[tuple[int, np.ndarray]] = []
    for votes, (x, y, size, angle) in groups:
        inside = any(
            max(abs(x - other[0]), abs(y - other[1])) < (size + other[2]) * 0.4 for _, other in kept
        )
        if not inside:
            kept.append((votes, np.array([x, y, size, angle])))
    return kept


def _measured_roll(grey: np.ndarray, x: float, y: float, size: float) -> float:
    """Return how far a face leans: the mean of the angles at which the cascade sees it."""
    import cv2

    # The crop is as large as a turned window needs, and its face as large as pays.
    side = max(int(np.ceil(size * 1.9)), 1)
    crop = cv2.getRectSubPix(grey, (side, side), (x, y))
    scale = min(1.0, 2 * _WINDOW / size)
    if scale < 1:
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = size * scale
    limits = (max(_WINDOW, round(face * 0.75)), round(face * 1.35))
    votes = []
    for angle in _ROLLS:
        windows = _windows(crop, angle, limits)
        middle = np.array(crop.shape[::-1]) / 2
        near = np.hypot(*(windows[:, :2] - middle).T) < 0.35 * face
        votes.append(int(near.sum()))
    weights = np.array(votes, dtype=np.float64)
    return float(weights @ _ROLLS / weights.sum()) if weights.any() else 0.0
