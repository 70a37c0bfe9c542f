# SPDX-License-Identifier: Apache-2.0
"""Transforms that treat all pictures of a tuple alike, and those of super-resolution and video.

Names and arguments are those of PaddleGAN's configs; see `transforms.py` for what a picture is.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.data.transforms import (
    Interpolation,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomVerticalFlip,
    ToTensor,
    Transform,
    Transpose,
    check_interpolation,
    check_probability,
    resize,
    size_pair,
)
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.registry import TRANSFORMS


@TRANSFORMS.register()
class PairedRandomCrop(RandomCrop):
    """Cut the same rectangle, at a random place, out of all pictures.

    Args:
        size: (height, width) or the side of a square, in pixels.
        keys: see `Transform`.
    """

    alike = True

    def __init__(self, size: int | Sequence[int], keys: Sequence[str] | None = None) -> None:
        super().__init__(size, keys=keys)


@TRANSFORMS.register()
class PairedRandomHorizontalFlip(RandomHorizontalFlip):
    """Swap left and right of all pictures or of none, with probability `prob`."""

    alike = True


@TRANSFORMS.register()
class PairedRandomVerticalFlip(RandomVerticalFlip):
    """Swap top and bottom of all pictures or of none, with probability `prob`."""

    alike = True


@TRANSFORMS.register()
class PairedRandomTransposeHW(Transform):
    """Swap rows and columns of all pictures or of none, with probability `prob`."""

    is_random = True
    alike = True

    def __init__(self, prob: float = 0.5, keys: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        self.prob = check_probability(prob, self)

    def draw(self, image: np.ndarray) -> bool:
        """Return whether to transpose."""
        return random.random() < self.prob

    def apply(self, image: np.ndarray, drawn: bool) -> np.ndarray:
        """Return [W, H, C] or the picture itself."""
        return np.ascontiguousarray(image.swapaxes(0, 1)) if drawn else image


@TRANSFORMS.register()
class PairedToTensor(ToTensor):
    """Turn all pictures [H, W, C] into float32 [C, H, W]; uint8 is scaled to [0, 1]."""


@TRANSFORMS.register()
class PairedColorJitter(Transform):
    """Change brightness, contrast, saturation and hue of all pictures by the same random amounts.

    Args:
        brightness: x draws a factor from [max(0, 1 - x), 1 + x]; (low, high) draws from there.
        contrast: likewise, about the mean grey of the picture.
        saturation: likewise, towards or away from grey.
        hue: x <= 0.5 draws a turn of the colour circle from [-x, x]; (low, high) from there.
        keys: see `Transform`.
    """

    is_random = True
    alike = True

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        self.ranges = {
            "brightness": _factors("brightness", brightness),
            "contrast": _factors("contrast", contrast),
            "saturation": _factors("saturation", saturation),
            "hue": _turns(hue),
        }

    def draw(self, image: np.ndarray) -> list[tuple[str, float]]:
        """Return the changes in random order."""
        changes = [
            (name, random.uniform(*limits))
            for name, limits in self.ranges.items()
            if limits is not None
        ]
        random.shuffle(changes)
        return changes

    def apply(self, image: np.ndarray, drawn: list[tuple[str, float]]) -> np.ndarray:
        """Return uint8 RGB of the same shape."""
        import cv2

        for name, amount in drawn:
            if name == "hue":
                hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV_FULL)
                # 256 levels are the full circle, so the sum wraps as colours do.
                hsv[..., 0] = (hsv[..., 0].astype(np.int64) + round(amount * 256)) % 256
                image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
                continue
            base: Any = 0.0
            if name != "brightness":
                grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
                base = grey.mean() if name == "contrast" else grey[..., np.newaxis]
            mixed = base + amount * (image.astype(np.float32) - base)
            image = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
        return image


@TRANSFORMS.register()
class ResizeToScale(Transform):
    """Resize all pictures to the first one's size, rounded down to multiples of `scale`.

    Args:
        size: the least (width, height), in this order, or the side of a square.
        scale: the number that sizes above the least are multiples of.
        interpolation: OpenCV's method.
        keys: see `Transform`.
    """

    alike = True

    def __init__(
        self,
        size: int | Sequence[int],
        scale: int,
        interpolation: Interpolation = "bilinear",
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        width, height = size_pair(size, self)
        self.least = (height, width)
        if scale < 1:
            raise ConfigError(f"ResizeToScale: 'scale' must be positive, got {scale!r}")
        self.scale = scale
        self.interpolation = check_interpolation(interpolation, self)

    def draw(self, image: np.ndarray) -> tuple[int, int]:
        """Return the target (height, width)."""
        height, width = (
            least if side <= least else side - side % self.scale
            for side, least in zip(image.shape[:2], self.least, strict=True)
        )
        return height, width

    def apply(self, image: np.ndarray, drawn: tuple[int, int]) -> np.ndarray:
        """Return the picture in the target size."""
        return resize(image, drawn, self.interpolation)


@TRANSFORMS.register()
class SRPairedRandomCrop(Transform):
    """Cut corresponding rectangles out of a small picture and its enlargement.

    Args:
        scale: size of the large picture / size of the small one.
        gt_patch_size: side of the rectangle in the large picture, in pixels.
        scale_list: with `scale` 4, return a third picture between the two: the large rectangle
            shrunk to half (bicubic).
        keys: accepted for PaddleGAN's configs; both pictures are always cut.

    Raises:
        DataError: when called, if sizes do not fit.
    """

    is_random = True

    def __init__(
        self,
        scale: int,
        gt_patch_size: int,
        scale_list: bool = False,
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        self.scale = scale
        self.gt_patch_size = gt_patch_size
        self.scale_list = scale_list

    def __call__(self, inputs: tuple[Any, Any]) -> tuple[Any, ...]:
        """Return the rectangles (small, large), or (small, middle, large)."""
        small, large = inputs
        rows, columns = (small[0] if isinstance(small, list) else small).shape[:2]
        shape = (large[0] if isinstance(large, list) else large).shape[:2]
        if shape != (rows * self.scale, columns * self.scale):
            raise DataError(
                f"SRPairedRandomCrop: pictures of {rows} x {columns} and {shape[0]} x {shape[1]} "
                f"pixels are not a pair of scale {self.scale}"
            )
        side = self.gt_patch_size // self.scale
        if rows < side or columns < side:
            raise DataError(
                f"SRPairedRandomCrop: a picture of {rows} x {columns} pixels is smaller than the "
                f"patch of {side} x {side}"
            )
        top, left = random.randint(0, rows - side), random.randint(0, columns - side)
        small = _cut(small, top, left, side)
        large = _cut(large, top * self.scale, left * self.scale, self.gt_patch_size)
        if self.scale_list and self.scale == 4 and not isinstance(large, list):
            return small, resize(large, (side * 2, side * 2), "bicubic"), large
        return small, large


@TRANSFORMS.register()
class SRNoise(Transform):
    """Add a noise patch from a real camera to pictures that are float [C, H, W] in [0, 1].

    Args:
        noise_path: the folder of PNG pictures of noise.
        size: side of the patch, that of the pictures, in pixels.
        keys: see `Transform`.

    Raises:
        DataError: when called, if the folder holds no PNG picture, one is smaller than `size`, or
            a picture is of another size.
    """

    is_random = True

    def __init__(self, noise_path: str, size: int, keys: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        self.noise_path = noise_path
        self.crop = RandomCrop(size)
        self._files: list[Path] | None = None

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Return a patch of noise with zero mean, float32 [C, size, size]."""
        if self._files is None:
            self._files = noise_files(self.noise_path)
        if image.shape[-2:] != self.crop.size:
            raise DataError(
                f"SRNoise: pictures are of the shape {list(image.shape)}, not [C, H, W] with "
                f"sides of 'size' {self.crop.size[0]}"
            )
        patch = self.crop(read_image(self._files[np.random.randint(len(self._files))]))
        noise = patch.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        return noise - noise.mean(axis=(1, 2), keepdims=True)

    def apply(self, image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Return float32 [C, H, W] in [0, 1]."""
        return np.clip(image + drawn, 0, 1)


@TRANSFORMS.register()
class TransposeSequence(Transpose):
    """Reorder the axes of pictures and of the frames of videos, to [C, H, W] by default."""


@TRANSFORMS.register()
class NormalizeSequence(Normalize):
    """Return (picture - mean) / std as float32, the frames of a video stacked to [T, C, H, W]."""

    def apply_frames(self, frames: list[np.ndarray], drawn: Any) -> np.ndarray:
        """Return float32 [T, C, H, W]."""
        return np.stack(super().apply_frames(frames, drawn))


@TRANSFORMS.register()
class MirrorVideoSequence(Transform):
    """Play videos forth and back: frames 1..n become 1..n, n..1."""

    def apply_frames(self, frames: list[np.ndarray], drawn: Any) -> list[np.ndarray]:
        """Return twice as many frames."""
        return frames + frames[::-1]

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Refuse a single picture."""
        raise DataError("MirrorVideoSequence takes lists of frames, got a single picture")


def noise_files(folder: str) -> list[Path]:
    """Return the pictures of noise in a folder.

    Raises:
        DataError: there are none.
    """
    files = sorted(Path(folder).expanduser().glob("*.png"))
    if not files:
        raise DataError(
            f"there are no pictures of noise (*.png) in the folder {folder}; collect them from "
            "photographs: ppzoo data degrade --input DIR --out DIR --noise-from DIR"
        )
    return files


def _cut(image: Any, top: int, left: int, side: int) -> Any:
    if isinstance(image, list):
        return [_cut(frame, top, left, side) for frame in image]
    return image[top : top + side, left : left + side]


def _factors(name: str, value: float | Sequence[float]) -> tuple[float, float] | None:
    low, high = (max(0.0, 1 - value), 1 + value) if isinstance(value, (int, float)) else value
    if not 0 <= low <= high or (isinstance(value, (int, float)) and value < 0):
        raise ConfigError(
            f"PairedColorJitter: {name!r} must be a number from 0 up or [low, high], got {value!r}"
        )
    return None if low == high == 1 else (low, high)


def _turns(value: float | Sequence[float]) -> tuple[float, float] | None:
    low, high = (-value, value) if isinstance(value, (int, float)) else value
    if not -0.5 <= low <= high <= 0.5:
        raise ConfigError(
            f"PairedColorJitter: 'hue' must be a number from 0 to 0.5 or [low, high], got {value!r}"
        )
    return None if low == high == 0 else (low, high)
