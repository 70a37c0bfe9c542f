# SPDX-License-Identifier: Apache-2.0
"""Pairs of small and large pictures for super-resolution, without a download.

The photographs come inside scikit-image and scikit-learn. As in papers, a whole photograph is
shrunk by `resize_bicubic` and rounded to 8 bits, and crops are cut from both. To learn what RealSR
does, small pictures can be blurred and noisy, as `degradation.py` has it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import paddle

from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.degradation import camera_noise, draw_kernel
from ppzoo.data.degradation import shrink as camera_shrink
from ppzoo.data.loader import collate
from ppzoo.data.photographs import embedded_photograph
from ppzoo.errors import ConfigError
from ppzoo.registry import DATASETS

# Photographs, and what they are divided by before anything else: JPEG files and those that are not
# sharp to the pixel by 2 at least, others also as they are, to see things at two sizes.
SHRINKS: dict[str, dict[str, tuple[int, ...]]] = {
    "train": {
        "astronaut": (1, 2),
        "grass": (1,),
        "china": (2, 3),
        "brick": (1, 2),
        "ihc": (1, 2),
        "text": (1,),
        "motorcycle": (1, 2),
        "moon": (1, 2),
        "rocket": (2, 3),
        "gravel": (1,),
        "hubble": (2,),
        "page": (1,),
        "retina": (3, 4),
    },
    "test": {"chelsea": (2,), "camera": (2,), "flower": (3,), "coins": (2,), "coffee": (3,)},
}
_SCALES = (2, 3, 4)
_DEGRADATIONS = (None, "noise", "blur", "blur+noise")
# Standard deviation of noise at middle grey, in levels: a telephone's by day and at dusk.
_NOISE = (3.0, 9.0)
_SIZE, _LARGEST_SIZE = 96, 160
# Of two places the first that shows something, by the standard deviation of the green levels. Only
# two, because a network that has seen no plain sky draws patterns into it.
_DRAWS, _LEAST_DEVIATION = 2, 8.0
# Half of the crops keep their colours. Thirteen photographs have few, and most are grey or brown: a
# network that has seen no red petals would draw them worse than it draws anything else.
_COLOURS = (*[(0, 1, 2)] * 5, (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
# Random numbers are drawn for so many samples at a time, which costs less than for each.
_BLOCK = 4096


class Pair(NamedTuple):
    """A photograph in high and in low resolution, uint8 [3, H, W] and [3, H / scale, W / scale]."""

    name: str
    large: np.ndarray
    small: np.ndarray


@functools.lru_cache(maxsize=128)
def embedded_pair(photo: str, shrink: int, scale: int, blurred: bool = False) -> Pair:
    """Return an embedded photograph and what is left of it after shrinking.

    Args:
        photo: a key of `photographs.PHOTOGRAPHS`.
        shrink: what the photograph's sides are divided by before.
        scale: what they are divided by again for the small picture.
        blurred: shrink by a kernel as cameras have instead of the bicubic one; each photograph
            has its own.

    Returns:
        the pair; its arrays are shared and cannot be written to.
    """
    large = embedded_photograph(photo)
    if shrink > 1:
        large = resize_bicubic(large, 1 / shrink)
    height, width = (side - side % scale for side in large.shape[:2])
    large = large[:height, :width]
    random = np.random.RandomState([*photo.encode(), shrink])
    small = camera_shrink(large, scale, draw_kernel(random, scale) if blurred else None)
    # Planes are cut and turned in half the time that interleaved colours take.
    planes = [np.ascontiguousarray(image.transpose(2, 0, 1)) for image in (large, small)]
    for image in planes:
        image.setflags(write=False)
    return Pair(f"{photo}_{shrink}", *planes)


@functools.lru_cache(maxsize=256)
def _draws(block: int, side: int) -> np.ndarray:
    """Return the random numbers of a block of samples, [_BLOCK, 2 * _DRAWS + 3] in [0, 1)."""
    # Streams of RandomState are the same in all versions of NumPy.
    return np.random.RandomState((block, side, 1956)).random_sample((_BLOCK, 2 * _DRAWS + 3))


class Place(NamedTuple):
    """Where in a pair a crop is, in pixels of the small picture, and how it is laid down.

    It is turned by `turns` times 90 degrees, then flipped if `flipped`; `channels` says which
    channels of the photograph its red, green and blue are.
    """

    pair: Pair
    top: int
    left: int
    turns: int
    flipped: bool
    channels: tuple[int, int, int]

    @property
    def name(self) -> str:
        """What to call it, as if it were a file."""
        turn = f"{90 * self.turns}{'_flipped' if self.flipped else ''}"
        colours = "".join("rgb"[channel] for channel in self.channels)
        return f"{self.pair.name}_{self.top}_{self.left}_{turn}_{colours}.png"


@DATASETS.register()
class EmbeddedSRDataset(paddle.io.Dataset):
    """Photographs in low and in high resolution for super-resolution, without a download.

    A sample has `lq`, float32 [3, h, w] in [0, 1], and `gt`, the same in high resolution, [3,
    h * scale, w * scale]; `lq_path` and `gt_path` say what they show. Both are 8-bit pictures, as
    if read from files. The split is by photograph.

    Args:
        mode: `train` has crops of thirteen photographs, turned and flipped and half of them with
            their colours exchanged, at places that the index decides. `test` has five other
            photographs as wholes of at most 256 pixels a side, of different sizes: a cat, a
            cameraman and coins in grey, a flower, a cup.
        scale: how many times larger `gt` is, 2, 3 or 4.
        size: side of the crops of `gt` in pixels, a multiple of `scale` up to 160; 96 by default.
            Not for `test`.
        samples: how many crops there are, 2048 by default; of `test`, how many photographs.
        degradation: what `lq` has suffered beside bicubic shrinking: `noise` of a sensor, which the
            index decides, `blur` by a kernel of its own for each photograph, or `blur+noise`.

    Raises:
        ConfigError: an argument out of range.
        DataError: an installed package does not contain its photographs.
    """

    is_random = False

    def __init__(
        self,
        mode: Literal["train", "test"] = "train",
        scale: int = 4,
        size: int | None = None,
        samples: int | None = None,
        degradation: Literal["noise", "blur", "blur+noise"] | None = None,
    ) -> None:
        super().__init__()
        if mode not in SHRINKS:
            raise ConfigError(f"EmbeddedSRDataset: 'mode' must be train or test, got {mode!r}")
        if scale not in _SCALES:
            raise ConfigError(f"EmbeddedSRDataset: 'scale' must be 2, 3 or 4, got {scale!r}")
        if degradation not in _DEGRADATIONS:
            raise ConfigError(
                "EmbeddedSRDataset: 'degradation' must be noise, blur or blur+noise, or left out, "
                f"got {degradation!r}"
            )
        most = 1_000_000 if mode == "train" else len(SHRINKS[mode])
        samples = min(2048, most) if samples is None else samples
        if not isinstance(samples, int) or not 1 <= samples <= most:
            raise ConfigError(
                f"EmbeddedSRDataset: 'samples' must be from 1 to {most} for {mode}, got {samples!r}"
            )
        self.mode = mode
        self.scale = scale
        self.size = _crop_size(size, scale) if mode == "train" else None
        if mode == "test" and size is not None:
            raise ConfigError(
                "EmbeddedSRDataset: photographs of mode test are whole; leave out 'size'"
            )
        self._count = samples
        self._noisy = degradation in ("noise", "blur+noise")
        blurred = degradation in ("blur", "blur+noise")
        # By photograph, so that each is seen equally often however many sizes it comes in.
        pairs = [
            [embedded_pair(photo, shrink, scale, blurred) for shrink in shrinks]
            for photo, shrinks in SHRINKS[mode].items()
        ]
        least = self.size or 0
        self._pairs = [[p for p in sizes if min(p.large.shape[1:]) >= least] for sizes in pairs]

    def get_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the samples at `indices`, stacked; the loader's fast path.

        Raises:
            DataError: several photographs of mode `test` that differ in size.
        """
        if self.size is None:
            return collate([self[int(i)] for i in indices], lambda row: self.source(indices[row]))
        places = [self._place(int(index)) for index in indices]
        side = self.size // self.scale
        small = np.empty((len(places), 3, side, side), np.uint8)
        large = np.empty((len(places), 3, self.size, self.size), np.uint8)
        for row, place in enumerate(places):
            small[row] = self._seen(_cut(place.pair.small, place, 1, side), int(indices[row]))
            large[row] = _cut(place.pair.large, place, self.scale, self.size)
        names = [place.name for place in places]
        return {
            "lq": _unit(small),
            "gt": _unit(large),
            "lq_path": names,
            "gt_path": list(names),
        }

    def source(self, index: int) -> str:
        """Return what the sample at `index` shows, for error messages."""
        if self.size is None:
            return f"{self._pairs[index][0].name}.png"
        return self._place(int(index)).name

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if self.size is not None:
            return {key: value[0] for key, value in self.get_batch([index]).items()}
        pair, name = self._pairs[index][0], self.source(index)
        return {
            "lq": _unit(self._seen(pair.small, index)),
            "gt": _unit(pair.large),
            "lq_path": name,
            "gt_path": name,
        }

    def __len__(self) -> int:
        return self._count

    def _seen(self, small: np.ndarray, index: int) -> np.ndarray:
        """Return a small picture, uint8 [3, h, w], as the camera delivers it."""
        if not self._noisy:
            return small
        random = np.random.RandomState((index, small.shape[-1], 2020))
        noisy = camera_noise(small.transpose(1, 2, 0), random, random.uniform(*_NOISE))
        return noisy.transpose(2, 0, 1)

    def _place(self, index: int) -> Place:
        round_, photo = divmod(index, len(self._pairs))
        sizes = self._pairs[photo]
        pair = sizes[round_ % len(sizes)]
        side = (self.size or 0) // self.scale
        height, width = pair.small.shape[1:]
        block, row = divmod(index, _BLOCK)
        *places, turn, flip, colours = _draws(block, side)[row]
        top = left = 0
        for down, right in zip(places[::2], places[1::2], strict=True):
            top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
            if pair.small[1, top : top + side, left : left + side].std() >= _LEAST_DEVIATION:
                break
        channels = _COLOURS[int(colours * len(_COLOURS))]
        return Place(pair, top, left, int(turn * 4), flip < 0.5, channels)


def _crop_size(size: int | None, scale: int) -> int:
    value = _SIZE if size is None else size
    if not isinstance(value, int) or not 8 * scale <= value <= _LARGEST_SIZE or value % scale:
        raise ConfigError(
            f"EmbeddedSRDataset: 'size' must be a multiple of the scale, {scale}, from "
            f"{8 * scale} to {_LARGEST_SIZE}, got {size!r}"
        )
    return value


def _cut(image: np.ndarray, place: Place, factor: int, side: int) -> np.ndarray:
    top, left = place.top * factor, place.left * factor
    square = image[:, top : top + side, left : left + side]
    square = np.rot90(square, place.turns, (1, 2))[list(place.channels)]
    return square[..., ::-1] if place.flipped else square


def _unit(images: np.ndarray) -> np.ndarray:
    """Return uint8 pictures as float32 in [0, 1]."""
    return np.divide(images, np.float32(255), dtype=np.float32)
