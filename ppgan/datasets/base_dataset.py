# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's base of datasets, for classes of one's own."""

from __future__ import annotations

import abc
import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import paddle

from ppgan.datasets.preprocess import build_preprocess
from ppzoo.errors import DataError

IMG_EXTENSIONS = tuple(
    suffix
    for lower in (".jpg", ".jpeg", ".png", ".ppm", ".bmp")
    for suffix in (lower, lower.upper())
)


def scandir(
    dir_path: str | os.PathLike[str],
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
) -> Iterator[str]:
    """Yield the paths of a folder's files, relative to it, sorted; hidden ones are left out.

    Args:
        dir_path: the folder.
        suffix: ends of names that are wanted, all by default.
        recursive: look into folders of it, too.
    """
    root = Path(dir_path)
    for path in sorted(root.rglob("*") if recursive else root.iterdir()):
        if not path.name.startswith(".") and path.is_file() and path.name.endswith(suffix or ""):
            yield os.fspath(path.relative_to(root))


class BaseDataset(paddle.io.Dataset, abc.ABC):
    """Samples that are described by `data_infos`, a dict each, and made by steps.

    A subclass fills `data_infos` in `prepare_data_infos`, which it calls itself.

    Args:
        preprocess: the steps, as a config lists them; see `build_preprocess`.
    """

    def __init__(self, preprocess: Sequence[Any] | None = None) -> None:
        super().__init__()
        self.data_infos: list[dict[str, Any]] = []
        self.preprocess = build_preprocess(preprocess) if preprocess else None

    @abc.abstractmethod
    def prepare_data_infos(self, *args: Any, **kwargs: Any) -> Any:
        """Fill `data_infos`."""

    @staticmethod
    def scan_folder(path: str | os.PathLike[str]) -> list[str]:
        """Return the paths of all pictures in a folder and the folders in it.

        Raises:
            DataError: there are none.
        """
        found = [os.path.join(path, name) for name in scandir(path, IMG_EXTENSIONS, True)]
        if not found:
            raise DataError(
                f"{os.fspath(path)} has no pictures: expected {' '.join(IMG_EXTENSIONS)}"
            )
        return found

    def __getitem__(self, idx: int) -> dict[str, Any]:
        sample = copy.deepcopy(self.data_infos[idx])
        return sample if self.preprocess is None else self.preprocess(sample)

    def __len__(self) -> int:
        return len(self.data_infos)
