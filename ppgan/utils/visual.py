# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's pictures of tensors."""

from __future__ import annotations

import numpy as np

from ppzoo.media.image import make_grid, tensor2img, write_image

__all__ = ["make_grid", "mask2image", "save_image", "tensor2img"]


def save_image(image_numpy: np.ndarray, image_path: str, aspect_ratio: float = 1.0) -> None:
    """Write a picture uint8 RGB [H, W, 3].

    Args:
        image_numpy: the picture.
        image_path: of the file.
        aspect_ratio: above 1, it is made so many times as wide; below, so many times as high.
    """
    import cv2

    image = np.asarray(image_numpy)
    height, width = image.shape[:2]
    if aspect_ratio > 1:
        width = int(width * aspect_ratio)
    elif aspect_ratio < 1:
        height = int(height / aspect_ratio)
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    write_image(image_path, image)


def mask2image(mask: np.ndarray, format: str = "HWC") -> np.ndarray:
    """Return a picture of classes in colours, uint8 RGB [H, W, 3].

    Args:
        mask: the class of each pixel [H, W], from 0 up.
        format: accepted as PaddleGAN's, which knows no other.
    """
    classes = np.asarray(mask).astype(np.intp)
    # The same colours at each call, unlike PaddleGAN's.
    colours = np.random.RandomState(0).randint(0, 256, (classes.max(initial=0) + 1, 3), np.uint8)
    return colours[classes]
