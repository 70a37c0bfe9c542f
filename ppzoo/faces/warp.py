# SPDX-License-Identifier: Apache-2.0
"""Affine cuts out of pictures, without aliasing where they shrink.

Matrices are OpenCV's: [2, 3], they map (x, y, 1) of the picture to (x, y) of the cut, and whole
numbers are the middles of pixels, whereas boxes have pixels' edges at whole numbers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Border = Literal["replicate", "white", "black"]
_LEVELS = {"white": 255, "black": 0}


def square_matrix(
    middle: np.ndarray | tuple[float, float], side: float, size: int, roll: float = 0.0
) -> np.ndarray:
    """Return the matrix that cuts a square out of a picture.

    Args:
        middle: (x, y) of the square in the picture, in pixels, pixels' edges at whole numbers.
        side: of the square in the picture, in pixels.
        size: of the cut, in pixels.
        roll: how far the square leans, in degrees, clockwise positive; the cut is upright.
    """
    scale, angle = size / side, np.radians(roll)
    linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # From edges at whole numbers to middles at whole numbers, in both pictures.
    offset = size / 2 - 0.5 - linear @ (np.asarray(middle, dtype=np.float64) - 0.5)
    return np.column_stack([linear, offset])


def warp(
    image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], border: Border = "replicate"
) -> np.ndarray:
    """Return a cut of a picture.

    Args:
        image: uint8 or float32 [H, W] or [H, W, C].
        matrix: [2, 3], from the picture to the cut.
        size: (height, width) of the cut.
        border: what lies beyond the picture: its nearest pixel, or a colour.

    Returns:
        [*size] or [*size, C] of the picture's type.
    """
    import cv2

    # Reduced first to less than twice the cut's resolution, so that no pixel is left out.
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    factor = int(1 / max(scale, 1e-3) + 1e-6)
    if factor > 1:
        height, width = image.shape[:2]
        reduced = (max(1, round(width / factor)), max(1, round(height / factor)))
        ratio = np.array([width, height]) / reduced
        offset = matrix[:, 2] + matrix[:, :2] @ ((ratio - 1) / 2)
        matrix = np.column_stack([matrix[:, :2] * ratio, offset])
        image = cv2.resize(image, reduced, interpolation=cv2.INTER_AREA)
    return cv2.warpAffine(
        image,
        matrix,
        size[::-1],
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if border == "replicate" else cv2.BORDER_CONSTANT,
        borderValue=(_LEVELS.get(border, 0),) * 4,
    )
