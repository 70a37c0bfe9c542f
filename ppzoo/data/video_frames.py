# SPDX-License-Identifier: Apache-2.0
"""Training frames from one's own videos: clips of large frames, and the same antialiased, small."""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.data.bicubic import resize_bicubic
from ppzoo.data.folder import OnError
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image, write_image
from ppzoo.media.scenes import mark_scenes

VIDEO_SUFFIXES = frozenset(
    (
        ".3gp",
        ".avi",
        ".dv",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    )
)
_NOTE = "frames.json"
# Fewer frames between two cuts teach nothing of motion.
_LEAST_FRAMES = 5
# Side of the smallest small frame, in pixels.
_LEAST_SIDE = 8
# Tasks that may wait for each thread, each with a frame in memory.
_WAITING = 2


@dataclasses.dataclass
class Extracted:
    """What `extract_frames` did.

    Args:
        videos: how many videos there are frames of now.
        clips: how many clips there are of them.
        frames: how many frames these have.
        made: how many of the frames are new.
        problems: one sentence for each video that was skipped or is damaged.
    """

    videos: int = 0
    clips: int = 0
    frames: int = 0
    made: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def extract_frames(
    videos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    scale: int = 4,
    most: int = 100,
    jobs: int | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Extracted:
    """Turn videos into clips of frames, `out/gt/CLIP/00000000.png` and so on, and small ones.

    A clip is a scene of a video, up to the next cut, or its beginning. `out/lq` has the same
    frames, each shrunk by itself (antialiased bicubic). Videos that are done already are left out,
    and of others the frames that are there, so that an interrupted call is continued by the next.

    Args:
        videos: a folder of videos, in which subfolders are looked into, or one video.
        out: where to write.
        scale: size of a frame / size of its small one, 2 to 8; frames are cut to a multiple of it.
        most: how many frames to take of each scene, 5 or more.
        jobs: how many threads write, as many as there are processors by default.
        on_error: `raise` stops at a video that cannot be used, `skip` leaves it out.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        ConfigError: a number out of range.
        DataError: no videos there, one that cannot be used, or `out` has frames that were made
            with other settings.
        UserError: a file that cannot be written.
    """
    from tqdm import tqdm

    for name, value, good in (
        ("scale", scale, isinstance(scale, int) and 2 <= scale <= 8),
        ("most", most, isinstance(most, int) and most >= _LEAST_FRAMES),
        ("jobs", jobs, jobs is None or jobs >= 1),
        ("on_error", on_error, on_error in ("raise", "skip")),
    ):
        if not good:
            raise ConfigError(f"{name!r} is out of range: {value!r}")
    out, plan = Path(out).expanduser(), _plan(Path(videos).expanduser())
    note = _read_note(out, {"scale": scale, "most": most})
    result = Extracted()
    with (
        tqdm(desc="frames", unit="frame", disable=None if progress else True) as bar,
        _Workers(jobs, bar) as workers,
    ):
        for name, path in plan.items():
            if name not in note["videos"]:
                bar.set_postfix_str(path.name)
                try:
                    counts, problems = _extract(path, name, out, scale, most, workers)
                except DataError as error:
                    if on_error == "raise":
                        raise
                    result.problems.append(str(error))
                    continue
                result.problems += problems
                note["videos"][name] = counts
                with atomic_write(out / _NOTE) as file:
                    file.write(json.dumps(note, indent=1).encode() + b"\n")
            result.videos += 1
            result.clips += len(note["videos"][name])
            result.frames += sum(note["videos"][name])
        result.made = workers.done
    return result


def shrink_clips(
    gt_folder: str | os.PathLike[str],
    lq_folder: str | os.PathLike[str],
    frames: Sequence[str],
    *,
    scale: int = 4,
    jobs: int | None = None,
    progress: bool = True,
) -> int:
    """Write the small ones (antialiased bicubic) of frames, except where they are there already.

    Args:
        gt_folder: the folder of clips of large frames.
        lq_folder: that of small ones.
        frames: files in `gt_folder`, such as `00001/0233/im1.png`.
        scale: size of a frame / size of its small one.
        jobs: how many threads work, as many as there are processors by default.
        progress: show a bar, if the error stream is a terminal.

    Returns:
        how many were written.

    Raises:
        DataError: a frame that cannot be read.
        UserError: a file that cannot be written.
    """
    from tqdm import tqdm

    todo = [frame for frame in frames if not Path(lq_folder, frame).exists()]

    def shrink(frame: str) -> bool:
        large = _whole(read_image(Path(gt_folder, frame)), scale)
        write_image(Path(lq_folder, frame), resize_bicubic(large, 1 / scale))
        return True

    hidden = None if progress else True
    with (
        tqdm(desc="frames", total=len(todo), unit="frame", disable=hidden) as bar,
        _Workers(jobs, bar) as workers,
    ):
        for frame in todo:
            workers.submit(shrink, frame)
        workers.wait()
    return len(todo)


def find_videos(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the videos in a folder and its subfolders, sorted; of a file, itself.

    Raises:
        DataError: there is no such file or folder, or no video in it.
    """
    root = Path(folder)
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"{root} does not exist: there is no file or folder of that name")
    found = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    if not found:
        raise DataError(f"the folder {root} holds no videos ({', '.join(sorted(VIDEO_SUFFIXES))})")
    return found


def _plan(root: Path) -> dict[str, Path]:
    """Return the videos under the names that their clips begin with."""
    paths = find_videos(root)
    plan: dict[str, Path] = {}
    for path in paths:
        relative = path.relative_to(root) if root.is_dir() else Path(path.name)
        stem = re.sub(r"[^\w-]+", "_", relative.with_suffix("").as_posix()).strip("_") or "video"
        name, number = stem, 2
        while name in plan:
            name, number = f"{stem}_{number}", number + 1
        plan[name] = path
    return plan


def _read_note(out: Path, settings: dict[str, int]) -> dict[str, Any]:
    """Return what is noted of the frames in `out`: `settings`, and of each video its clips."""
    path = out / _NOTE
    if not path.exists():
        return {"settings": settings, "videos": {}}
    try:
        note = json.loads(path.read_text("utf-8"))
        before, _ = note["settings"], note["videos"].items()
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"cannot read the settings of the frames in {path}: {error}") from error
    if before != settings:
        raise DataError(
            f"the frames in {out} were made with other settings ({before}, now {settings}); choose "
            "another folder, or remove that one"
        )
    return note


def _extract(
    path: Path, name: str, out: Path, scale: int, most: int, workers: _Workers
) -> tuple[list[int], list[str]]:
    """Write the frames of a video; return how many each clip has, and what is wrong with it."""
    from ppzoo.media.video import VideoReader

    counts: list[int] = []
    with VideoReader(path) as reader:
        width, height = reader.info.width, reader.info.height
        if min(width, height) < _LEAST_SIDE * scale:
            raise DataError(
                f"{path} of {width} x {height} pixels is too small to be shrunk by {scale}"
            )
        for clip, number, frame in _clip_frames(reader, most):
            file = Path(f"{name}_{clip:03d}", f"{number:08d}.png")
            workers.submit(_write_both, frame, out / "gt" / file, out / "lq" / file, scale)
            counts[clip:] = [number + 1]
        problems = list(reader.problems)
    # What is noted as done must be there.
    workers.wait()
    if not counts:
        raise DataError(f"{path} has no scene of at least {_LEAST_FRAMES} frames")
    return counts, problems


def _clip_frames(frames: Iterable[np.ndarray], most: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the number of a clip, that of a frame in it, and the frame."""
    clip, seen, held = -1, 0, []
    for frame, begins in mark_scenes(frames):
        if begins:
            seen, held = 0, []
        seen += 1
        if seen <= _LEAST_FRAMES:
            held.append(frame)
        if seen == _LEAST_FRAMES:
            clip += 1
            yield from ((clip, number, early) for number, early in enumerate(held))
            held = []
        elif _LEAST_FRAMES < seen <= most:
            yield clip, seen - 1, frame


class _Workers:
    """Threads with a bounded number of tasks; the first error of a task is raised by the next call.

    Args:
        jobs: how many threads, as many as there are processors by default.
        bar: progress bar, told of each finished task.
    """

    def __init__(self, jobs: int | None, bar: Any) -> None:
        self.done = 0
        self._bar = bar
        self._jobs = jobs or os.cpu_count() or 1
        self._pool = concurrent.futures.ThreadPoolExecutor(self._jobs)
        self._tasks: collections.deque[concurrent.futures.Future] = collections.deque()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, function: Callable[..., bool], *arguments: Any) -> None:
        """Have `function` called; it returns whether it did something."""
        if len(self._tasks) >= _WAITING * self._jobs:
            self._finish_one()
        self._tasks.append(self._pool.submit(function, *arguments))

    def wait(self) -> None:
        """Return when all tasks are done."""
        while self._tasks:
            self._finish_one()

    def _finish_one(self) -> None:
        self.done += self._tasks.popleft().result()
        self._bar.update()


def _write_both(frame: np.ndarray, gt: Path, lq: Path, scale: int) -> bool:
    if gt.exists() and lq.exists():
        return False
    large = _whole(frame, scale)
    write_image(gt, large)
    write_image(lq, resize_bicubic(large, 1 / scale))
    return True


def _whole(frame: np.ndarray, scale: int) -> np.ndarray:
    """Return a frame without the rows and columns beyond a multiple of `scale`."""
    height, width = (side - side % scale for side in frame.shape[:2])
    return frame[:height, :width]
