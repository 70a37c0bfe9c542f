# SPDX-License-Identifier: Apache-2.0
"""Photographs that come inside scikit-image and scikit-learn, and pairs of photo and cartoon.

They need no network and are never fetched: only files that both packages' wheels contain are
named. The split is by photograph: no part of a test picture is ever trained on.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import paddle

from ppzoo.data.cartoon import cartoonise
from ppzoo.data.pictures import scale_levels
from ppzoo.data.transforms import resize
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.registry import DATASETS

# package and file; those that SPLIT names are in colour and have at least 300 pixels a side
PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "rocket": ("skimage", "data/rocket.jpg"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "coins": ("skimage", "data/coins.png"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
    "moon": ("skimage", "data/moon.png"),
    "page": ("skimage", "data/page.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "text": ("skimage", "data/text.png"),
}
SPLIT = {
    "train": ("astronaut", "coffee", "motorcycle", "rocket", "china"),
    "test": ("chelsea", "flower"),
}
# Shorter side of the whole picture that crops are cut from, in sides of the crop.
_ZOOMS = (1.5, 2.5, 4.0)
# Of two draws the first that shows something, by the standard deviation of a channel's levels. Only
# two, because a network that has seen no plain sky draws patterns into it.
_DRAWS, _LEAST_DEVIATION = 2, 20.0


@functools.cache
def embedded_photograph(name: str) -> np.ndarray:
    """Return a photograph that comes with an installed package.

    Args:
        name: a key of `PHOTOGRAPHS`.

    Returns:
        uint8 RGB [H, W, 3]; it is shared and cannot be written to.

    Raises:
        ConfigError: an unknown name.
        DataError: the package does not contain the file.
    """
    if name not in PHOTOGRAPHS:
        raise ConfigError(f"there is no photograph {name!r}, only {', '.join(PHOTOGRAPHS)}")
    package, file = PHOTOGRAPHS[name]
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or ()
    for place in places:
        path = Path(place, file)
        if path.is_file():
            image = read_image(path)
            image.setflags(write=False)
            return image
    raise DataError(
        f"the installed {package} does not contain {file}, the photograph {name!r}; install "
        "scikit-image and scikit-learn from their wheels"
    )


class Crop(NamedTuple):
    """A square of a resized photograph.

    It is cut out, turned by `turns` times 90 degrees, then flipped if `flipped`; `channels` says
    which channels of the photograph its red, green and blue are.
    """

    photo: str
    shorter_side: int
    top: int
    left: int
    turns: int
    flipped: bool
    channels: tuple[int, int, int]

    @property
    def name(self) -> str:
        """What to call it, as if it were a file."""
        turn = f"_{90 * self.turns}{'_flipped' if self.flipped else ''}"
        colours = "".join("rgb"[channel] for channel in self.channels)
        return f"{self.photo}_{self.shorter_side}_{self.top}_{self.left}{turn}_{colours}.png"


@functools.lru_cache(maxsize=64)
def resized_pair(
    name: str, shorter_side: int, size: int, paint: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return an embedded photograph, resized, and its cartoon or drawing.

    Args:
        name: a key of `PHOTOGRAPHS`.
        shorter_side: of the result, in pixels.
        size: side of the crops that it is for; see `cartoonise`.
        paint: see `cartoonise`.

    Returns:
        two uint8 RGB [H, W, 3]; they are shared and cannot be written to.
    """
    photo = embedded_photograph(name)
    height, width = photo.shape[:2]
    factor = shorter_side / min(height, width)
    target = (max(shorter_side, round(height * factor)), max(shorter_side, round(width * factor)))
    photo = resize(photo, target, "area" if factor < 1 else "bicubic")
    pair = photo, cartoonise(photo, size=2 * size, paint=paint)
    for image in pair:
        image.setflags(write=False)
    return pair


