# SPDX-License-Identifier: Apache-2.0
"""Datasets of picture files in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import paddle

from ppzoo.data import preprocess as steps
from ppzoo.data.pictures import Finish, crop_and_fit
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.registry import DATASETS, PREPROCESS, TRANSFORMS

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
)
OnError = Literal["raise", "skip"]


def find_images(
    folder: str | os.PathLike[str], recursive: bool = True, option: str | None = "dataroot"
) -> list[Path]:
    """Return the picture files in a folder, sorted by path; hidden files are left out.

    Args:
        folder: where to look; `~` is the home folder.
        recursive: look into subfolders too.
        option: the option that names the folder, if one does, for error messages.

    Raises:
        DataError: there is no such folder, it cannot be read, or it holds no pictures.
    """
    root = Path(folder).expanduser()
    named = f"the folder {root}" + (f" of '{option}'" if option else "")
    if not root.is_dir():
        problem = "is a file, not a folder" if root.is_file() else "does not exist"
        raise DataError(f"{named} {problem}")
    entries, found = 0, []
    for place, subfolders, names in _walk(root, recursive):
        entries += len(names) + len(subfolders)
        found += [
            Path(place, name) for name in names if _is_image(name) and not name.startswith(".")
        ]
    if not found:
        problem = (
            f"holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})" if entries else "is empty"
        )
        raise DataError(f"{named} {problem}")
    return sorted(found)


def find_others(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files that `find_images` passes by for their names, sorted, but for hidden ones.

    Args:
        folder: where to look, with its subfolders.

    Raises:
        DataError: it cannot be read.
    """
    return sorted(
        Path(place, name)
        for place, _, names in _walk(Path(folder).expanduser(), True)
        for name in names
        if not _is_image(name) and not name.startswith(".")
    )


