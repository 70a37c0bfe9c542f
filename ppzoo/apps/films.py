# SPDX-License-Identifier: Apache-2.0
"""Films through a chain of networks, in one pass and without files in between.

Each step takes a stream of frames and gives one, and draws from the step before it only what it
needs next. So a film of any length needs the memory of a few frames per step. The file is decoded
by a second thread and encoded by a third one while the networks compute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from ppzoo.data.folder import IMAGE_SUFFIXES
from ppzoo.errors import UserError
from ppzoo.media.image import write_image
from ppzoo.media.video import VideoInfo, VideoReader, VideoWriter

Source = str | os.PathLike[str]

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
PATTERN = "%08d.png"  # of a film's frames as files, counted from 0, as PaddleGAN does
_MOST = 16384  # pixels a side that H.264 can hold


@runtime_checkable
class Step(Protocol):
    """Turns a stream of frames into another.

    Attributes:
        name: what it is called on the command line.
        scale: pixels of its frames per pixel of those it takes, along a side.
        rate: frames that it gives for each that it takes.
        cuts: after a film, the frames of it, counted from 0, with which a new scene begins; empty
            if the step does not look for them.
        remarks: after a film, sentences about what did not go as asked.
    """

    name: str
    scale: int
    rate: int
    cuts: Sequence[int]
    remarks: Sequence[str]

    def stream(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield frames uint8 RGB [s H, s W, 3] for frames uint8 RGB [H, W, 3]."""
        ...


