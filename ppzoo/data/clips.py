# SPDX-License-Identifier: Apache-2.0
"""Folders of clips: a folder for each clip, in it a picture for each frame.

They come in twos, small frames and large ones under the same names. What does not fit is found by
names and by headers of files, in parallel, so that training does not stop at it after hours.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ppzoo.data.folder import IMAGE_SUFFIXES
from ppzoo.data.lmdb_pictures import picture_size
from ppzoo.data.sources import how_to_get
from ppzoo.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

# Opening a file takes far longer than reading its first bytes, and does not need the processor.
_THREADS = 16
# Clips whose first frames' sizes are read before training: of all would take minutes for the
# 64612 of Vimeo90K.
_MOST_SIZES = 512
_NAMED = 5


class Clip(NamedTuple):
    """The frames of a clip, as names of files in order: small ones (`lq`) and large ones (`gt`)."""

    name: str
    lq: tuple[str, ...]
    gt: tuple[str, ...]


def natural_order(name: str) -> list[Any]:
    """Return a key that sorts names with numbers as people do: frame 9 before frame 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def find_clips(folder: str | os.PathLike[str], option: str) -> list[str]:
    """Return the names of the folders in a folder, in natural order.

    Args:
        folder: the folder of clips.
        option: the option that names it, for error messages.

    Raises:
        DataError: there is no such folder, or no folder in it.
    """
    root = _existing(folder, option)
    names = [
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and not entry.name.startswith(".")
    ]
    if not names:
        frames = " but pictures: name the folder above it" if _frame_files(root) else ""
        raise DataError(f"the folder {root} of {option!r} holds no folders of frames{frames}")
    return sorted(names, key=natural_order)


def read_clips(
    lq_folder: str | os.PathLike[str], gt_folder: str | os.PathLike[str], names: Sequence[str]
) -> list[Clip]:
    """Return the clips of these names, with the frames that both folders hold.

    Args:
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        names: folders in both, possibly nested: `00001/0233`.

    Raises:
        DataError: one of the folders does not exist.
    """
    lq, gt = _existing(lq_folder, "lq_folder"), _existing(gt_folder, "gt_folder")
    # Most clips have the same names of frames, which then need memory only once.
    known: dict[tuple[str, ...], tuple[str, ...]] = {}

    def read(name: str) -> Clip:
        small, large = (_frame_files(root / name) for root in (lq, gt))
        return Clip(name, known.setdefault(small, small), known.setdefault(large, large))

    return list(_in_parallel(read, names))


def check_frames(
    clips: Sequence[Clip],
    lq_folder: str | os.PathLike[str],
    gt_folder: str | os.PathLike[str],
    wanted: Callable[[Clip], Sequence[str]] | None = None,
) -> None:
    """Refuse clips with missing frames.

    Args:
        clips: what is there.
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        wanted: returns the names of frames that both sides of a clip need. Without it, both need
            the frames that one has.

    Raises:
        DataError: names folders, how many frames they have and should have, and the missing ones.
    """
    problems = list(frame_problems(clips, lq_folder, gt_folder, wanted))
    if problems:
        raise DataError(_summary(problems))


def frame_problems(
    clips: Sequence[Clip],
    lq_folder: str | os.PathLike[str],
    gt_folder: str | os.PathLike[str],
    wanted: Callable[[Clip], Sequence[str]] | None = None,
) -> Iterator[str]:
    """Yield a sentence for each side of a clip that lacks frames; see `check_frames`."""
    for clip in clips:
        needed = set(clip.lq) | set(clip.gt) if wanted is None else set(wanted(clip))
        for root, there in ((lq_folder, clip.lq), (gt_folder, clip.gt)):
            folder = Path(root, clip.name)
            if not there:
                state = "holds no frames" if folder.is_dir() else "does not exist"
                yield f"the folder of frames {folder} {state}; {_range(needed)} should be there"
                continue
            missing = needed.difference(there)
            if missing:
                yield (
                    f"{folder} has {len(needed) - len(missing)} of the {len(needed)} frames "
                    f"{_range(needed)}: {_listed(missing)} missing"
                )


def check_sizes(
    clips: Sequence[Clip],
    lq_folder: str | os.PathLike[str],
    gt_folder: str | os.PathLike[str],
    scale: int | None = None,
    patch: int | None = None,
    most: int = _MOST_SIZES,
) -> int:
    """Refuse clips whose large frames are not `scale` times as large as the small ones.

    Sizes are those of the first frame of each clip, by the headers of their files.

    Args:
        clips: each with a frame on both sides.
        lq_folder: the folder of clips of small frames.
        gt_folder: that of large ones.
        scale: size of large frames / size of small ones; what the first clip has by default.
        patch: side of the square that training cuts out of large frames, in pixels.
        most: of how many clips, evenly spread, to read the headers.

    Returns:
        the scale.

    Raises:
        DataError: sizes that do not fit, with the files; a file that is no picture.
    """
    step = -(-len(clips) // most)
    pairs = [
        (Path(lq_folder, clip.name, clip.lq[0]), Path(gt_folder, clip.name, clip.gt[0]))
        for clip in clips[:: max(1, step)]
    ]
    sizes = list(_in_parallel(lambda pair: (header_size(pair[0]), header_size(pair[1])), pairs))
    problems = []
    for (lq_path, gt_path), (small, large) in zip(pairs, sizes, strict=True):
        if scale is None and large[0] % small[0] == 0:
            scale = large[0] // small[0]
        if scale is None or large != (small[0] * scale, small[1] * scale):
            times = "a whole number" if scale is None else str(scale)
            problems.append(
                f"{gt_path} of {large[0]} x {large[1]} pixels is not {times} times as large as "
                f"{lq_path} of {small[0]} x {small[1]}"
            )
        elif patch is not None and min(large) < patch:
            problems.append(
                f"{gt_path} of {large[0]} x {large[1]} pixels is smaller than the patch of "
                f"{patch}, the 'gt_patch_size' of SRPairedRandomCrop"
            )
    if problems:
        raise DataError(_summary(problems))
    return scale or 1


def header_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (width, height) of a picture file as it is displayed, from its first bytes.

    Raises:
        DataError: the file is missing or is no picture.
    """
    height, width = picture_size(path)
    return width, height


def _existing(folder: str | os.PathLike[str], option: str) -> Path:
    root = Path(folder).expanduser()
    if not root.is_dir():
        problem = "is a file, not a folder" if root.is_file() else "does not exist"
        raise DataError(f"the folder {root} of {option!r} {problem}{how_to_get(folder)}")
    return root


def _frame_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the pictures in a folder in natural order; none if there is no folder."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        names = [
            entry.name
            for entry in os.scandir(folder)
            if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES
            and not entry.name.startswith(".")
        ]
        return tuple(sorted(names, key=natural_order))
    return ()


def _in_parallel(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(function, items)


def _range(names: set[str]) -> str:
    ordered = sorted(names, key=natural_order)
    if not ordered:
        return "frames"
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def _listed(names: set[str]) -> str:
    ordered = sorted(names, key=natural_order)
    verb = "is" if len(ordered) == 1 else "are"
    more = f" and {len(ordered) - _NAMED} more" if len(ordered) > _NAMED else ""
    return f"{', '.join(ordered[:_NAMED])}{more} {verb}"


def _summary(problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - _NAMED} more problems" if len(problems) > _NAMED else ""
    return "; ".join(problems[:_NAMED]) + more
