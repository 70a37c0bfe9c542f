# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's pictures of tensors."""

from __future__ import annotations

from ppzoo.media.image import tensor2img

__all__ = ["save_image", "tensor2img"]


def save_image(image_numpy: object, image_path: str, aspect_ratio: float = 1.0) -> None:
    """Write a picture uint8 RGB [H, W, 3].

    Args:
        image_numpy: the picture.
        image_path: of the file.
        aspect_ratio: above 1, it is made so many times as wide; below, so many times as high.
    """
    import cv2
    import numpy as np

    from ppzoo.media.image import write_image

    image = np.asarray(image_numpy)
    height, width = image.shape[:2]
    if aspect_ratio > 1:
        width = int(width * aspect_ratio)
    elif aspect_ratio < 1:
        height = int(height / aspect_ratio)
    if (height, width) != image.shape[:2]:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    write_image(image_path, image)
