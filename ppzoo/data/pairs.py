# SPDX-License-Identifier: Apache-2.0
"""Datasets of two domains of pictures, A and B: pairs, and pictures that do not belong together.

Names and arguments are those of PaddleGAN. Deviations: a pair of odd width is an error (there its
halves differ by a column, hence all that follows is shifted), `max_size` is honoured (there it
does nothing), pairs may lie in two folders, and files that cannot be used can be skipped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ppzoo.data import preprocess as steps
from ppzoo.data.folder import FileDataset, OnError, find_images
from ppzoo.data.sources import how_to_get
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, PREPROCESS


@DATASETS.register()
class PairedDataset(FileDataset):
    """Pairs of pictures, as pix2pix learns from, prepared by steps that the config lists.

    A sample is what the steps make of `{"pair_path": file}`, where a file holds both pictures
    side by side, or of `{"A_path": file, "B_path": file}`, where they are two files. With
    PaddleGAN's configs it has `A` and `B`, float32 [3, H, W], beside their paths.

    Args:
        dataroot: the folder of pictures that hold a pair each; subfolders are looked into.
        preprocess: the steps.
        dataroot_a: instead of `dataroot`, the folder of the pictures A; those of B have the same
            paths in `dataroot_b`, whatever their suffix.
        dataroot_b: the folder of the pictures B.
        on_error: see `FileDataset`; `skip` leaves out pictures without a partner too.

    Raises:
        ConfigError: neither one folder nor two are given, or both.
        DataError: no pictures there, or pictures without a partner; on access, a file that cannot
            be read, a pair that is an odd number of pixels wide, or partners of which one is
            longer or wider in proportion.
    """

    def __init__(
        self,
        dataroot: str | None = None,
        preprocess: list[Annotated[Any, PREPROCESS]] | None = None,
        dataroot_a: str | None = None,
        dataroot_b: str | None = None,
        on_error: OnError = "raise",
    ) -> None:
        folders = [folder is not None for folder in (dataroot, dataroot_a, dataroot_b)]
        if folders not in ([True, False, False], [False, True, True]):
            raise ConfigError(
                "PairedDataset needs 'dataroot', a folder of pictures side by side, or else both "
                "'dataroot_a' and 'dataroot_b'"
            )
        if not preprocess:
            raise ConfigError("PairedDataset needs 'preprocess', the steps that read the pictures")
        if dataroot is not None:
            self.pairs = [{"pair_path": str(path)} for path in _pictures(dataroot, "dataroot")]
            problems = []
        else:
            pairs, problems = match_folders(str(dataroot_a), str(dataroot_b))
            self.pairs = [{"A_path": str(a), "B_path": str(b)} for a, b in pairs]
        if problems and on_error != "skip":
            raise DataError(summary(problems) + "; set 'on_error: skip' to leave them out")
        if not self.pairs:
            raise DataError(f"no picture has a partner: {summary(problems)}")
        super().__init__([Path(next(iter(pair.values()))) for pair in self.pairs], on_error)
        self._unreported += problems
        self.preprocess = list(preprocess)

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return steps.is_random(self.preprocess)

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        pair = self.pairs[index]
        sample = steps.run(self.preprocess, dict(pair))
        whole, a, b = (sample.get(f"{key}_ori_shape") for key in ("pair", "A", "B"))
        if whole is not None and whole[1] % 2:
            raise DataError(
                f"{pair['pair_path']} is {whole[1]} pixels wide, an odd number, so it is no pair "
                "of equally large pictures side by side"
            )
        if a is not None and b is not None and not same_proportions(a, b):
            raise DataError(
                f"{pair['A_path']} of {a[1]} x {a[0]} and {pair['B_path']} of {b[1]} x {b[0]} "
                "pixels differ in their proportions, so they are no pair"
            )
        return sample


@DATASETS.register()
class UnpairedDataset(FileDataset):
    """Pictures of two domains that do not belong together, as CycleGAN and U-GAT-IT learn from.

    A sample is what the steps make of `{"A_path": file, "B_path": file}`; with PaddleGAN's
    configs it has `A` and `B`, float32 [3, H, W], beside their paths. There are as many samples as
    the larger folder has pictures; the smaller one is gone through again.

    Args:
        dataroot_a: the folder of the pictures A; subfolders are looked into.
        dataroot_b: the folder of the pictures B.
        preprocess: the steps.
        max_size: the largest number of pictures to take from a folder.
        is_train: draw B at random; otherwise both come in the order of their paths.
        on_error: `raise` stops at a file that cannot be used; `skip` takes the next one of its
            folder in its place, and the loader says once how many were replaced.

    Raises:
        ConfigError: `max_size` is not positive.
        DataError: a folder without pictures; on access, a file that cannot be used.
    """

    def __init__(
        self,
        dataroot_a: str,
        dataroot_b: str,
        preprocess: list[Annotated[Any, PREPROCESS]],
        max_size: int | float | Literal["inf"] = math.inf,
        is_train: bool = True,
        on_error: OnError = "raise",
    ) -> None:
        # PaddleGAN's configs write `inf`, which YAML reads as a word.
        limit = math.inf if max_size == "inf" else max_size
        if isinstance(limit, str) or not limit >= 1:
            raise ConfigError(
                f"UnpairedDataset: 'max_size' must be a positive number or inf, got {max_size!r}"
            )
        last = None if limit == math.inf else int(limit)
        self.paths_a = _pictures(dataroot_a, "dataroot_a")[:last]
        self.paths_b = _pictures(dataroot_b, "dataroot_b")[:last]
        count = max(len(self.paths_a), len(self.paths_b))
        super().__init__([self.paths_a[i % len(self.paths_a)] for i in range(count)], on_error)
        self.is_train = is_train
        self.preprocess = list(preprocess)
        self._bad: dict[Path, str] = {}

    @property
    def is_random(self) -> bool:
        """Whether samples depend on random draws."""
        return self.is_train or steps.is_random(self.preprocess)

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        path_b = self.paths_b[self._partner(index)]
        return self._prepare(self.paths[index], path_b)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.on_error == "raise":
            return self.load(index)
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        partner = self._partner(index)
        drawn = random.getstate(), np.random.get_state()
        while True:
            path_a = self._usable(self.paths_a, index)
            path_b = self._usable(self.paths_b, partner)
            # Steps see the draws that they would see if no file were damaged, so that what a
            # sample becomes does not depend on which files have been met before.
            random.setstate(drawn[0])
            np.random.set_state(drawn[1])
            try:
                return self._prepare(path_a, path_b)
            except DataError as error:
                self._blame(path_a, path_b, str(error))

    def _partner(self, index: int) -> int:
        size = len(self.paths_b)
        return random.randint(0, size - 1) if self.is_train else index % size

    def _prepare(self, path_a: Path, path_b: Path) -> dict[str, Any]:
        return steps.run(self.preprocess, {"A_path": str(path_a), "B_path": str(path_b)})

    def _usable(self, paths: Sequence[Path], start: int) -> Path:
        """Return the first file from place `start` on that has not been found unusable."""
        for step in range(len(paths)):
            path = paths[(start + step) % len(paths)]
            if path not in self._bad:
                return path
        raise DataError(
            f"none of the {len(paths)} files of a folder can be used; the first problem: "
            f"{self._bad[paths[start % len(paths)]]}"
        )

    def _blame(self, path_a: Path, path_b: Path, problem: str) -> None:
        """Note which of two files cannot be used: the one that fails beside itself, too."""
        found = {}
        for path in (path_a, path_b):
            try:
                self._prepare(path, path)
            except DataError as error:
                found[path] = str(error)
        found = found or {path_a: problem, path_b: problem}
        self._bad.update(found)
        self._unreported += found.values()


def match_folders(
    folder_a: str, folder_b: str, options: tuple[str, str] = ("dataroot_a", "dataroot_b")
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Match the pictures of two folders by their paths in them, whatever the suffix.

    Args:
        folder_a: where to look; subfolders are looked into.
        folder_b: likewise.
        options: what names the folders, for error messages.

    Returns:
        the pairs, in the order of their paths, and one sentence for each picture that has no
        partner.

    Raises:
        DataError: a folder without pictures, or two pictures in it differ in their suffix alone.
    """
    roots = [Path(folder).expanduser() for folder in (folder_a, folder_b)]
    found = [
        paths_by_name(find_images(root, option=option), root)
        for root, option in zip(roots, options, strict=True)
    ]
    pairs = [(path, found[1][name]) for name, path in found[0].items() if name in found[1]]
    problems = [
        f"{path} has no partner of this name in {other}"
        for by_name, partners, other in ((*found, roots[1]), (*found[::-1], roots[0]))
        for name, path in by_name.items()
        if name not in partners
    ]
    return pairs, problems


