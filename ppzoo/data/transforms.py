# SPDX-License-Identifier: Apache-2.0
"""Transforms of pictures, under the names and with the arguments of PaddleGAN's configs.

A picture is a NumPy array [H, W, C] or [H, W] (uint8 unless a transform before said otherwise).
A transform takes one picture, or a tuple of pictures that belong together, and returns the same;
where a list stands in a picture's place it is the frames of a video, and all of them are treated
alike. Interpolation is OpenCV's. Random draws come from Python's `random` (and `numpy.random`),
which the loader seeds for each sample.

Deviations from PaddleGAN, all for the sake of people who write configs by hand: without `keys`
every picture of the tuple is transformed (there: the first only); `Normalize` finds the channels
of a picture that has not been transposed; `to_rgb` swaps channels in both layouts (there: of CHW
pictures it swaps left and right). Transforms that treat several pictures alike are in `paired.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import TRANSFORMS

Interpolation = Literal["nearest", "bilinear", "area", "bicubic", "lanczos"]


class Transform:
    """What all transforms share: which pictures they touch, and when they draw random numbers.

    Subclasses define `apply`, and `draw` if they are random.

    Args:
        keys: one `image` for each picture to transform, counted from the first; the pictures
            beyond pass unchanged. All are transformed if left out.
    """

    is_random = False  # its result depends on random draws
    output_chw = False  # its result is [C, H, W]
    alike = False  # one draw serves all pictures of the tuple

    def __init__(self, keys: Sequence[str] | None = None) -> None:
        if keys is not None and (isinstance(keys, str) or any(key != "image" for key in keys)):
            raise ConfigError(
                f"{type(self).__name__}: 'keys' must be a list of the word 'image', got {keys!r}"
            )
        self.keys = keys

    def draw(self, image: np.ndarray) -> Any:
        """Return the random parameters for `image`, in which `apply` then finds them."""
        return None

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return the transformed picture."""
        raise NotImplementedError

    def apply_frames(self, frames: list[np.ndarray], drawn: Any) -> Any:
        """Return the transformed frames of a video."""
        return [self.apply(_array(frame), drawn) for frame in frames]

    def __call__(self, inputs: Any) -> Any:
        """Return the transformed picture, or tuple of pictures if there are several."""
        images = inputs if isinstance(inputs, tuple) else (inputs,)
        count = len(images) if self.keys is None else min(len(self.keys), len(images))
        drawn = self.draw(_first(images[0])) if self.alike and count else None
        outputs = []
        for image in images[:count]:
            if not self.alike:
                drawn = self.draw(_first(image))
            if isinstance(image, list):
                outputs.append(self.apply_frames(image, drawn))
            else:
                outputs.append(self.apply(_array(image), drawn))
        outputs.extend(images[count:])
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def resize(image: np.ndarray, size: tuple[int, int], interpolation: Interpolation) -> np.ndarray:
    """Return a picture [H, W, C] or [H, W] resized to `size` = (height, width) by OpenCV."""
    import cv2

    flags = {
        "nearest": cv2.INTER_NEAREST,
        "bilinear": cv2.INTER_LINEAR,
        "area": cv2.INTER_AREA,
        "bicubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,
    }
    if image.shape[:2] == tuple(size):
        return image
    resized = cv2.resize(
        np.ascontiguousarray(image), (size[1], size[0]), interpolation=flags[interpolation]
    )
    # OpenCV drops the channel axis of a picture with one channel.
    return resized[..., np.newaxis] if image.ndim == 3 and resized.ndim == 2 else resized


@TRANSFORMS.register()
class Resize(Transform):
    """Resize pictures.

    Args:
        size: (height, width), or the length of the shorter side.
        interpolation: OpenCV's method; `area` suits shrinking.
        keys: see `Transform`.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: Interpolation = "bilinear",
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        pair = size_pair(size, self)
        self.size = size if isinstance(size, int) else pair
        self.interpolation = check_interpolation(interpolation, self)

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return [H', W', C]."""
        if not isinstance(self.size, int):
            return resize(image, self.size, self.interpolation)
        height, width = image.shape[:2]
        if width < height:
            target = (int(self.size * height / width), self.size)
        else:
            target = (self.size, int(self.size * width / height))
        return resize(image, target, self.interpolation)