@DATASETS.register()
class EmbeddedCartoonDataset(paddle.io.Dataset):
    """Crops of embedded photographs and of their cartoons, without a download.

    A sample has `A`, a crop of a photograph, and `B`, a crop of a cartoon: float32
    [3, size, size] in [-1, 1]; `A_path` and `B_path` say what they show. Crops are the same each
    time: squares at three zooms, which the index decides. Neighbours in the order are of
    different photographs.

    Args:
        mode: `train` has five photographs (astronaut, coffee, motorcycle, rocket, china); since
            that is little, crops are turned and flipped, and nearly half of them have their colours
            exchanged. `test` has two others (chelsea, a cat, and flower), as they are.
        size: side of the crops in pixels, 16 to 512.
        paired: whether `B` is the cartoon of `A`. If not, it is of another photograph, and in
            `test` samples have `B_truth` too, the cartoon of `A`.
        samples: how many crops there are, 512 for training and 64 for testing by default.
        style: `cartoon`, or `drawing` for its lines on white paper.

    Raises:
        ConfigError: an argument out of range.
        DataError: an installed package does not contain its photographs.
    """

    is_random = False

    def __init__(
        self,
        mode: Literal["train", "test"] = "train",
        size: int = 64,
        paired: bool = True,
        samples: int | None = None,
        style: Literal["cartoon", "drawing"] = "cartoon",
    ) -> None:
        super().__init__()
        if style not in ("cartoon", "drawing"):
            raise ConfigError(
                f"EmbeddedCartoonDataset: 'style' must be cartoon or drawing, got {style!r}"
            )
        if mode not in SPLIT:
            raise ConfigError(f"EmbeddedCartoonDataset: 'mode' must be train or test, got {mode!r}")
        samples = (512 if mode == "train" else 64) if samples is None else samples
        for key, value, low, high in (("size", size, 16, 512), ("samples", samples, 2, 1_000_000)):
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(
                    f"EmbeddedCartoonDataset: {key!r} must be from {low} to {high}, got {value!r}"
                )
        self.mode = mode
        self.size = size
        self.paired = paired
        self.paint = style == "cartoon"
        self.crops = _crops(SPLIT[mode], size, samples, varied=mode == "train")

    def get_batch(self, indices: Sequence[int]) -> dict[str, Any]:
        """Return the samples at `indices`, stacked; the loader's fast path."""
        own = [self.crops[index] for index in indices]
        other = own if self.paired else [self.crops[self._stranger(index)] for index in indices]
        batch: dict[str, Any] = {
            "A": self._cut(own, 0),
            "B": self._cut(other, 1),
            "A_path": [crop.name for crop in own],
            "B_path": [crop.name for crop in other],
        }
        if self.mode == "test" and not self.paired:
            batch["B_truth"] = self._cut(own, 1)
        return batch

    def source(self, index: int) -> str:
        """Return what the sample at `index` shows, for error messages."""
        return self.crops[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {key: value[0] for key, value in self.get_batch([index]).items()}

    def __len__(self) -> int:
        return len(self.crops)

    def _stranger(self, index: int) -> int:
        """Return the index of a crop of another photograph; all come equally often, or nearly."""
        photos = len(SPLIT[self.mode])
        count = len(self.crops)
        other = (index + count // 2) % count
        while other % photos == index % photos:
            other = (other + 1) % count
        return other

    def _cut(self, crops: Sequence[Crop], side: int) -> np.ndarray:
        """Return float32 [N, 3, size, size] of photographs (`side` 0) or cartoons (1)."""
        images = np.empty((len(crops), self.size, self.size, 3), np.uint8)
        for image, crop in zip(images, crops, strict=True):
            whole = resized_pair(crop.photo, crop.shorter_side, self.size, self.paint)[side]
            square = whole[crop.top : crop.top + self.size, crop.left : crop.left + self.size]
            square = np.rot90(square, crop.turns)
            image[...] = (square[:, ::-1] if crop.flipped else square)[..., crop.channels]
        return scale_levels(images.transpose(0, 3, 1, 2))


@functools.lru_cache(maxsize=16)
def _crops(names: tuple[str, ...], size: int, count: int, varied: bool) -> tuple[Crop, ...]:
    """Return the first `count` crops, going round photographs and, more slowly, zooms."""
    crops = []
    for index in range(count):
        name = names[index % len(names)]
        own_side = min(embedded_photograph(name).shape[:2])
        wanted = round(size * _ZOOMS[index // len(names) % len(_ZOOMS)])
        shorter_side = max(size, min(wanted, own_side))
        photo, _ = resized_pair(name, shorter_side, size)
        # Streams of RandomState are the same in all versions of NumPy.
        random = np.random.RandomState((index, size, 1937))
        for _ in range(_DRAWS):
            top = random.randint(photo.shape[0] - size + 1)
            left = random.randint(photo.shape[1] - size + 1)
            square = photo[top : top + size, left : left + size]
            if square.std(axis=(0, 1)).max() >= _LEAST_DEVIATION:
                break
        turns = random.randint(4) if varied else 0
        flipped = varied and bool(random.randint(2))
        exchanged = varied and bool(random.randint(2))
        channels = tuple(random.permutation(3).tolist()) if exchanged else (0, 1, 2)
        crops.append(Crop(name, shorter_side, top, left, turns, flipped, channels))
    return tuple(crops)
