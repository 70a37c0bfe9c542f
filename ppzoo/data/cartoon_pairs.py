# SPDX-License-Identifier: Apache-2.0
"""Training pairs from a folder of photographs: photo left, cartoon right."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.data.cartoon import cartoonise
from ppzoo.data.folder import OnError, find_images
from ppzoo.data.notes import agree_on_settings
from ppzoo.data.transforms import resize
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image, write_image

# Returns the box (x1, y1, x2, y2), in pixels, of what a picture should be cropped to, or None.
Finder = Callable[[np.ndarray], "Sequence[float] | None"]

_NOTE = "cartoon.json"
# Side of the crop in sides of the face's box: hair, chin and some of the shoulders.
_FACE_MARGIN = 2.0
# Enlarged further, a photograph shows its blur alone.
_MOST_ENLARGEMENT = 4


@dataclasses.dataclass
class Made:
    """What `make_cartoon_pairs` did.

    Args:
        train: how many pairs there are now in `out/train`.
        test: likewise in `out/test`.
        made: how many of them are new.
        faces: how many of the new ones show what was looked for; the others show the centre.
        problems: one sentence for each photograph that was skipped.
    """

    train: int = 0
    test: int = 0
    made: int = 0
    faces: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def make_cartoon_pairs(
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: int = 256,
    find: Finder | None = None,
    val: float = 0.1,
    jobs: int | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Made:
    """Make a pair of each photograph in a folder, in `out/train` and `out/test`.

    A pair is a PNG of `2 * size` by `size` pixels. Which photographs are for testing depends on
    their names alone. Pairs that are there already are kept, so that an interrupted call is
    continued by the next one.

    Args:
        photos: the folder of photographs; subfolders are looked into, and found again in `out`.
        out: where to write; nothing is written elsewhere.
        size: side of each half in pixels, 16 to 2048.
        find: what to crop to; without it, or where it finds nothing, the centre is taken. Threads
            call it at the same time.
        val: share of the photographs that `out/test` gets, from 0 to less than 1.
        jobs: how many threads work, as many as there are processors by default.
        on_error: `raise` stops at a photograph that cannot be used, `skip` leaves it out.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        ConfigError: a number out of range, or folders that lie within each other.
        DataError: no photographs there, one that cannot be used, or `out` has pairs that were made
            with other settings.
        UserError: a file that cannot be written.
    """
    for name, value, good in (
        ("size", size, isinstance(size, int) and 16 <= size <= 2048),
        ("val", val, 0 <= val < 1),
        ("jobs", jobs, jobs is None or jobs >= 1),
        ("on_error", on_error, on_error in ("raise", "skip")),
    ):
        if not good:
            raise ConfigError(f"{name!r} is out of range: {value!r}")
    root, out = Path(photos).expanduser(), Path(out).expanduser()
    paths = find_images(root, option="photos")
    _check_places(root, out)
    plan = _plan(root, paths, out, val)
    # A call that failed before its first pair must not bind the next one.
    has_pairs = any(any((out / split).rglob("*.png")) for split in ("train", "test"))
    settings = {"size": size, "crop": "face" if find else "centre"}
    agree_on_settings(out / _NOTE, settings, "pairs", binding=has_pairs)
    result = Made()
    todo = {target: path for target, path in plan.items() if not target.exists()}
    with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            futures = {pool.submit(_make, path, to, size, find) for to, path in todo.items()}
            _gather(futures, result, on_error, progress)
        finally:
            # What has begun is finished; the rest is left to the next call.
            pool.shutdown(cancel_futures=True)
    result.train = sum(target.exists() for target in plan if _is_in(target, out / "train"))
    result.test = sum(target.exists() for target in plan if _is_in(target, out / "test"))
    return result


def crop_square(image: np.ndarray, box: Sequence[float] | None, size: int) -> np.ndarray:
    """Return the square of a photograph around a face, or its centre.

    Args:
        image: uint8 RGB [H, W, 3].
        box: (x1, y1, x2, y2) of a face in pixels, or None.
        size: side of the result in pixels.

    Returns:
        uint8 RGB [size, size, 3].

    Raises:
        DataError: the picture would have to be enlarged by more than a factor of 4.
    """
    height, width = image.shape[:2]
    shorter = min(height, width)
    if shorter * _MOST_ENLARGEMENT < size:
        raise DataError(
            f"a photograph of {width} x {height} pixels is too small for pictures of "
            f"{size} x {size}"
        )
    if box is None:
        side, x, y = shorter, width / 2, height / 2
    else:
        x1, y1, x2, y2 = box
        wanted = max(_FACE_MARGIN * max(x2 - x1, y2 - y1), size / 2)
        side, x, y = min(shorter, round(wanted)), (x1 + x2) / 2, (y1 + y2) / 2
    left = min(max(0, round(x - side / 2)), width - side)
    top = min(max(0, round(y - side / 2)), height - side)
    square = image[top : top + side, left : left + side]
    return resize(square, (size, size), "area" if size <= side else "bicubic")


def _make(path: Path, target: Path, size: int, find: Finder | None) -> bool:
    """Write the pair of one photograph; return whether it shows what was looked for."""
    image = read_image(path)
    box = find(image) if find else None
    try:
        photo = crop_square(image, box, size)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    write_image(target, np.concatenate([photo, cartoonise(photo)], axis=1))
    return box is not None


def _gather(futures: set[Any], result: Made, on_error: OnError, progress: bool) -> None:
    from tqdm import tqdm

    done = concurrent.futures.as_completed(futures)
    with tqdm(
        done, "cartoons", len(futures), unit="picture", disable=None if progress else True
    ) as bar:
        for future in bar:
            try:
                result.faces += future.result()
                result.made += 1
            except DataError as error:
                if on_error == "raise":
                    raise
                result.problems.append(str(error))
    result.problems.sort()


def _plan(root: Path, paths: Sequence[Path], out: Path, val: float) -> dict[Path, Path]:
    """Return which file each photograph becomes, as {pair: photograph}."""
    names = [path.relative_to(root).with_suffix("") for path in paths]
    # A suffix is kept where it makes the difference.
    count = collections.Counter(names)
    names = [
        Path(f"{name}_{path.suffix[1:]}") if count[name] > 1 else name
        for name, path in zip(names, paths, strict=True)
    ]
    files = [name.with_name(name.name + ".png") for name in names]
    if len(set(files)) < len(files):
        twice = next(file for file, number in collections.Counter(files).items() if number > 1)
        raise DataError(f"two photographs in {root} would both become {twice}; rename one of them")
    held_out = {file for file in files if (out / "test" / file).exists()}
    free = [file for file in files if not (out / "train" / file).exists() and file not in held_out]
    wanted = round(val * len(files))
    if val > 0 and len(files) > 1:
        wanted = max(1, wanted)
    # By a hash: neighbours in the order of names are often pictures of one scene.
    free.sort(key=lambda file: hashlib.sha256(file.as_posix().encode()).digest())
    held_out.update(free[: max(0, wanted - len(held_out))])
    plan = {}
    for file, path in zip(files, paths, strict=True):
        target = out / ("test" if file in held_out else "train") / file
        if not _is_in(Path(os.path.realpath(target)), Path(os.path.realpath(out))):
            raise ConfigError(f"{target} is a link that leads out of {out}: remove it")
        plan[target] = path
    return plan


def _check_places(root: Path, out: Path) -> None:
    here = root.resolve()
    for split in ("train", "test"):
        there = (out / split).resolve()
        if _is_in(there, here) or _is_in(here, there):
            raise ConfigError(
                f"pairs in {out / split} would be taken for photographs of {root} by the next "
                "call: choose an 'out' outside the folder of photographs"
            )


def _is_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents
