# SPDX-License-Identifier: Apache-2.0
"""What is in folders of pictures: how many, how large, and which of them cannot be used."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from ppzoo.data.folder import find_images
from ppzoo.data.pairs import match_folders
from ppzoo.errors import DataError
from ppzoo.media.image import read_image

Kind = Literal["pictures", "pairs", "frames"]

# Folders that training expects, and what is in them; other names are taken as plain pictures.
_PAIRS, _DOMAINS = ("train", "val", "test"), ("trainA", "trainB", "testA", "testB")


@dataclasses.dataclass
class Survey:
    """What a folder holds.

    Args:
        folder: the folder.
        kind: `pairs` of pictures side by side, single `pictures`, or `frames` of clips.
        count: how many pictures can be used.
        sizes: how many pictures there are of each (width, height), in pixels; pairs as wholes.
        problems: one sentence for each picture that cannot be used.
    """

    folder: Path
    kind: Kind
    count: int = 0
    sizes: collections.Counter[tuple[int, int]] = dataclasses.field(
        default_factory=collections.Counter
    )
    problems: list[str] = dataclasses.field(default_factory=list)

    def describe_sizes(self) -> str:
        """Return the size that all pictures have, or the smallest and the largest sides."""
        if not self.sizes:
            return "-"
        if len(self.sizes) == 1:
            return "{} x {}".format(*next(iter(self.sizes)))
        widths, heights = zip(*self.sizes, strict=True)
        return f"{_range(widths)} x {_range(heights)} ({len(self.sizes)} sizes)"


def survey_folder(
    folder: str | os.PathLike[str],
    kind: Kind | None = None,
    option: str | None = "dataroot",
    progress: bool = True,
) -> Survey:
    """Read every picture in a folder and its subfolders.

    Args:
        folder: the folder.
        kind: what is expected there. Without it, pictures that are all twice as wide as high are
            taken for pairs.
        option: the option that names the folder, if one does, for error messages.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        DataError: there is no such folder, or no pictures in it.
    """
    from tqdm import tqdm

    root = Path(folder).expanduser()
    paths = find_images(root, option=option)
    result = Survey(root, kind or "pictures")
    shapes: dict[Path, tuple[int, int]] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = tqdm(
            pool.map(_shape_or_problem, paths),
            root.name,
            len(paths),
            unit="picture",
            disable=None if progress else True,
        )
        for path, shape in zip(paths, found, strict=True):
            if isinstance(shape, str):
                result.problems.append(shape)
            else:
                shapes[path] = shape
    if kind is None and shapes and all(width == 2 * height for width, height in shapes.values()):
        result.kind = "pairs"
    for path, (width, height) in shapes.items():
        if result.kind == "pairs" and width % 2:
            result.problems.append(
                f"{path} is {width} pixels wide, an odd number, so it is no pair"
            )
        else:
            result.sizes[width, height] += 1
    result.count = sum(result.sizes.values())
    return result


def survey_tree(folder: str | os.PathLike[str], progress: bool = True) -> list[Survey]:
    """Survey a dataset: its folders train, val and test, trainA and so on, or else itself.

    Raises:
        DataError: there is no such folder, or no pictures in it.
    """
    root = Path(folder).expanduser()
    pairs = [root / name for name in _PAIRS if (root / name).is_dir()]
    domains = [root / name for name in _DOMAINS if (root / name).is_dir()]
    if not pairs and not domains:
        return [survey_folder(root, option=None, progress=progress)]
    kinds: Iterable[tuple[Path, Kind | None]] = (
        *((path, None) for path in pairs),
        *((path, "pictures") for path in domains),
    )
    return [survey_folder(path, kind, path.name, progress) for path, kind in kinds]


def note_partners(a: Survey, b: Survey) -> None:
    """Add to the surveys of two folders which pictures have no partner of their name.

    Args:
        a: the survey of one folder, as `survey_folder` returns it.
        b: that of the other.
    """
    try:
        _, problems = match_folders(str(a.folder), str(b.folder))
    except DataError as error:
        a.problems.append(str(error))
        return
    for survey in (a, b):
        alone = [text for text in problems if text.startswith(f"{survey.folder}{os.sep}")]
        survey.problems += alone
        survey.count = max(0, survey.count - len(alone))


def as_table(surveys: Sequence[Survey], most_problems: int = 5) -> str:
    """Return surveys as a table, and below it the first problems of each folder."""
    rows = [("folder", "kind", "usable", "size in pixels", "problems")]
    rows += [
        (str(s.folder), s.kind, str(s.count), s.describe_sizes(), str(len(s.problems)))
        for s in surveys
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    for survey in surveys:
        lines += [f"  {problem}" for problem in survey.problems[:most_problems]]
        if len(survey.problems) > most_problems:
            rest = len(survey.problems) - most_problems
            lines.append(f"  ... and {rest} more in {survey.folder}")
    return "\n".join(lines)


def _shape_or_problem(path: Path) -> tuple[int, int] | str:
    try:
        height, width = read_image(path).shape[:2]
    except DataError as error:
        return str(error)
    return width, height


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}-{high}"