class FileDataset(paddle.io.Dataset):
    """Samples that are read from files, some of which may be damaged.

    Subclasses define `load`.

    Args:
        paths: the file that each sample is named after.
        on_error: `raise` stops at a file that cannot be read; `skip` takes the next readable
            sample in its place, and the loader says once how many were replaced.
    """

    def __init__(self, paths: Sequence[Path], on_error: OnError = "raise") -> None:
        super().__init__()
        if on_error not in ("raise", "skip"):
            raise ConfigError(
                f"{type(self).__name__}: 'on_error' must be raise or skip, got {on_error!r}"
            )
        self.paths = list(paths)
        self.on_error = on_error
        self._unreadable: dict[int, str] = {}
        self._unreported: list[str] = []

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`.

        Raises:
            DataError: its file cannot be read or used.
        """
        raise NotImplementedError

    def source(self, index: int) -> str:
        """Return the file that the sample at `index` comes from, for error messages."""
        return str(self.paths[index])

    def take_skipped(self) -> list[str]:
        """Return the problems of files found unreadable since the last call."""
        taken, self._unreported = self._unreported, []
        return taken

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.on_error == "raise":
            return self.load(index)
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        for step in range(len(self)):
            place = (index + step) % len(self)
            if place in self._unreadable:
                continue
            try:
                return self.load(place)
            except DataError as error:
                self._unreadable[place] = str(error)
                self._unreported.append(str(error))
        raise DataError(
            f"none of the {len(self)} files can be used; the first problem: "
            f"{self._unreadable[index % len(self)]}"
        )

    def __len__(self) -> int:
        return len(self.paths)


@DATASETS.register()
class ImageFolderDataset(FileDataset):
    """The pictures of a folder, for unconditional GANs.

    A sample is `img`, float32 [C, size, size] in [-1, 1] (C = 3 unless a transform changes it),
    and `img_path`, the file.

    Args:
        dataroot: the folder.
        size: side of the pictures in pixels.
        crop: side of the square cut out of the middle before resizing, in pixels of the file; the
            shorter side by default.
        recursive: look into subfolders too.
        transforms: transforms of uint8 RGB pictures [size, size, 3]; what is uint8 after them is
            scaled to [-1, 1].
        on_error: see `FileDataset`.

    Raises:
        ConfigError: a size that is not positive.
        DataError: no pictures there; on access, a picture that cannot be read or is smaller than
            `crop`.
    """

    def __init__(
        self,
        dataroot: str,
        size: int = 64,
        crop: int | None = None,
        recursive: bool = True,
        transforms: list[Annotated[Any, TRANSFORMS]] | None = None,
        on_error: OnError = "raise",
    ) -> None:
        for key, value in (("size", size), ("crop", crop)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ConfigError(
                    f"{type(self).__name__}: {key!r} must be a positive number of pixels, "
                    f"got {value!r}"
                )
        super().__init__(self.find(dataroot, recursive), on_error)
        self.size = size
        self.crop = crop
        self.finish = Finish(transforms)

    def find(self, dataroot: str, recursive: bool) -> list[Path]:
        """Return the files of the samples."""
        return find_images(dataroot, recursive)

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return self.finish.is_random

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        path = self.paths[index]
        image = read_image(path)
        try:
            image = self.finish(crop_and_fit(image, self.crop, self.size))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        return {"img": image, "img_path": str(path)}


@DATASETS.register()
class SingleDataset(FileDataset):
    """The pictures of a folder, prepared by steps that the config lists, as in PaddleGAN.

    A sample is what the steps make of `{"A_path": file}`; with PaddleGAN's configs `A`, float32
    [3, H, W], beside its path.

    Args:
        dataroot: the folder; subfolders are looked into.
        preprocess: the steps.
        on_error: see `FileDataset`.

    Raises:
        DataError: no pictures there; on access, a picture that cannot be read.
    """

    def __init__(
        self,
        dataroot: str,
        preprocess: list[Annotated[Any, PREPROCESS]],
        on_error: OnError = "raise",
    ) -> None:
        super().__init__(find_images(dataroot), on_error)
        self.preprocess = list(preprocess)

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return steps.is_random(self.preprocess)

    def load(self, index: int) -> dict[str, np.ndarray | str]:
        """Return the sample at `index`."""
        return steps.run(self.preprocess, {"A_path": str(self.paths[index])})


@DATASETS.register()
class RepeatDataset(paddle.io.Dataset):
    """Another dataset, `times` times over, so that an epoch is longer.

    Args:
        dataset: the dataset.
        times: how often each sample comes in an epoch.
    """

    def __init__(self, dataset: Annotated[paddle.io.Dataset, DATASETS], times: int = 1) -> None:
        super().__init__()
        if not isinstance(times, int) or times < 1:
            raise ConfigError(f"RepeatDataset: 'times' must be a positive number, got {times!r}")
        self.dataset = dataset
        self.times = times

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return getattr(self.dataset, "is_random", True)

    def source(self, index: int) -> str:
        """Return what the sample at `index` comes from, for error messages."""
        row = index % len(self.dataset)
        return self.dataset.source(row) if hasattr(self.dataset, "source") else f"sample {row}"

    def take_skipped(self) -> list[str]:
        """Return the problems of files found unreadable since the last call."""
        return self.dataset.take_skipped() if hasattr(self.dataset, "take_skipped") else []

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.dataset[index % len(self.dataset)]

    def __len__(self) -> int:
        return len(self.dataset) * self.times


def _walk(root: Path, recursive: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each folder once, with the names of its subfolders that count and of its files."""
    seen = set()
    for place, subfolders, names in os.walk(root, onerror=_refuse, followlinks=True):
        # A link may lead back to a folder above.
        real = os.path.realpath(place)
        subfolders[:] = [n for n in subfolders if recursive and not n.startswith(".")]
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        yield place, subfolders, names


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _refuse(error: OSError) -> None:
    raise DataError(f"cannot read the folder {error.filename}: {error.strerror}") from error
