# SPDX-License-Identifier: Apache-2.0
"""What the datasets of pictures share: from a uint8 picture to what a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle

from ppzoo.data.preprocess import is_random
from ppzoo.data.transforms import resize
from ppzoo.errors import DataError


class Finish:
    """Apply a dataset's `transforms` to a picture and make it float32 [C, H, W].

    Whatever the transforms leave undone is done: axes are put in order, and a picture that is
    still uint8 is scaled to [-1, 1].

    Args:
        transforms: transforms of uint8 pictures [H, W, C].
    """

    def __init__(self, transforms: Sequence[Any] | None) -> None:
        self.transforms = list(transforms or ())
        self.is_random = is_random(self.transforms)
        self._chw = any(getattr(step, "output_chw", False) for step in self.transforms)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return float32 [C, H, W] for a uint8 picture [H, W, C] or [H, W]."""
        image = image[..., np.newaxis] if image.ndim == 2 else image
        for transform in self.transforms:
            image = transform(image)
        return scale_levels(image if self._chw else image.transpose(2, 0, 1))


def scale_levels(images: np.ndarray) -> np.ndarray:
    """Return uint8 pictures of any shape as float32 in [-1, 1], others as float32 unchanged."""
    if images.dtype != np.uint8:
        return images.astype(np.float32, copy=False)
    scaled = images.astype(np.float32)
    scaled /= np.float32(127.5)
    scaled -= np.float32(1)
    return scaled


def crop_and_fit(image: np.ndarray, crop: int | None, size: int) -> np.ndarray:
    """Return the centre of a picture as a square.

    Args:
        image: uint8 [H, W, C].
        crop: side of the square that is cut out, the shorter side by default.
        size: side of the result.

    Returns:
        uint8 [size, size, C].

    Raises:
        DataError: the picture is smaller than `crop`.
    """
    height, width = image.shape[:2]
    side = min(height, width) if crop is None else crop
    if side > min(height, width):
        raise DataError(
            f"a picture of {width} x {height} pixels is smaller than the crop of {side}; "
            "choose a smaller 'crop'"
        )
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # Averaging keeps a shrunken picture free of aliasing; it cannot enlarge.
    return resize(square, (size, size), "area" if size <= side else "bicubic")


class ArrayDataset(paddle.io.Dataset):
    """Pictures in memory, with labels.

    A sample is `img`, float32 [C, H, W], and, if `return_label`, `class_id`, int64 [].

    Args:
        images: uint8 [N, H, W, C].
        labels: int64 [N].
        transforms: transforms of uint8 pictures [H, W, C]; see `Finish`.
        return_label: whether samples have a `class_id`.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        transforms: Sequence[Any] | None = None,
        return_label: bool = True,
    ) -> None:
        super().__init__()
        self.images = images
        self.labels = labels
        self.return_label = return_label
        self.finish = Finish(transforms)

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return self.finish.is_random

    def get_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Return the samples at `indices`, stacked; the loader's fast path."""
        images = self.images[indices]
        if self.finish.transforms:
            batch = {"img": np.stack([self.finish(image) for image in images])}
        else:
            batch = {"img": scale_levels(images.transpose(0, 3, 1, 2))}
        if self.return_label:
            batch["class_id"] = self.labels[indices]
        return batch

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        sample = {"img": self.finish(self.images[index])}
        if self.return_label:
            sample["class_id"] = np.asarray(self.labels[index])
        return sample

    def __len__(self) -> int:
        return len(self.images)
