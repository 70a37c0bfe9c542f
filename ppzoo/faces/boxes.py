# SPDX-License-Identifier: Apache-2.0
"""Boxes in pictures: (x1, y1, x2, y2) in pixels, the right and lower edges exclusive."""

from __future__ import annotations

import numpy as np

# (left, upper, right, lower) edges of a tall box, in sides of the square one.
_TALL = (0.08, -0.04, 0.92, 1.06)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with each of the others.

    Args:
        boxes: [N, 4] in any unit.
        others: [M, 4].

    Returns:
        [N, M] from 0 to 1; 0 where both boxes are empty.
    """
    boxes, others = np.asarray(boxes)[:, np.newaxis], np.asarray(others)[np.newaxis]
    low, high = (
        np.maximum(boxes[..., :2], others[..., :2]),
        np.minimum(boxes[..., 2:], others[..., 2:]),
    )
    shared = (high - low).clip(0).prod(-1)
    union = _areas(boxes) + _areas(others) - shared
    return np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2:4] - boxes[..., :2]).clip(0).prod(-1)


def non_maximum_suppression(boxes: np.ndarray, threshold: float) -> list[int]:
    """Return which boxes to keep, best first, so that no two overlap much.

    As in PaddleGAN, a box is taken to be a pixel longer and wider than its corners are apart.

    Args:
        boxes: [N, 5] of (x1, y1, x2, y2, score), in pixels.
        threshold: the intersection over union, from 0 to 1, above which the box of the smaller
            score is dropped.
    """
    boxes = np.asarray(boxes)
    if not len(boxes):
        return []
    widened = boxes[:, :4] + np.array([0, 0, 1, 1])
    left = boxes[:, 4].argsort()[::-1]
    kept = []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(int(best))
        left = rest[overlaps(widened[best][np.newaxis], widened[rest])[0] <= threshold]
    return kept


def enlarge(box: np.ndarray | tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Return a box about the same middle, `factor` times as wide and as high.

    Args:
        box: (x1, y1, x2, y2).
        factor: positive; below 1 the box shrinks.

    Raises:
        ValueError: a factor that is not positive.
    """
    if not factor > 0:
        raise ValueError(f"a box is enlarged by a positive factor, got {factor}")
    x1, y1, x2, y2 = (float(value) for value in box)
    dx, dy = (x2 - x1) * (factor - 1) / 2, (y2 - y1) * (factor - 1) / 2
    return x1 - dx, y1 - dy, x2 + dx, y2 + dy


def hairline_to_chin(box: np.ndarray | tuple[float, ...]) -> tuple[float, ...]:
    """Return the box as S3FD gives it of a face whose box, from brows to chin, is a square.

    What lip-sync models know ends below the chin; boxes of the cascade and of BlazeFace end in it.
    The numbers are medians of 29 pictures, between the cascade and a detector that was trained on
    S3FD's boxes (WIDER FACE); half of the pictures are within 0.04 of a side of them.

    Args:
        box: (x1, y1, x2, y2) in pixels.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    width, height = x2 - x1, y2 - y1
    left, top, right, bottom = _TALL
    return x1 + left * width, y1 + top * height, x1 + right * width, y1 + bottom * height


def clip(box: np.ndarray | tuple[float, ...], height: int, width: int) -> tuple[float, ...]:
    """Return the part of a box that lies in a picture; a box beside it becomes empty.

    Args:
        box: (x1, y1, x2, y2) in pixels.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
    """
    limits = (width, height, width, height)
    return tuple(
        min(max(float(value), 0.0), float(limit)) for value, limit in zip(box, limits, strict=True)
    )
