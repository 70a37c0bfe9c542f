# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's pictures of faces."""

from __future__ import annotations

import os

import numpy as np

from ppzoo.media.image import read_image

__all__ = ["load_image", "resize_by_max"]


def load_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a picture, uint8 RGB [H, W, 3]."""
    return read_image(path)


def resize_by_max(image: np.ndarray, max_side: int = 512, force: bool = False) -> np.ndarray:
    """Return a picture made smaller, so that its longer side is `max_side`.

    Args:
        image: uint8 [H, W, 3].
        max_side: in pixels.
        force: enlarge smaller pictures, too.
    """
    import cv2

    height, width = image.shape[:2]
    ratio = max(height, width) / max_side
    if ratio < 1 and not force:
        return image
    return cv2.resize(image, (round(width / ratio), round(height / ratio)))