def paths_by_name(paths: Iterable[Path], root: Path) -> dict[Path, Path]:
    """Return paths by what a partner in another folder has in common with them.

    Args:
        paths: files in `root` and its subfolders.
        root: the folder.

    Returns:
        keys are the paths within the folder without suffix.

    Raises:
        DataError: two paths differ in their suffix alone.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        name = path.relative_to(root).with_suffix("")
        if name in found:
            raise DataError(
                f"{found[name]} and {path} have the same name, so it is not clear which of them "
                "has a partner in the other folder"
            )
        found[name] = path
    return found


def same_proportions(a: Sequence[int], b: Sequence[int]) -> bool:
    """Return whether one shape (height, width, ...) is the other enlarged, up to rounding."""
    # Rounding moves a side by half a pixel at most.
    return abs(int(a[0]) * int(b[1]) - int(a[1]) * int(b[0])) <= max(*a[:2], *b[:2])


def _pictures(folder: str, option: str) -> list[Path]:
    try:
        return find_images(folder, option=option)
    except DataError as error:
        raise DataError(f"{error}{how_to_get(folder)}") from error


def summary(problems: Sequence[str]) -> str:
    """Return one sentence for those of `match_folders` on pictures without a partner."""
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} pictures have no partner; the first: {problems[0]}"
