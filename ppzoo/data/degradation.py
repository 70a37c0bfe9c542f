# SPDX-License-Identifier: Apache-2.0
"""What real cameras do to pictures, and bicubic shrinking does not: blur, noise, compression.

A network that learnt from bicubic pictures alone sharpens the noise of real ones. RealSR (Ji et
al., CVPR workshops 2020) learns instead from pictures that were shrunk with the kernels and got
the noise of the photographs that it is meant for. Kernels here are drawn from families, or are
files that somebody estimated; noise comes from flat places of the user's own photographs.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.paired import noise_files
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.registry import PREPROCESS

Blur = Literal["bicubic", "random"]

_LARGEST_KERNEL = 65
# Standard deviations beyond which a kernel is cut off: there it is a hundredth of its maximum.
_REACH = 3.0
# A flat place without any variation is black or overexposed, and shows no noise.
_LEAST_VARIANCE = 0.3
# A flat place is divided into so many parts a side. What is within parts must make up this share of
# its variance, and that of no part may exceed the mean so many times.
_PARTS, _LEAST_WITHIN, _MOST_UNEVEN = 4, 0.6, 2.5


# ---------------------------------------------------------------- blur


def gaussian_kernel(
    sigma: float, across: float | None = None, angle: float = 0.0, length: float = 0.0
) -> np.ndarray:
    """Return the kernel of an optical blur, and of a movement while the shutter is open.

    Args:
        sigma: standard deviation in pixels, along `angle`.
        across: the same at right angles to it, equal by default.
        angle: in radians, from the axis of columns towards that of rows.
        length: way of the movement along `angle`, in pixels.

    Returns:
        float64 [K, K] with odd K, whose sum is 1.
    """
    across = sigma if across is None else across
    reach = math.ceil(_REACH * max(sigma, across, 0.1) + length / 2)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    along = math.cos(angle) * x + math.sin(angle) * y
    aside = math.cos(angle) * y - math.sin(angle) * x
    # The distance from the way, whose middle is the kernel's.
    along = np.maximum(np.abs(along) - length / 2, 0)
    kernel = np.exp(-0.5 * ((along / max(sigma, 0.1)) ** 2 + (aside / max(across, 0.1)) ** 2))
    return kernel / kernel.sum()


def draw_kernel(
    random: np.random.RandomState,
    scale: int,
    sigma: Sequence[float] = (0.25, 0.7),
    motion: float = 0.2,
) -> np.ndarray:
    """Return a kernel as cameras have: round, oval, or drawn out by a movement.

    Args:
        random: what it depends on.
        scale: what the blurred picture will be divided by.
        sigma: least and largest standard deviation, in pixels of the small picture.
        motion: share of kernels with a movement, of up to two small pixels.

    Returns:
        float64 [K, K] with odd K, whose sum is 1, in pixels of the large picture.
    """
    along, across = random.uniform(*sigma, 2) * scale
    is_round, is_moved = random.random_sample(2) < (0.5, motion)
    angle, length = random.uniform(0, math.pi), random.uniform(0.5, 2) * scale
    return gaussian_kernel(along, along if is_round else across, angle, length * is_moved)


@functools.lru_cache(maxsize=8)
def read_kernels(folder: str) -> tuple[np.ndarray, ...]:
    """Read kernels that somebody estimated, such as KernelGAN's, from a folder of .npy files.

    Args:
        folder: each file holds one array [K, K'], K and K' from 2 to 65. Its sum is made 1, and its
            centre of mass is moved to the middle, since otherwise small pictures would be shifted.

    Returns:
        float64 arrays [K, K] with odd K, in the order of the files' names.

    Raises:
        DataError: there are no files, or one that holds something else; names it.
    """
    files = sorted(Path(folder).expanduser().glob("*.npy"))
    if not files:
        raise DataError(f"there are no kernels (*.npy) in the folder {folder}")
    return tuple(_read_kernel(file) for file in files)


def _read_kernel(file: Path) -> np.ndarray:
    from scipy import ndimage

    try:
        kernel = np.load(file, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DataError(f"{file} is no kernel, an array of NumPy: {error}") from error
    if kernel.ndim != 2 or not 2 <= min(kernel.shape) <= max(kernel.shape) <= _LARGEST_KERNEL:
        raise DataError(f"{file} is no kernel [K, K] with K from 2 to 65 but {list(kernel.shape)}")
    if not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise DataError(f"{file} is no kernel: its sum is not a positive number")
    side = max(kernel.shape) | 1
    whole = np.zeros((side + 2, side + 2))
    whole[1 : 1 + kernel.shape[0], 1 : 1 + kernel.shape[1]] = kernel / kernel.sum()
    centre = ndimage.center_of_mass(np.maximum(whole, 0))
    moved = ndimage.shift(whole, [side // 2 + 1 - place for place in centre], order=1)
    return moved / moved.sum()


def shrink(image: np.ndarray, scale: int, kernel: np.ndarray | None = None) -> np.ndarray:
    """Return a picture shrunk as a camera with this kernel would have taken it.

    Args:
        image: uint8 [H, W, C].
        scale: what its sides are divided by; what is over is cut off.
        kernel: [K, K] with odd K, whose sum is 1; without it, `resize_bicubic` alone.

    Returns:
        uint8 [H // scale, W // scale, C]; its pixels lie where `resize_bicubic` puts them.
    """
    import cv2

    height, width = (side - side % scale for side in image.shape[:2])
    image = image[:height, :width]
    if kernel is None:
        return resize_bicubic(image, 1 / scale)
    turned = np.ascontiguousarray(kernel[::-1, ::-1], np.float32)  # OpenCV correlates
    blurred = cv2.filter2D(
        image.astype(np.float32), -1, turned, borderType=cv2.BORDER_REPLICATE
    ).reshape(image.shape)
    return _levels(resize_bicubic(blurred, 1 / scale, antialias=False))


# ---------------------------------------------------------------- noise and compression


def flat_places(
    image: np.ndarray, size: int = 64, most_variance: float = 20.0, least_mean: float = 0.0
) -> Iterator[np.ndarray]:
    """Yield squares of a photograph that show nothing but noise.

    Flat is by RealSR's measure what has grey levels of little variance. Beyond that, parts of a
    square must be alike: otherwise clouds, and corners of things, would pass for noise.

    Args:
        image: uint8 RGB [H, W, 3].
        size: side of a square in pixels; squares do not overlap.
        most_variance: squares of this variance or more show something.
        least_mean: squares of this mean grey level or less are too dark to show noise.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    for top in range(0, image.shape[0] - size + 1, size):
        for left in range(0, image.shape[1] - size + 1, size):
            square = grey[top : top + size, left : left + size].astype(np.float64)
            if not _LEAST_VARIANCE < square.var() < most_variance or square.mean() <= least_mean:
                continue
            part = size // _PARTS
            parts = square[: part * _PARTS, : part * _PARTS].reshape(_PARTS, part, _PARTS, part)
            variances = parts.var(axis=(1, 3))
            is_even = variances.mean() > _LEAST_WITHIN * square.var()
            if is_even and variances.max() < _MOST_UNEVEN * variances.mean():
                yield image[top : top + size, left : left + size]


def camera_noise(image: np.ndarray, random: np.random.RandomState, strength: float) -> np.ndarray:
    """Return a picture with noise as a sensor has it, where no photographs are there to learn from.

    Light comes in photons, so bright places are noisier; reading the sensor adds the rest. What
    neighbours have in common comes from the interpolation of colours.

    Args:
        image: uint8 [H, W, 3].
        random: what the noise depends on.
        strength: standard deviation at middle grey, in levels.

    Returns:
        uint8 [H, W, 3].
    """
    import cv2

    drawn = random.normal(size=image.shape).astype(np.float32)
    drawn = cv2.GaussianBlur(drawn, (3, 3), 0.5, borderType=cv2.BORDER_REFLECT_101)
    drawn /= drawn.std()
    light = image.astype(np.float32)
    return _levels(light + drawn * np.sqrt(strength**2 * (0.5 + light / 255)))


def compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture after it was stored as JPEG.

    Args:
        image: uint8 RGB [H, W, 3].
        quality: from 1 to 100.
    """
    import cv2

    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    stored = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), options)[1]
    return np.ascontiguousarray(cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1])


def _levels(image: np.ndarray) -> np.ndarray:
    return np.floor(image + 0.5).clip(0, 255).astype(np.uint8)


# ---------------------------------------------------------------- for configs


@PREPROCESS.register()
class Degrade:
    """Make `lq` of `gt`: blurred, shrunk, noisy and compressed, anew each time it is read.

    It stands in an `SRDataset` without `lq_folder`, best behind a step that cuts patches from `gt`,
    and before the one that turns pictures into float arrays. Random draws are NumPy's, which
    the loader seeds for each sample.

    Args:
        scale: what the sides of `gt` are divided by; `gt` is cut to a multiple of it.
        blur: `bicubic` shrinks as papers do, `random` by kernels that are drawn each time.
        sigma: least and largest standard deviation of these, in pixels of `lq`.
        motion: share of these that are drawn out by a movement, from 0 to 1.
        kernel_path: folder of estimated kernels (.npy) to draw from instead.
        noise_path: folder of PNG pictures of noise, as `ppzoo data degrade` collects them.
        noise: least and largest strength of a sensor's noise instead, in levels; see
            `camera_noise`.
        jpeg: least and largest quality of compression, from 1 to 100.

    Raises:
        ConfigError: an argument out of range.
        DataError: when first called, if a folder has no kernels or noise.
    """

    is_random = True

    def __init__(
        self,
        scale: int,
        blur: Blur = "bicubic",
        sigma: Sequence[float] = (0.25, 0.7),
        motion: float = 0.2,
        kernel_path: str | None = None,
        noise_path: str | None = None,
        noise: Sequence[float] | None = None,
        jpeg: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(scale, int) or not 1 <= scale <= 16:
            raise ConfigError(f"Degrade: 'scale' must be from 1 to 16, got {scale!r}")
        if blur not in ("bicubic", "random"):
            raise ConfigError(f"Degrade: 'blur' must be bicubic or random, got {blur!r}")
        if not 0 <= motion <= 1:
            raise ConfigError(f"Degrade: 'motion' must be from 0 to 1, got {motion!r}")
        self.scale = scale
        self.is_blurred = blur == "random"
        self.motion = motion
        self.kernel_path = kernel_path
        self.noise_path = noise_path
        self._files: list[Path] | None = None
        self.sigma = _range("sigma", sigma, 0.05, 3)
        self.noise = None if noise is None else _range("noise", noise, 0, 100)
        self.jpeg = None if jpeg is None else _range("jpeg", jpeg, 1, 100)
        if noise is not None and noise_path is not None:
            raise ConfigError("Degrade: give either 'noise' or 'noise_path'")

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return the sample with `lq`, and `gt` cut to a multiple of the scale."""
        gt = sample["gt"]
        if gt.dtype != np.uint8:
            raise DataError("Degrade must stand before the step that makes pictures float arrays")
        height, width = (side - side % self.scale for side in gt.shape[:2])
        sample["gt"] = gt[:height, :width]
        sample["lq"] = self.degrade(sample["gt"], np.random.RandomState(np.random.randint(2**31)))
        for key in ("gt", "lq"):
            sample[f"{key}_ori_shape"] = np.asarray(sample[key].shape, np.int64)
        return sample

    def settings(self) -> dict[str, Any]:
        """Return what `degrade` depends on, as can be written to JSON."""
        return {
            "scale": self.scale,
            "blur": self.kernel_path or ("random" if self.is_blurred else "bicubic"),
            "sigma": list(self.sigma),
            "motion": self.motion,
            "noise": self.noise_path or (self.noise and list(self.noise)),
            "jpeg": self.jpeg and list(self.jpeg),
        }

    def degrade(self, image: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """Return uint8 [H // scale, W // scale, 3] of a picture uint8 [H, W, 3]."""
        small = shrink(image, self.scale, self.draw_kernel(random))
        if self.noise_path is not None:
            if self._files is None:
                self._files = noise_files(str(self.noise_path))
            small = _with_patch(small, self._files[random.randint(len(self._files))], random)
        if self.noise is not None:
            small = camera_noise(small, random, random.uniform(*self.noise))
        if self.jpeg is not None:
            low, high = self.jpeg
            small = compress(small, int(random.randint(int(low), int(high) + 1)))
        return small

    def draw_kernel(self, random: np.random.RandomState) -> np.ndarray | None:
        """Return a kernel, or None where pictures are shrunk bicubically."""
        if self.kernel_path is not None:
            kernels = read_kernels(str(self.kernel_path))
            return kernels[random.randint(len(kernels))]
        if self.is_blurred:
            return draw_kernel(random, self.scale, self.sigma, self.motion)
        return None


def _with_patch(image: np.ndarray, file: Path, random: np.random.RandomState) -> np.ndarray:
    """Return a picture with the noise of a file, which is mirrored where it is too small."""
    patch = read_image(file).astype(np.float32)
    patch -= patch.mean(axis=(0, 1))
    missing = [max(0, own - side) for own, side in zip(image.shape, patch.shape[:2], strict=False)]
    patch = np.pad(patch, [(0, missing[0]), (0, missing[1]), (0, 0)], "symmetric")
    top, left = (
        random.randint(side - own + 1)
        for own, side in zip(image.shape, patch.shape[:2], strict=False)
    )
    noise = patch[top : top + image.shape[0], left : left + image.shape[1]]
    return _levels(image + noise)


def _range(name: str, value: Sequence[float], low: float, high: float) -> tuple[float, float]:
    if (
        not isinstance(value, Sequence)
        or len(value) != 2
        or not low <= value[0] <= value[1] <= high
    ):
        raise ConfigError(
            f"Degrade: {name!r} must be [least, largest] from {low} to {high}, got {value!r}"
        )
    return value[0], value[1]
