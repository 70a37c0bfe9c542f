# SPDX-License-Identifier: Apache-2.0
"""Patches of large pictures, and of the small ones that belong to them, to train on.

A step of training needs a few thousand pixels of a picture, and reading all four million of them
takes longer than the step: so pictures are cut beforehand. Patches have the places and names that
PaddleGAN's tool for DIV2K gives them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.folder import OnError
from ppzoo.data.lmdb_pictures import DatabaseWriter, is_database, picture_size, read_picture
from ppzoo.data.many import for_each
from ppzoo.data.notes import agree_on_settings
from ppzoo.data.sr import Pair, Size, fitting_pairs, match_pairs, pictures_by_name
from ppzoo.errors import ConfigError, DataError

_NOTE = "patches.json"
# Of PNG: a few per cent larger than the default, in half the time.
_COMPRESSION = 1


@dataclasses.dataclass
class Cut:
    """What `cut_patches` did.

    Args:
        pictures: how many pictures there are patches of.
        patches: how many patches there are of large pictures.
        made: how many of them are new.
        problems: one sentence for each picture, or kind of pictures, that was left out.
    """

    pictures: int = 0
    patches: int = 0
    made: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def cut_patches(
    pictures: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int = 480,
    step: int = 240,
    scale: int | None = None,
    small: str | os.PathLike[str] | None = None,
    small_out: str | os.PathLike[str] | None = None,
    filename_tmpl: str = "{}",
    jobs: int | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Cut:
    """Cut the pictures of a folder into overlapping squares.

    Patches are PNG files `NAME_s001.png` and so on, row by row. Those that are there already are
    kept, so that an interrupted call is continued by the next one.

    Args:
        pictures: the folder; subfolders are looked into, and found again in `out`.
        out: where patches go, a folder or an LMDB database (`*.lmdb`).
        size: side of a patch in pixels.
        step: from a patch to the next, in pixels. The last ones of a row and of a column end at
            the picture's border.
        scale: if given, patches of pictures that are so many times smaller are cut too; `size`,
            `step` and what is used of the pictures are multiples of it.
        small: the folder of these pictures; without it they are made by `resize_bicubic`.
        small_out: where their patches go; `out` with `_x4` (the scale) before its suffix by
            default.
        filename_tmpl: name of the small picture whose partner is called `{}`.
        jobs: how many threads work, as many as there are processors by default.
        on_error: `raise` stops at a picture that cannot be used, `skip` leaves it out.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        ConfigError: a number out of range, or folders that lie within each other.
        DataError: no pictures there, one that cannot be used or is smaller than a patch, or `out`
            has patches that were made with other settings.
        MissingExtraError: a database is wanted, and the package lmdb is not installed.
        UserError: a file that cannot be written.
    """
    _check_numbers(size, step, scale, jobs, on_error)
    if scale is None and (small or small_out):
        raise ConfigError("patches of small pictures need 'scale'")
    places = [Path(out).expanduser()]
    if scale is not None:
        beside = places[0].with_name(f"{places[0].stem}_x{scale}{places[0].suffix}")
        places.append(Path(small_out).expanduser() if small_out else beside)
    sources = [Path(folder).expanduser() for folder in (pictures, small) if folder]
    _check_places(sources, places)
    result = Cut()
    plan = _plan(sources, scale or 1, size, filename_tmpl, result, progress)
    if result.problems and on_error == "raise":
        raise DataError(f"{result.problems[0]}; or have them left out: on-error skip")
    if not plan:
        raise DataError(f"there is no picture to cut: {result.problems[0]}")
    settings = {"size": size, "step": step, "scale": scale}
    stores = [(_Database if is_database(place) else _Folder)(place) for place in places]
    with contextlib.ExitStack() as stack:
        for store in stores:
            stack.enter_context(store)
            note = store.root / _NOTE
            agree_on_settings(note, settings, "patches", binding=not store.is_empty())
        cutter = _Cutter(stores, size, step, scale or 1)
        for patches, made in for_each(
            cutter.cut,
            plan,
            "cutting",
            jobs=jobs,
            on_error=on_error,
            problems=result.problems,
            progress=progress,
        ):
            result.pictures += 1
            result.patches += patches
            result.made += made
    return result


def starts(side: int, size: int, step: int) -> list[int]:
    """Return where patches begin along a side of a picture, in pixels.

    Args:
        side: length of the side.
        size: that of a patch, not more than `side`.
        step: from a patch to the next; the last patch ends where the side does.
    """
    found = list(range(0, side - size + 1, step))
    return found if found[-1] + size == side else [*found, side - size]


def _check_numbers(
    size: int, step: int, scale: int | None, jobs: int | None, on_error: str
) -> None:
    factor = scale or 1
    multiple = f", a multiple of 'scale' ({scale})" if scale else ""
    for name, value, good, wanted in (
        ("scale", scale, scale is None or 2 <= scale <= 16, "from 2 to 16"),
        ("size", size, size >= 8 and size % factor == 0, f"8 or more{multiple}"),
        ("step", step, 1 <= step <= size and step % factor == 0, f"from 1 to 'size'{multiple}"),
        ("jobs", jobs, jobs is None or jobs >= 1, "positive"),
        ("on_error", on_error, on_error in ("raise", "skip"), "raise or skip"),
    ):
        if not good:
            raise ConfigError(f"{name!r} must be {wanted}, got {value!r}")


def _check_places(sources: Sequence[Path], places: Sequence[Path]) -> None:
    if len({place.resolve() for place in places}) < len(places):
        raise ConfigError(f"patches of large and of small pictures cannot both go to {places[0]}")
    for source in (path.resolve() for path in sources):
        for place in places:
            if source in (place.resolve(), *place.resolve().parents):
                raise ConfigError(
                    f"patches in {place} would be taken for pictures of {source} by the next "
                    "call: choose an 'out' outside the folder of pictures"
                )


def _plan(
    sources: Sequence[Path], scale: int, size: int, template: str, result: Cut, progress: bool
) -> dict[Path, Pair]:
    """Return the pictures to cut by their names in the folder without suffix."""
    if len(sources) == 1:
        named = pictures_by_name(sources[0], "input")
        pairs = [Pair(None, path) for path in named.values()]
    else:
        pairs, result.problems = match_pairs(
            sources[1], sources[0], scale, template, ("small", "input")
        )
    fitting, unfit = fitting_pairs(pairs, scale, size, "size", progress)
    result.problems += unfit
    return {pair.large.relative_to(sources[0]).with_suffix(""): pair for pair in fitting}


class _Folder:
    """Patches as PNG files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *details: object) -> None:
        pass

    def is_empty(self) -> bool:
        return not any(self.root.rglob("*.png"))

    def has(self, names: Iterable[str]) -> bool:
        return all((self.root / f"{name}.png").exists() for name in names)

    def put(self, files: Mapping[str, bytes], shape: tuple[int, int, int]) -> None:
        for name, data in files.items():
            with atomic_write(self.root / f"{name}.png") as file:
                file.write(data)

    def keep(self, names: Iterable[str], shape: tuple[int, int, int]) -> None:
        """Leave what is there as it is."""