@TRANSFORMS.register()
class RandomCrop(Transform):
    """Cut a rectangle out of each picture, at a random place of its own.

    Args:
        size: (height, width) or the side of a square, in pixels.
        padding: borders added before: one number, (left/right, top/bottom), or
            (left, top, right, bottom).
        pad_if_needed: widen pictures that are smaller than `size`.
        fill: the value of constant borders, 0 to 255, one or one per channel.
        padding_mode: how borders are filled.
        keys: see `Transform`.

    Raises:
        DataError: when called, if a picture is smaller than `size`.
    """

    is_random = True

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        self.size = size_pair(size, self)
        self.padding = None if padding is None else _borders(padding)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    def draw(self, image: np.ndarray) -> tuple[int, int]:
        """Return top and left of the rectangle in the padded picture."""
        height, width = self._pad(image).shape[:2]
        if height < self.size[0] or width < self.size[1]:
            raise DataError(
                f"{type(self).__name__}: a picture of {height} x {width} pixels (height x width) "
                f"is smaller than the crop of {self.size[0]} x {self.size[1]}"
            )
        return random.randint(0, height - self.size[0]), random.randint(0, width - self.size[1])

    def apply(self, image: np.ndarray, drawn: tuple[int, int]) -> np.ndarray:
        """Return [size[0], size[1], C]."""
        top, left = drawn
        return self._pad(image)[top : top + self.size[0], left : left + self.size[1]]

    def _pad(self, image: np.ndarray) -> np.ndarray:
        if self.padding is not None:
            image = pad(image, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            down = max(0, self.size[0] - image.shape[0])
            across = max(0, self.size[1] - image.shape[1])
            if down or across:
                borders = (across, down, across, down)
                image = pad(image, borders, self.fill, self.padding_mode)
        return image


@TRANSFORMS.register()
class RandomHorizontalFlip(Transform):
    """Swap left and right of each picture with probability `prob`."""

    is_random = True
    axis = 1

    def __init__(self, prob: float = 0.5, keys: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        self.prob = check_probability(prob, self)

    def draw(self, image: np.ndarray) -> bool:
        """Return whether to flip."""
        return random.random() < self.prob

    def apply(self, image: np.ndarray, drawn: bool) -> np.ndarray:
        """Return a picture of the same shape."""
        # OpenCV does not take views with negative strides.
        return np.ascontiguousarray(np.flip(image, self.axis)) if drawn else image


@TRANSFORMS.register()
class RandomVerticalFlip(RandomHorizontalFlip):
    """Swap top and bottom of each picture with probability `prob`."""

    axis = 0


@TRANSFORMS.register()
class Normalize(Transform):
    """Return (picture - mean) / std as float32.

    Args:
        mean: for each channel, or one for all; in the units of the picture (0 to 255 for uint8).
        std: likewise.
        data_format: the layout of the pictures. A picture without a channel axis becomes
            [1, H, W]; one whose channels, as many as there are means, stand last is recognised.
        to_rgb: reverse the order of the channels first.
        keys: see `Transform`.

    Raises:
        DataError: when called, if the number of means is neither 1 nor that of the channels.
    """

    def __init__(
        self,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        data_format: Literal["CHW", "HWC"] = "CHW",
        to_rgb: bool = False,
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        mean, std = np.atleast_1d(np.float32(mean)), np.atleast_1d(np.float32(std))
        if not std.all() or not {mean.size, std.size} <= {1, max(mean.size, std.size)}:
            raise ConfigError(
                f"Normalize needs as many means as stds, and no std of 0, got mean "
                f"{mean.tolist()}, std {std.tolist()}"
            )
        self.mean, self.std = np.broadcast_arrays(mean, std)
        self.data_format = data_format
        self.to_rgb = to_rgb

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return float32 in the layout of the picture."""
        image = image.astype(np.float32)
        if image.ndim == 2:
            image = image[np.newaxis] if self.data_format == "CHW" else image[..., np.newaxis]
        channels = self.mean.size
        first = self.data_format == "CHW" and (channels == 1 or image.shape[0] == channels)
        if channels > 1 and image.shape[0 if first else -1] != channels:
            raise DataError(
                f"Normalize has {channels} means for a picture of the shape {list(image.shape)}"
            )
        shape = (-1, 1, 1) if first else (1, 1, -1)
        if self.to_rgb:
            image = image[::-1] if first else image[..., ::-1]
        return (image - self.mean.reshape(shape)) / self.std.reshape(shape)


@TRANSFORMS.register()
class Transpose(Transform):
    """Reorder the axes of pictures, from [H, W, C] (or [H, W]) to [C, H, W] by default."""

    def __init__(self, order: Sequence[int] = (2, 0, 1), keys: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        if sorted(order) != [0, 1, 2]:
            raise ConfigError(f"{type(self).__name__}: no order of three axes: {list(order)}")
        self.order = tuple(order)
        self.output_chw = self.order == (2, 0, 1)

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return the picture with its axes in `order`."""
        return (image[..., np.newaxis] if image.ndim == 2 else image).transpose(self.order)


@TRANSFORMS.register()
class Grayscale(Transform):
    """Replace the colours of RGB pictures by their luma (ITU-R BT.601)."""

    def __init__(
        self, num_output_channels: Literal[1, 3] = 1, keys: Sequence[str] | None = None
    ) -> None:
        super().__init__(keys)
        if num_output_channels not in (1, 3):
            raise ConfigError(
                f"Grayscale: 'num_output_channels' must be 1 or 3, got {num_output_channels!r}"
            )
        self.num_output_channels = num_output_channels

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return [H, W, num_output_channels]."""
        import cv2

        if image.ndim == 3 and image.shape[2] == 3:
            image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        grey = image.reshape(*image.shape[:2], 1)
        return np.repeat(grey, self.num_output_channels, axis=2)


@TRANSFORMS.register()
class ToTensor(Transform):
    """Turn pictures [H, W, C] or [H, W] into float32 [C, H, W]; uint8 is scaled to [0, 1]."""

    output_chw = True

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return float32 [C, H, W]."""
        image = (image[..., np.newaxis] if image.ndim == 2 else image).transpose(2, 0, 1)
        scale = np.float32(255 if image.dtype == np.uint8 else 1)
        return image.astype(np.float32) / scale


@TRANSFORMS.register()
class Add(Transform):
    """Add `value` (one number per channel, in levels of 0 to 255) to uint8 pictures, clipped."""

    def __init__(self, value: Sequence[float], keys: Sequence[str] | None = None) -> None:
        super().__init__(keys)
        self.value = np.asarray(value, np.float64)

    def apply(self, image: np.ndarray, drawn: Any) -> np.ndarray:
        """Return uint8 of the same shape."""
        return np.clip(image + self.value, 0, 255).astype(np.uint8)


@TRANSFORMS.register()
class RandomResizedCropProb(Transform):
    """With probability `prob`, cut a random rectangle out of each picture and resize it.

    Args:
        prob: the probability; otherwise the picture passes unchanged.
        size: (height, width) of the result, or the side of a square.
        scale: smallest and largest share of the picture's area.
        ratio: smallest and largest width / height.
        interpolation: OpenCV's method.
        keys: see `Transform`.
    """

    is_random = True

    def __init__(
        self,
        prob: float,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Interpolation = "bilinear",
        keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(keys)
        self.prob = check_probability(prob, self)
        self.size = size_pair(size, self)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.interpolation = check_interpolation(interpolation, self)

    def draw(self, image: np.ndarray) -> tuple[int, int, int, int] | None:
        """Return top, left, height, width, or None for no crop."""
        if random.random() >= self.prob:
            return None
        rows, columns = image.shape[:2]
        for _ in range(10):
            area = random.uniform(*self.scale) * rows * columns
            ratio = np.exp(random.uniform(*np.log(self.ratio)))
            width, height = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if 0 < width <= columns and 0 < height <= rows:
                top, left = random.randint(0, rows - height), random.randint(0, columns - width)
                return top, left, height, width
        # Nothing fitted: the largest central rectangle within the ratios.
        height = min(rows, round(columns / self.ratio[0]))
        width = min(columns, round(rows * self.ratio[1]))
        return (rows - height) // 2, (columns - width) // 2, height, width

    def apply(self, image: np.ndarray, drawn: tuple[int, int, int, int] | None) -> np.ndarray:
        """Return [size[0], size[1], C], or the picture itself."""
        if drawn is None:
            return image
        top, left, height, width = drawn
        cut = image[top : top + height, left : left + width]
        return resize(cut, self.size, self.interpolation)


def pad(
    image: np.ndarray,
    borders: tuple[int, int, int, int],
    fill: float | Sequence[float],
    mode: str,
) -> np.ndarray:
    """Return a picture [H, W, C] or [H, W] with borders (left, top, right, bottom)."""
    left, top, right, bottom = borders
    widths = ((top, bottom), (left, right), (0, 0))[: image.ndim]
    if mode != "constant":
        return np.pad(image, widths, mode)  # type: ignore[call-overload]
    shape = [side + sum(width) for side, width in zip(image.shape, widths, strict=True)]
    padded = np.empty(shape, image.dtype)
    padded[...] = fill
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    return padded


def size_pair(size: int | Sequence[int], owner: Any) -> tuple[int, int]:
    """Return (height, width) from one positive number or two; `owner` is named in the error."""
    pair = tuple(size) if isinstance(size, (list, tuple)) else (size, size)
    if len(pair) != 2 or any(not isinstance(side, int) or side < 1 for side in pair):
        raise ConfigError(
            f"{type(owner).__name__}: 'size' must be one positive number or [height, width], "
            f"got {size!r}"
        )
    return pair


def check_interpolation(name: str, owner: Any) -> Interpolation:
    """Return `name` if it is a way to interpolate; `owner` is named in the error."""
    known = Interpolation.__args__  # type: ignore[attr-defined]
    if name not in known:
        raise ConfigError(
            f"{type(owner).__name__}: 'interpolation' must be one of {', '.join(known)}, "
            f"got {name!r}"
        )
    return name  # type: ignore[return-value]


def check_probability(prob: float, owner: Any) -> float:
    """Return `prob` if it lies in [0, 1]; `owner` is named in the error."""
    if not 0 <= prob <= 1:
        raise ConfigError(f"{type(owner).__name__}: 'prob' must be from 0 to 1, got {prob!r}")
    return prob


def _borders(padding: int | Sequence[int]) -> tuple[int, int, int, int]:
    values = [padding] * 4 if isinstance(padding, int) else list(padding)
    if len(values) == 2:
        values = values * 2
    if len(values) != 4 or any(value < 0 for value in values):
        raise ConfigError(f"RandomCrop: 'padding' must be 1, 2 or 4 numbers, got {padding!r}")
    return tuple(values)  # type: ignore[return-value]


def _array(image: Any) -> np.ndarray:
    return image if isinstance(image, np.ndarray) else np.asarray(image)


def _first(image: Any) -> np.ndarray:
    return _array(image[0] if isinstance(image, list) else image)
