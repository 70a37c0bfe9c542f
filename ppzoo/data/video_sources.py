# SPDX-License-Identifier: Apache-2.0
"""REDS and Vimeo90K: where they are, how the configs want them laid out, and whether they are."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from ppzoo.atomic import atomic_write
from ppzoo.data.clips import (
    Clip,
    check_sizes,
    find_clips,
    frame_problems,
    header_size,
    read_clips,
)
from ppzoo.data.video_frames import shrink_clips
from ppzoo.data.vsr import PARTITIONS
from ppzoo.errors import DataError, UserError

REDS_ABOUT = "270 clips of 100 frames, 1280 x 720, and the same at a quarter of the size (REDS)"
VIMEO_ABOUT = "91701 clips of 7 frames, 448 x 256 (Vimeo90K)"
REDS_TERMS, VIMEO_TERMS = "CC BY 4.0", "for research"

_REDS_HELP = (
    f"REDS ({REDS_TERMS}) is offered at https://seungjunnah.github.io/Datasets/reds.html, for "
    "browsers only: fetch train_sharp, train_sharp_bicubic, val_sharp and val_sharp_bicubic (of "
    "train_blur and val_blur too, to remove blur), unpack all into one folder DIR, and call "
    "ppzoo data prepare reds --from DIR --out {out}"
)
_VIMEO_HELP = (
    f"Vimeo90K ({VIMEO_TERMS}) is offered at http://toflow.csail.mit.edu: fetch the septuplets for "
    "training and testing (vimeo_septuplet.zip, 82 GB), unpack them so that "
    "{out}/vimeo_septuplet has the folder sequences and the files sep_trainlist.txt and "
    "sep_testlist.txt, and call ppzoo data prepare vimeo90k --out {out} again"
)

_REDS_LIST = "meta_info_REDS_GT.txt"
_REDS_FRAMES = [f"{number:08d}.png" for number in range(100)]
# Of the archives for training: the folder for the configs, and how much smaller frames are. The
# archives for validation have "val" in the place of "train".
_REDS_PARTS = {
    "train_sharp": ("train_sharp/X4", 1),
    "train_sharp_bicubic": ("train_sharp_bicubic/X4", 4),
    "train_blur": ("train_blur/X4", 1),
    "train_blur_bicubic": ("train_blur_bicubic/X4", 4),
}
# Numbers of the 30 clips for validation go on after those of the 240 for training.
_REDS_TRAINING = 240


@dataclasses.dataclass
class Prepared:
    """What there is of a dataset of videos.

    Args:
        clips: how many clips each folder has.
        made: how many links or frames are new.
    """

    clips: dict[str, int]
    made: int = 0


def prepare_reds(
    out: str | os.PathLike[str], source: str | os.PathLike[str] | None = None
) -> Prepared:
    """Lay REDS out as the configs want it, check that it is whole, and list its frames.

    Nothing is copied: `out` gets links to the clips of `source`. Clips for testing (REDS4) come
    into folders of their own too, clips for validation under the numbers 240 to 269.

    Args:
        out: the folder to make, `data/REDS` in the configs.
        source: where the archives were unpacked; without it, `out` is only checked and listed.

    Raises:
        DataError: there is nothing of REDS, or frames are missing or of a wrong size.
        UserError: a link or the list cannot be written.
    """
    out = Path(out).expanduser()
    made = _link_reds(out, Path(source).expanduser()) if source is not None else 0
    if not (out / "train_sharp/X4").is_dir():
        where = f"{source} holds no folder train_sharp of clips" if source else f"{out} has no REDS"
        raise DataError(f"{where}. {_REDS_HELP.format(out=out)}")
    listed = _check_reds(out)
    lines = []
    for folder, clips in listed.items():
        if not folder.endswith("_sharp/X4"):
            continue
        for clip in clips:
            width, height = header_size(out / folder / clip.name / clip.gt[0])
            shape = f"({height}, {width}, 3)"
            lines += [f"{clip.name}/{frame} {shape}" for frame in clip.gt]
    with atomic_write(out / _REDS_LIST) as file:
        file.write("\n".join(sorted(set(lines))).encode() + b"\n")
    return Prepared({folder: len(clips) for folder, clips in listed.items()}, made)


def prepare_vimeo90k(
    out: str | os.PathLike[str], jobs: int | None = None, progress: bool = True
) -> Prepared:
    """Check that Vimeo90K is whole, and make its small frames.

    They are a quarter of the size, antialiased bicubic, in `out/vimeo_septuplet_matlabLRx4`. An
    interrupted call is continued by the next one.

    Args:
        out: the folder that has `vimeo_septuplet`, `data/vimeo90k` in the configs.
        jobs: how many threads work, as many as there are processors by default.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        DataError: there is nothing of Vimeo90K, or frames are missing.
        UserError: a frame cannot be written.
    """
    out = Path(out).expanduser()
    root = out / "vimeo_septuplet"
    lists = [root / "sep_trainlist.txt", root / "sep_testlist.txt"]
    absent = [path for path in (root / "sequences", *lists) if not path.exists()]
    if absent:
        raise DataError(f"{absent[0]} does not exist. {_VIMEO_HELP.format(out=out)}")
    names = [
        line.strip()
        for path in lists
        for line in path.read_text("utf-8").splitlines()
        if line.strip()
    ]
    gt = root / "sequences"
    clips = read_clips(gt, gt, names)
    wanted = [f"im{number}.png" for number in range(1, 8)]
    _refuse(sorted(set(frame_problems(clips, gt, gt, lambda _: wanted))))
    small = out / "vimeo_septuplet_matlabLRx4/sequences"
    frames = [f"{name}/{frame}" for name in names for frame in wanted]
    made = shrink_clips(gt, small, frames, jobs=jobs, progress=progress)
    check_sizes([Clip(name, tuple(wanted), tuple(wanted)) for name in names], small, gt, 4)
    return Prepared({str(folder.relative_to(out)): len(names) for folder in (gt, small)}, made)


def _link_reds(out: Path, source: Path) -> int:
    """Make links in `out` to all clips under `source`; return how many are new."""
    if not source.is_dir():
        raise DataError(f"the folder {source} of '--from' does not exist")
    made = 0
    for name, (target, factor) in _REDS_PARTS.items():
        for part, offset in (("train", 0), ("val", _REDS_TRAINING)):
            folder = _unpacked(source, name.replace("train", part, 1), factor)
            if folder is None:
                continue
            for clip in find_clips(folder, "--from"):
                if not clip.isdigit():
                    continue
                number = f"{int(clip) + offset:03d}"
                places = [out / target / number]
                if number in PARTITIONS["REDS4"]:
                    places.append(out / target.replace("train", "REDS4_test") / number)
                made += sum(_link(folder / clip, place) for place in places)
    return made


def _unpacked(source: Path, name: str, factor: int) -> Path | None:
    """Return the folder of clips that an archive was unpacked to."""
    part = name.split("_")[0]
    for place in (source / name, source / part / name, source / name / part / name):
        folder = place / "X4" if factor > 1 else place
        if folder.is_dir():
            return folder
    return None


def _link(clip: Path, place: Path) -> bool:
    if place.exists():
        return False
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_symlink():  # to a folder that is gone
            place.unlink()
        place.symlink_to(clip.resolve(), target_is_directory=True)
    except OSError as error:
        raise UserError(
            f"cannot make the link {place} to {clip}: {error.strerror or error}; move the folder "
            "there instead"
        ) from error
    return True


def _check_reds(out: Path) -> dict[str, list[Clip]]:
    """Return the clips of each folder there is; refuse missing frames and wrong sizes."""
    listed: dict[str, list[Clip]] = {}
    problems: list[str] = []
    for name, (target, factor) in _REDS_PARTS.items():
        for folder in (target, target.replace("train", "REDS4_test")):
            large = folder.replace(name.removeprefix("train"), "_sharp")
            if not (out / folder).is_dir():
                continue
            clips = read_clips(out / folder, out / large, find_clips(out / folder, folder))
            problems += frame_problems(clips, out / folder, out / large, lambda _: _REDS_FRAMES)
            listed[folder] = clips
            if not problems:
                check_sizes(clips, out / folder, out / large, factor)
    _refuse(sorted(set(problems)))
    return listed


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError("; ".join(problems[:3]) + more)