class EachFrame:
    """A step that does the same to every frame by itself.

    Args:
        name: see `Step`.
        scale: see `Step`.
        upscale: maps uint8 RGB [H, W, 3] to uint8 RGB [s H, s W, 3].
    """

    def __init__(self, name: str, scale: int, upscale: Callable[[np.ndarray], np.ndarray]) -> None:
        self.name, self.scale, self.upscale = name, scale, upscale
        self.rate = 1
        self.cuts: Sequence[int] = ()
        self.remarks: Sequence[str] = ()

    def stream(self, frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield what becomes of each frame."""
        return map(self.upscale, frames)


@dataclasses.dataclass(frozen=True)
class Film:
    """What was made of a film.

    Args:
        path: the new film.
        pattern: of the names of its frames as files, None if there are none.
        frames: how many it has.
        size: its width and height in pixels, see `size_of`.
        size_before: those of the film that it was made from.
        fps: its frames per second.
        cuts: seconds at which a new scene begins.
        seconds: that it took.
        problems: what was wrong with the file that was read, and what else to know.
    """

    path: Path
    pattern: str | None
    frames: int
    size: tuple[int, int]
    size_before: tuple[int, int]
    fps: Fraction
    cuts: tuple[float, ...]
    seconds: float
    problems: tuple[str, ...]

    def describe(self) -> str:
        """Return what was made, and how, in a line or two."""
        width, height = self.size
        parts = [
            f"{self.size_before[0]} x {self.size_before[1]} became {width} x {height} pixels",
            f"{self.frames} frames at {self.fps} a second",
            f"{self.seconds:.1f} s ({self.frames / max(self.seconds, 1e-9):.3g} frames/s)",
        ]
        if self.cuts:
            shown = ", ".join(_clock(second) for second in self.cuts[:8])
            more = f" and {len(self.cuts) - 8} more" if len(self.cuts) > 8 else ""
            parts.append(f"{len(self.cuts) + 1} scenes, which begin also at {shown}{more}")
        return "; ".join(parts)


def restore_film(
    source: Source,
    target: Source,
    steps: Sequence[Step],
    *,
    frames_folder: Source | None = None,
    seconds: float | None = None,
    progress: bool = True,
) -> Film:
    """Send a film through a chain of steps, and write the result with the film's sound.

    Args:
        source: a video file, see `VideoReader` for what becomes of phone videos, variable rates
            and damaged files.
        target: the new film, see `VideoWriter`. It is there only when it is finished.
        steps: in their order.
        frames_folder: a folder for the result's frames as PNG files; what it holds is replaced when
            they are all written.
        seconds: take only the beginning of the film.
        progress: show a bar with frames per second and the time left.

    Raises:
        DataError: the source is missing or no video.
        UserError: the result would replace the source, is too large for a film, or cannot be
            written; no steps; a length that is not positive or not finite.
    """
    from tqdm import tqdm

    path = check_target(source, target)
    if not steps:
        raise UserError("there is nothing to do: name at least one step")
    check_seconds(seconds)
    begin = time.perf_counter()
    scale = int(np.prod([step.scale for step in steps]))
    rate = int(np.prod([step.rate for step in steps]))
    count, shape = 0, (0, 0)
    with VideoReader(source) as reader:
        info = reader.info
        _check_size(info.width * scale, info.height * scale, steps)
        limit, total = beginning(info, seconds)
        frames: Iterator[np.ndarray] = itertools.islice(iter(reader), limit)
        fps = info.fps * rate
        with contextlib.ExitStack() as exits:
            folder = None
            if frames_folder is not None:
                folder = exits.enter_context(_frames_folder(Path(frames_folder)))
            writer = exits.enter_context(
                VideoWriter(path, fps, audio_from=source if info.has_audio else None)
            )
            bar = exits.enter_context(
                tqdm(
                    total=None if total is None else total * rate,
                    unit="frame",
                    desc=" > ".join(step.name for step in steps),
                    disable=None if progress else True,
                )
            )
            for frame in exits.enter_context(contextlib.closing(_chained(frames, steps))):
                writer.write(frame)
                if folder is not None:
                    write_image(folder / (PATTERN % count), frame)
                count, shape = count + 1, frame.shape[:2]
                bar.update()
        problems = (*reader.problems, *(note for step in steps for note in step.remarks))
    return Film(
        path=path,
        pattern=None if frames_folder is None else os.path.join(frames_folder, PATTERN),
        frames=count,
        size=size_of(shape),
        size_before=(info.width, info.height),
        fps=fps,
        cuts=_cuts(steps, info.fps),
        seconds=time.perf_counter() - begin,
        problems=problems,
    )


def say(film: Film, backends: Iterable[str]) -> dict[str, Path]:
    """Say on the command line what was made and how, and return where it is, by kind.

    Args:
        film: what was made.
        backends: a line on each network.
    """
    for problem in film.problems:
        sys.stderr.write(f"note: {problem}\n")
    for line in backends:
        sys.stderr.write(f"network: {line}\n")
    sys.stderr.write(f"film: {film.describe()}\n")
    places = {"film": film.path}
    if film.pattern is not None:
        places["frames"] = Path(film.pattern)
    return places


def target_of(source: Source, output: Source, addition: str, suffix: str = SUFFIXES[0]) -> Path:
    """Return the result's name: the one that the user gave, or a name in the folder given.

    Args:
        source: the film or picture.
        output: a folder, or a file's name, which has a suffix.
        addition: to the name in a folder: `old.avi` becomes `old_ADDITION.mp4`.
        suffix: of the name in a folder.
    """
    path = Path(output).expanduser()
    if path.is_dir() or not path.suffix:
        return path / f"{Path(source).stem}_{addition}{suffix}"
    return path


def check_target(source: Source, target: Source) -> Path:
    """Return where a film goes, if it can go there.

    Raises:
        UserError: it would replace the file that it is made from, or has the name of another kind.
    """
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"a film cannot be written as {path}: end its name in {SUFFIXES[0]}")
    if os.path.realpath(source) == os.path.realpath(path):
        raise UserError(f"the result would replace the film {path} itself: choose another --output")
    return path


def check_targets(
    sources: Iterable[Source], target: Source, preview: Source | None = None
) -> tuple[Path, Path | None]:
    """Return where a film and its preview go, if they can go there.

    Args:
        sources: files that are read.
        target: the film.
        preview: the second film, None without one.

    Raises:
        UserError: see `check_target`; or both are one file.
    """
    shown = None if preview is None else Path(preview)
    for source in sources:
        check_target(source, target)
        if shown is not None:
            check_target(source, shown)
    if shown is not None and os.path.realpath(shown) == os.path.realpath(target):
        raise UserError(f"the preview and the result are both {target}: give them two names")
    return Path(target), shown


def check_seconds(seconds: float | None) -> None:
    """Check how much of a film or sound is to be taken, None for all.

    Raises:
        UserError: it is not positive, or not finite.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise UserError(f"seconds is {seconds}, expected a finite number above 0")


def beginning(info: VideoInfo, seconds: float | None) -> tuple[int | None, int | None]:
    """Return how many frames of a film to take, None for all, and how many come, None if unknown.

    Args:
        info: of the film.
        seconds: how much of it, see `check_seconds`.
    """
    if seconds is None:
        return None, info.frame_count
    limit = min(sys.maxsize, max(1, round(Fraction(seconds) * info.fps)))
    return limit, limit if info.frame_count is None else min(info.frame_count, limit)


def size_of(shape: Sequence[int]) -> tuple[int, int]:
    """Return width and height of a film whose frames have a shape [H, W, ...]: both are even."""
    height, width = (side + side % 2 for side in shape[:2])
    return width, height


def is_picture(path: Source) -> bool:
    """Tell by its content whether a file is a single picture; an animated GIF is a film.

    What is neither is taken by its name, so that who reads it then can say what is wrong with it.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.format != "GIF" or not getattr(image, "is_animated", False)
    except Exception:  # missing, damaged, too large or no picture, which reading it tells
        return Path(path).suffix.lower() in IMAGE_SUFFIXES


def stem_of(path: Source) -> str:
    """Return what PaddleGAN's predictors call the results of a file: its name to the first dot."""
    name = Path(path).name
    return name.split(".")[0] or name


def _chained(frames: Iterator[np.ndarray], steps: Sequence[Step]) -> Iterator[np.ndarray]:
    for step in steps:
        frames = step.stream(frames)
    yield from frames


def _check_size(width: int, height: int, steps: Iterable[Step]) -> None:
    if max(width, height) > _MOST:
        names = ", ".join(f"{step.name} (x{step.scale})" for step in steps)
        raise UserError(
            f"{names} would make a film of {width} x {height} pixels, but H.264 holds {_MOST} a "
            "side at most: leave a step out"
        )


def _cuts(steps: Sequence[Step], fps: Fraction) -> tuple[float, ...]:
    """Return the beginnings of scenes in seconds, as the first step that looks for them says."""
    for step in steps:
        if step.cuts:
            return tuple(float(index / fps) for index in step.cuts)
        fps = fps * step.rate
    return ()


@contextlib.contextmanager
def _frames_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder whose files replace those of `folder` when the block has ended well."""
    folder = Path(os.path.realpath(folder))
    temporary = folder.with_name(f".{folder.name[:40]}.{secrets.token_hex(6)}.tmp")
    try:
        strange = (
            [path for path in folder.iterdir() if not _is_frame(path)] if folder.exists() else []
        )
        if strange:
            raise UserError(
                f"{folder} holds {strange[0].name}, which is no frame of a film: frames are not "
                "written there, choose another --output"
            )
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write frames into {folder}: {error.strerror}") from error
    old = temporary.with_suffix(".old")
    try:
        yield temporary
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, old)
        try:
            os.rename(temporary, folder)
        except OSError:
            with contextlib.suppress(FileNotFoundError):
                os.rename(old, folder)
            raise
    except OSError as error:
        raise UserError(f"cannot write frames into {folder}: {error.strerror}") from error
    finally:
        for path in (temporary, old):
            shutil.rmtree(path, ignore_errors=True)


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and len(path.stem) == 8 and path.stem.isdecimal()


def _clock(second: float) -> str:
    minutes, rest = divmod(second, 60)
    return f"{int(minutes)}:{rest:05.2f}"
