# SPDX-License-Identifier: Apache-2.0
"""CelebA: faces with forty yes/no attributes.

Z. Liu, P. Luo, X. Wang, X. Tang, Deep Learning Face Attributes in the Wild, ICCV 2015
(arXiv:1411.7766). The set's own files are read: the aligned pictures (178 x 218 pixels),
`list_attr_celeba.txt` and `list_eval_partition.txt`, or the `.csv` forms that Kaggle offers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ppzoo.data.folder import ImageFolderDataset, OnError, find_images
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, TRANSFORMS, suggest

_log = logging.getLogger(__name__)

_PARTITION = "list_eval_partition.txt"
_PARTS = {"train": "0", "valid": "1", "test": "2"}
_TEST_SHARE = 0.1


@DATASETS.register()
class CelebADataset(ImageFolderDataset):
    """CelebA, or any folder of pictures with a list of attributes in its format.

    A sample is `img`, float32 [3, size, size] in [-1, 1]; `img_path`, the file; and, if attributes
    are given, `class_id`, int64 [], in [0, 2 ** len(attributes)): the sum of 2 ** k over the k with
    attributes[k] present. For one attribute: 1 if it is present, else 0.

    Args:
        dataroot: the folder with the pictures, in it or below it, and the lists.
        attributes: names of the attributes that make the class, such as `[Smiling, Male]`.
        attr_file: the list of attributes, in `dataroot` unless it is an absolute path.
        size: side of the pictures in pixels.
        crop: side of the square cut out of the middle before resizing, in pixels of the file.
        mode: `train`, `valid` or `test` by `list_eval_partition.txt` in `dataroot`; without that
            file `train` has the first nine tenths in order of their names and `valid` and `test`
            both have the rest. Pictures that the file does not name are in neither. `all` has
            everything.
        transforms: transforms of uint8 RGB pictures [size, size, 3], as in `ImageFolderDataset`.
        on_error: `skip` replaces pictures that cannot be read, and does without pictures that are
            not listed and listed ones that are not there; `raise` stops at any of them.

    Raises:
        ConfigError: an unknown mode or attribute, an attribute given twice.
        DataError: the folder, its pictures or a list are missing, damaged or do not fit together.
    """

    def __init__(
        self,
        dataroot: str,
        attributes: list[str] | None = None,
        attr_file: str = "list_attr_celeba.txt",
        size: int = 64,
        crop: int | None = 178,
        mode: Literal["train", "valid", "test", "all"] = "train",
        transforms: list[Annotated[Any, TRANSFORMS]] | None = None,
        on_error: OnError = "raise",
    ) -> None:
        if mode not in (*_PARTS, "all"):
            raise ConfigError(
                f"CelebADataset: 'mode' must be train, valid, test or all, got {mode!r}"
            )
        super().__init__(dataroot, size, crop, transforms=transforms, on_error=on_error)
        root = Path(dataroot).expanduser()
        self.attributes = [attributes] if isinstance(attributes, str) else list(attributes or ())
        self.n_class = 2 ** len(self.attributes)
        classes: dict[str, int] = {}
        if self.attributes:
            file = _with_csv(root / Path(attr_file).expanduser())
            classes = read_classes(file, self.attributes)
            self.paths = self._matching(file, classes)
        self.paths = _part(root, self.paths, mode)
        if not self.paths:
            raise DataError(f"CelebADataset: no picture in {root} belongs to the part {mode!r}")
        self._class_ids = [classes[path.name] for path in self.paths] if classes else None

    def find(self, dataroot: str, recursive: bool) -> list[Path]:
        """Return the files of all parts."""
        return find_images(dataroot, recursive)

    def load(self, index: int) -> dict[str, Any]:
        """Return the sample at `index`."""
        sample = super().load(index)
        if self._class_ids is not None:
            sample["class_id"] = np.asarray(self._class_ids[index], np.int64)
        return sample

    def _matching(self, file: Path, classes: dict[str, int]) -> list[Path]:
        """Return the pictures that are listed, having dealt with lists and folders that differ."""
        listed = [path for path in self.paths if path.name in classes]
        if not listed:
            raise DataError(
                f"{file} lists none of the {len(self.paths)} pictures of the folder, "
                f"such as {self.paths[0]}"
            )
        unlisted = [str(path) for path in self.paths if path.name not in classes]
        absent = sorted(classes.keys() - {path.name for path in listed})
        for names, problem in (
            (unlisted, "does not list {count} pictures of the folder, the first is {first}"),
            (absent, "lists {count} pictures that the folder lacks, the first is {first}"),
        ):
            if not names:
                continue
            sentence = f"{file} {problem.format(count=len(names), first=names[0])}"
            if self.on_error == "raise":
                raise DataError(f"{sentence}; complete the folder or set 'on_error: skip'")
            _log.warning("%s; going on without", sentence)
        return listed


def read_classes(path: Path, attributes: Sequence[str]) -> dict[str, int]:
    """Read CelebA's list of attributes.

    Args:
        path: the list: the number of pictures (absent in `.csv`), the attributes' names, then for
            each picture its file name and 1 (present) or -1 (absent; also 0) per attribute.
        attributes: the attributes that make the class.

    Returns:
        File name -> class, see `CelebADataset`.

    Raises:
        ConfigError: an attribute that the list does not have, or one given twice.
        DataError: the list cannot be read or is malformed; names the line.
    """
    lines = _lines(path)
    header = next(lines, (0, []))[1]
    if len(header) == 1 and header[0].isdigit():
        header = next(lines, (0, []))[1]
    if header[:1] == ["image_id"]:
        header = header[1:]
    for name in attributes:
        if name not in header:
            raise ConfigError(
                f"CelebADataset: {path} has no attribute {name!r}{suggest(name, header)}"
            )
        if attributes.count(name) > 1:
            raise ConfigError(f"CelebADataset: the attribute {name!r} is given twice")
    columns = [1 + header.index(name) for name in attributes]
    classes = {}
    for number, fields in lines:
        if len(fields) != 1 + len(header):
            raise DataError(
                f"{path}:{number}: {len(fields)} fields instead of a file name and "
                f"{len(header)} attributes"
            )
        marks = [fields[column] for column in columns]
        if not set(marks) <= {"1", "-1", "0"}:
            raise DataError(f"{path}:{number}: attributes must be 1 or -1, got {' '.join(marks)}")
        classes[fields[0]] = sum(2**k for k, mark in enumerate(marks) if mark == "1")
    if not classes:
        raise DataError(f"{path} lists no pictures")
    return classes


def _part(root: Path, paths: list[Path], mode: str) -> list[Path]:
    if mode == "all":
        return paths
    file = _with_csv(root / _PARTITION)
    if not file.is_file():
        cut = max(1, len(paths) - max(1, round(len(paths) * _TEST_SHARE)))
        return paths[:cut] if mode == "train" else paths[cut:]
    parts = {}
    for number, fields in _lines(file):
        if fields[0] == "image_id":
            continue
        if len(fields) != 2 or fields[1] not in _PARTS.values():
            raise DataError(
                f"{file}:{number}: expected a file name and 0, 1 or 2, got {' '.join(fields)!r}"
            )
        parts[fields[0]] = fields[1]
    return [path for path in paths if parts.get(path.name) == _PARTS[mode]]


def _with_csv(path: Path) -> Path:
    """Return `path`, or the same with the suffix `.csv` if only that exists."""
    alternative = path.with_suffix(".csv")
    return alternative if not path.is_file() and alternative.is_file() else path


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of each line that is not blank."""
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                fields = line.replace(",", " ").split()
                if fields:
                    yield number, fields
    except FileNotFoundError:
        raise DataError(
            f"there is no file {path}; it comes with CelebA and lists the attributes of each "
            "picture ('attr_file' says where it is)"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