class _Database(DatabaseWriter):
    """Patches in a database, which one thread at a time uses: it must be alone when it grows."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._lock = threading.Lock()

    def has(self, names: Iterable[str]) -> bool:
        with self._lock:
            return super().has(names)

    def put(self, files: Mapping[str, bytes], shape: tuple[int, int, int]) -> None:
        with self._lock:
            super().put(files, shape)


class _Cutter:
    """Cuts one picture after the other into the same places.

    Args:
        stores: where patches of large and of small pictures go; one store takes large ones only.
        size: side of a large patch.
        step: from a patch to the next.
        scale: size of a large picture / size of the small one.
    """

    def __init__(
        self, stores: Sequence[_Folder | _Database], size: int, step: int, scale: int
    ) -> None:
        self.stores = stores
        self.size = size
        self.step = step
        self.scale = scale

    def cut(self, name: Path, pair: Pair) -> tuple[int, int]:
        """Write the patches of a picture; return how many it has and how many are new."""
        height, width = (side - side % self.scale for side in picture_size(pair.large))
        rows, columns = starts(height, self.size, self.step), starts(width, self.size, self.step)
        places = list(itertools.product(rows, columns))
        # Names keep the order of places, also where there are more than 999.
        digits = max(3, len(str(len(places))))
        names = [f"{name.as_posix()}_s{i:0{digits}d}" for i in range(1, len(places) + 1)]
        sides = [self.size, self.size // self.scale][: len(self.stores)]
        stores = list(zip(self.stores, sides, strict=True))
        if all(store.has(names) for store in self.stores):
            for store, side in stores:
                store.keep(names, (side, side, 3))
            return len(names), 0
        large = _read(pair.large, (height, width))[:height, :width]
        for store, side in stores:
            image = large if side == self.size else self._small(pair, large)
            factor = self.size // side
            corners = ((top // factor, left // factor) for top, left in places)
            files = {
                own: _png(image[top : top + side, left : left + side])
                for own, (top, left) in zip(names, corners, strict=True)
            }
            store.put(files, (side, side, 3))
        return len(names), len(names)

    def _small(self, pair: Pair, large: np.ndarray) -> np.ndarray:
        if pair.small is None:
            return resize_bicubic(large, 1 / self.scale)
        height, width = large.shape[:2]
        return _read(pair.small, (height // self.scale, width // self.scale))


def _read(path: Path, size: Size) -> np.ndarray:
    """Return a picture of at least this (height, width)."""
    image = read_picture(path)
    if image.shape[0] < size[0] or image.shape[1] < size[1]:
        raise DataError(
            f"{path} is a picture of {image.shape[1]} x {image.shape[0]} pixels, but its header "
            "says otherwise (a camera's orientation?): store it anew"
        )
    return image


def _png(image: np.ndarray) -> bytes:
    import cv2

    # Unlike Pillow, OpenCV lets other threads work meanwhile.
    options = [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION]
    return cv2.imencode(".png", image[..., ::-1], options)[1].tobytes()
