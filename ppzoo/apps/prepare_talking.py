# SPDX-License-Identifier: Apache-2.0
"""`ppzoo data prepare talking`: clips of faces out of films, for Wav2Lip and First Order Motion."""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from ppzoo.apps.apart import run_apart
from ppzoo.apps.talking_clips import Layout, Made, Recipe, Task, work
from ppzoo.atomic import atomic_write
from ppzoo.data.video_frames import find_videos
from ppzoo.errors import ConfigError, DataError, UserError
from ppzoo.faces.detector import best_at_hand
from ppzoo.runtime import physical_cores

_NOTE = "talking.json"
_WORK = ".work"
_LISTS = {"train": "train.txt", "val": "val.txt"}
_FOLDERS = {"train": "train", "val": "test"}
_SIZES: dict[Layout, int] = {"lips": 96, "motion": 256}
_MARGINS: dict[Layout, float] = {"lips": 0.0, "motion": 0.5}
_LIPS_FPS = 25
_MOST_FPS = 1000
_MOST_PARTS = 1001  # of a second, as in 30000/1001: films' headers have room for few digits
_MOST_PIXELS = 4096
_MOST_MARGIN = 100  # more is as the whole frame
_MOST_SECONDS = 86400
_MOST_FRAMES = 1000  # between detections; they are in memory
_NAMED_PROBLEMS = 5
_LONGEST_NAME = 80  # characters
_HASH = 8  # hexadecimal digits


def add_command(names: Any) -> None:
    """Add the command to those of `ppzoo data prepare`, what `add_subparsers` returned."""
    parser = names.add_parser(
        "talking",
        help="clips of faces, with sound or without, out of your own films of people who talk",
        description=(
            "Find the faces in films, follow them, and cut clips out: for Wav2Lip and SyncNet "
            "(lips: OUT/FILM/CLIP/0.jpg... and audio.wav, lists train.txt and val.txt) or for "
            "First Order Motion (motion: OUT/train and OUT/test). Run it again to continue, or "
            "after adding films. Films that cannot be used are left out and counted."
        ),
    )
    add = parser.add_argument
    add("--videos", required=True, metavar="DIR", help="folder of films, or one film")
    add("--out", required=True, metavar="DIR", help="where clips go; a folder of its own")
    add("--layout", choices=["lips", "motion"], default="lips", help="what for (lips)")
    add("--size", type=int, metavar="N", help="side in pixels (96 for lips, 256 for motion)")
    add("--fps", default="25", metavar="X", help="frames per second, 25 for lips (25)")
    add("--margin", type=float, metavar="X", help="beside a face, in its sides (lips 0, motion .5)")
    add("--min-seconds", type=float, default=2.0, metavar="X", help="leave shorter clips out (2)")
    add("--max-seconds", type=float, default=10.0, metavar="X", help="cut longer ones (10)")
    add("--max-faces", type=int, default=1, metavar="N", help="faces at once, by size (1)")
    add("--min-face", type=int, metavar="N", help="least width in pixels (a quarter of --size)")
    add("--val", type=float, default=0.05, metavar="X", help="share of films for testing (0.05)")
    add(
        "--detector",
        choices=["auto", "cascade", "sfd", "blazeface"],
        default="auto",
        help="what finds faces; auto is the best whose weights are on this computer",
    )
    add("--detect-every", type=int, default=5, metavar="N", help="frames between detections (5)")
    add("--store", choices=["frames", "mp4"], default="frames", help="motion only (frames)")
    add("--workers", type=int, metavar="N", help="films at once; as many as there are cores")


def run(args: argparse.Namespace) -> str:
    """Do what the command says and return what there is now, as lines of text."""
    layout: Layout = args.layout
    size = _SIZES[layout] if args.size is None else args.size
    try:
        fps = Fraction(args.fps).limit_denominator(_MOST_PARTS)
        if fps > _MOST_FPS:
            raise ValueError("it may have too many digits to be printed")
    except (ValueError, ZeroDivisionError):
        raise ConfigError(f"--fps must be a number such as 25, got {args.fps!r}") from None
    recipe = Recipe(
        layout=layout,
        size=size,
        fps=fps,
        margin=_MARGINS[layout] if args.margin is None else args.margin,
        min_seconds=args.min_seconds,
        max_seconds=args.max_seconds,
        max_faces=args.max_faces,
        min_face=max(1, size // 4) if args.min_face is None else args.min_face,
        detector=best_at_hand() if args.detector == "auto" else args.detector,
        every=args.detect_every,
        store=args.store,
    )
    prepared = prepare_talking(
        args.videos, args.out, recipe, val=args.val, workers=args.workers, progress=True
    )
    return describe(prepared, args.out)


@dataclass
class Prepared:
    """What there is after `prepare_talking`.

    Args:
        layout: of the folder.
        films: how many films there are clips of.
        clips: how many there are, by "train" and "val".
        seconds: how long they last together.
        made: how many of them are new.
        left_out: how many films and faces were left out, by the reason.
        problems: sentences about films that cannot be used or are damaged.
    """

    layout: Layout
    films: int = 0
    clips: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    made: int = 0
    left_out: collections.Counter[str] = field(default_factory=collections.Counter)
    problems: list[str] = field(default_factory=list)


def describe(prepared: Prepared, out: str | os.PathLike[str]) -> str:
    """Return what was made and what was left out, as lines of text."""
    counts = prepared.clips
    names = _LISTS if prepared.layout == "lips" else _FOLDERS
    lines = [
        f"clips: {sum(counts.values())} of {prepared.films} films in {out}, "
        f"{prepared.seconds:.1f} seconds; {prepared.made} of them new",
        ", ".join(f"{names[part]}: {counts[part]}" for part in names),
    ]
    reasons = [f"{count} {reason}" for reason, count in sorted(prepared.left_out.items()) if count]
    if reasons:
        lines.append(f"left out: {', '.join(reasons)}")
    if not counts["val"]:
        lines.append("nothing is there to test with: add another film, or choose a larger --val")
    if prepared.problems:
        lines.append(f"problems: {len(prepared.problems)}")
        lines += [f"  {problem}" for problem in prepared.problems[:_NAMED_PROBLEMS]]
        if len(prepared.problems) > _NAMED_PROBLEMS:
            lines.append(f"  ... and {len(prepared.problems) - _NAMED_PROBLEMS} more")
    return "\n".join(lines)


def prepare_talking(
    videos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    recipe: Recipe,
    *,
    val: float = 0.05,
    workers: int | None = None,
    progress: bool = True,
) -> Prepared:
    """Cut clips of faces out of films, several films at once.

    A film is done as a whole or not at all. Films that are done are left out by the next call,
    unless they have changed; one that was interrupted begins anew.

    Args:
        videos: a folder of films, in which subfolders are looked into, or one film.
        out: a folder that is new, empty, or made by this function with the same recipe.
        recipe: how clips are made.
        val: the share of films to test with, from 0 to 1. Which ones is decided by their names. A
            single film is divided by its clips, and stays so when others are added.
        workers: how many films at once; as many as there are cores by default, or one where the
            detector is a network.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        ConfigError: an option out of range.
        DataError: no films there, none with a clip, or `out` holds other things.
        UserError: a file that cannot be written.
    """
    from tqdm import tqdm

    _check(recipe, val, workers)
    root, out = Path(videos).expanduser(), Path(out).expanduser()
    films = _films(root, out)
    prepared = Prepared(recipe.layout)
    with _opened(out, recipe) as store:
        tasks = [
            Task(film, key, store.name_of(key), out / _WORK / store.name_of(key), recipe)
            for key, film in films.items()
            if not store.is_done(key, film)
        ]
        with tqdm(
            desc="films", unit="film", total=len(tasks), disable=None if progress else True
        ) as bar:
            read = 0.0

            def hear(seconds: float) -> None:
                nonlocal read
                read += seconds
                bar.set_postfix_str(f"{read / 60:.1f} min read, {prepared.made} clips")

            for task, made in run_apart(work, tasks, _workers(recipe, workers), hear):
                bar.update()
                if isinstance(made, DataError):
                    prepared.left_out["films unreadable"] += 1
                    prepared.problems.append(_about(task.film, made))
                    shutil.rmtree(task.target, ignore_errors=True)
                    continue
                if isinstance(made, Exception):
                    raise made
                store.add(task, made)
                prepared.made += len(made.clips)
        store.divide(val)
        for entry in store.done():
            prepared.films += bool(entry["clips"])
            prepared.seconds += sum(entry["clips"].values())
            prepared.left_out.update(entry["left_out"])
            prepared.problems += entry["problems"]
        prepared.clips = store.counts()
    if not prepared.films:
        raise DataError(f"there is no clip in {root}:\n{describe(prepared, out)}")
    return prepared


def _check(recipe: Recipe, val: float, workers: int | None) -> None:
    least_seconds = recipe.min_seconds if recipe.min_seconds > 0 else 0
    # NaN breaks no bound and keeps none, so each is asked whether it is kept.
    for option, value, is_good, expected in (
        ("--size", recipe.size, 16 <= recipe.size <= _MOST_PIXELS, f"16 to {_MOST_PIXELS}"),
        ("--fps", recipe.fps, 1 <= recipe.fps <= _MOST_FPS, f"1 to {_MOST_FPS}"),
        ("--margin", recipe.margin, 0 <= recipe.margin <= _MOST_MARGIN, f"0 to {_MOST_MARGIN}"),
        (
            "--min-seconds",
            recipe.min_seconds,
            0 < recipe.min_seconds <= _MOST_SECONDS,
            f"more than 0, at most {_MOST_SECONDS}",
        ),
        (
            "--max-seconds",
            recipe.max_seconds,
            least_seconds <= recipe.max_seconds <= _MOST_SECONDS,
            f"{least_seconds:g} (--min-seconds) to {_MOST_SECONDS}",
        ),
        ("--max-faces", recipe.max_faces, recipe.max_faces >= 1, "1 or more"),
        ("--min-face", recipe.min_face, recipe.min_face >= 1, "1 or more"),
        (
            "--detect-every",
            recipe.every,
            1 <= recipe.every <= _MOST_FRAMES,
            f"1 to {_MOST_FRAMES}",
        ),
        ("--val", val, 0 <= val < 1, "0 or more, less than 1"),
        ("--workers", workers, workers is None or workers >= 1, "1 or more"),
    ):
        if not is_good:
            raise ConfigError(f"{option} is out of range: {value}, expected {expected}")
    if recipe.layout == "lips" and recipe.fps != _LIPS_FPS:
        raise ConfigError(
            f"--fps is {recipe.fps}, but Wav2Lip and its dataset know {_LIPS_FPS} frames a second "
            "only; leave the option out"
        )


def _workers(recipe: Recipe, workers: int | None) -> int:
    # Networks use all cores, or the GPU, for one film already.
    return workers or (physical_cores() if recipe.detector == "cascade" else 1)


def _films(root: Path, out: Path) -> dict[str, Path]:
    """Return the films by their place below `root`, without those that were made here."""
    made = out.resolve()
    found = [path for path in find_videos(root) if not path.resolve().is_relative_to(made)]
    if not found:
        raise DataError(f"the folder {root} holds no films but those in {out}")
    base = root if root.is_dir() else root.parent
    return {path.relative_to(base).as_posix(): path for path in found}


def _about(film: Path, error: Exception) -> str:
    text = str(error)
    return text if str(film) in text else f"{film}: {text}"


@contextlib.contextmanager
def _opened(out: Path, recipe: Recipe) -> Iterator[_Store]:
    """Give what is in the folder of clips, which is this process's own meanwhile.

    Raises:
        DataError: it holds other things, was made otherwise, or another process is at work there.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out} is a file: name a folder to put clips in")
    store = _Store(out, recipe)
    store.check()
    work = out / _WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror or error}") from error
    with (work / "lock").open("w") as lock:
        _lock(lock, out)
        store.clean()
        try:
            yield store
        finally:
            # The lock goes with the folder: others then make and lock a new one.
            shutil.rmtree(work, ignore_errors=True)


def _lock(file: Any, out: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(f"another process is putting clips into {out}: wait for it") from None
    except OSError:  # a file system without locks
        return


class _Store:
    """What is noted of the clips in a folder: the recipe, and of each film its clips.

    Args:
        out: the folder.
        recipe: what clips are to be made by.
    """

    def __init__(self, out: Path, recipe: Recipe) -> None:
        self._out, self._recipe = out, recipe
        self._films: dict[str, dict[str, Any]] = {}
        path = out / _NOTE
        if not path.exists():
            return
        try:
            note = json.loads(path.read_text("utf-8"))
            before, self._films = note["recipe"], dict(note["films"])
            names = [entry["name"] for entry in self._films.values()]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"cannot read what is noted in {path}: {error}") from error
        if any(not isinstance(name, str) or name != _plain(name) for name in names):
            raise DataError(f"{path} is damaged: it notes names that cannot be its own")
        now = recipe.as_json()
        if before != now:
            changed = ", ".join(f"{k} {before.get(k)}" for k in now if before.get(k) != now[k])
            raise DataError(
                f"the clips in {out} were made with other options ({changed}): give the same ones, "
                "or choose another folder"
            )

    def check(self) -> None:
        """Raise a DataError if the folder holds what is not noted."""
        if not self._out.exists():
            return
        own = {_NOTE, _WORK}
        entries = list(self._out.iterdir())
        if not self._films and not (self._out / _NOTE).exists():
            own = {_WORK}
        elif self._recipe.layout == "lips":
            own |= {*_LISTS.values(), *(entry["name"] for entry in self._films.values())}
        else:
            folders = [self._out / name for name in _FOLDERS.values()]
            own |= {folder.name for folder in folders}
            names = {entry["name"] for entry in self._films.values()}
            for folder in (one for one in folders if one.is_dir()):
                entries += [p for p in folder.iterdir() if p.name.partition("#")[0] not in names]
            own -= {entry.name for entry in entries if entry.parent != self._out}
        foreign = sorted(str(entry) for entry in entries if entry.name not in own)
        if foreign:
            raise DataError(
                f"{foreign[0]} was not made here, so nothing is written to {self._out}: choose "
                "another folder, or remove it"
            )

    def clean(self) -> None:
        """Remove what an interrupted call has left."""
        for name in [p for p in (self._out / _WORK).iterdir() if p.name != "lock"]:
            shutil.rmtree(name, ignore_errors=True)
        for key in [key for key, entry in self._films.items() if not entry["is_done"]]:
            self._remove(key)

    def name_of(self, key: str) -> str:
        """Return what the clips of a film are called, the same name each time."""
        if key in self._films:
            return self._films[key]["name"]
        taken = {entry["name"] for entry in self._films.values()} | {_NOTE, *_LISTS.values()}
        name = _plain(str(Path(key).with_suffix("")))
        if name in taken or len(name) > _LONGEST_NAME:
            name = f"{name[:_LONGEST_NAME]}-{_hash(key)}"
        self._films[key] = {"name": name, "is_done": False}
        return name

    def is_done(self, key: str, film: Path) -> bool:
        """Tell whether a film was finished, and is the same as then."""
        entry = self._films.get(key)
        return bool(entry and entry["is_done"] and entry["stamp"] == _stamp(film))

    def done(self) -> list[dict[str, Any]]:
        """Return what is noted of the films that were finished."""
        return [entry for entry in self._films.values() if entry["is_done"]]

    def add(self, task: Task, made: Made) -> None:
        """Put the clips of a film in their place."""
        self._remove(task.key)
        entry = self._films[task.key]
        self._write()
        if self._recipe.layout == "lips":
            if made.clips:
                os.replace(task.target, self._out / task.name)
        else:
            folder = self._out / _FOLDERS["train"]
            folder.mkdir(parents=True, exist_ok=True)
            for path in task.target.iterdir():
                os.replace(path, folder / f"{task.name}#{path.name}")
        entry |= {
            "is_done": True,
            "stamp": _stamp(task.film),
            "clips": made.clips,
            "left_out": dict(+made.left_out),
            "problems": made.problems,
            "val": [],
        }
        self._write()

    def divide(self, val: float) -> None:
        """Choose what to test with, and write the lists or move the clips.

        What was chosen by an earlier call stays chosen.
        """
        films = [entry for entry in self.done() if entry["clips"]]
        units: list[tuple[dict[str, Any], list[str]]] = []
        for entry in films:
            clips = list(entry["clips"])
            # A film that was alone stays divided: what was tested with must not be trained on.
            is_divided = len(films) == 1 or set() < set(entry["val"]) < set(clips)
            units += [(entry, [clip]) for clip in clips] if is_divided else [(entry, clips)]
        places = [_place(entry["name"], clips) for entry, clips in units]
        chosen = [
            place < val or set(clips) <= set(entry["val"])
            for place, (entry, clips) in zip(places, units, strict=True)
        ]
        if val and len(units) > 1 and not any(chosen):
            chosen[places.index(min(places))] = True
        if len(units) > 1 and all(chosen):
            chosen[places.index(max(places))] = False
        for entry in films:
            entry["val"] = []
        for (entry, clips), is_chosen in zip(units, chosen, strict=True):
            entry["val"] += clips if is_chosen else []
        self._write()
        self._arrange()

    def counts(self) -> dict[str, int]:
        """Return how many clips there are to train and to test with."""
        tests = sum(len(entry["val"]) for entry in self.done())
        return {"train": sum(len(entry["clips"]) for entry in self.done()) - tests, "val": tests}

    def _arrange(self) -> None:
        lists: dict[str, list[str]] = {part: [] for part in _LISTS}
        for entry in self.done():
            for clip in entry["clips"]:
                part = "val" if clip in entry["val"] else "train"
                lists[part].append(f"{entry['name']}/{clip}")
                if self._recipe.layout == "motion":
                    name = f"{entry['name']}#{clip}"
                    name += ".mp4" if self._recipe.store == "mp4" else ""
                    target = self._out / _FOLDERS[part] / name
                    other = self._out / _FOLDERS["train" if part == "val" else "val"] / name
                    if other.exists() and not target.exists():
                        target.parent.mkdir(exist_ok=True)
                        os.replace(other, target)
        if self._recipe.layout == "lips":
            for part, lines in lists.items():
                with atomic_write(self._out / _LISTS[part]) as file:
                    file.write("".join(f"{line}\n" for line in sorted(lines)).encode())

    def _remove(self, key: str) -> None:
        """Remove the clips of a film, of which none are noted then."""
        name = self._films[key]["name"]
        if self._recipe.layout == "lips":
            shutil.rmtree(self._out / name, ignore_errors=True)
        for folder in _FOLDERS.values() if self._recipe.layout == "motion" else ():
            for path in (self._out / folder).glob("*"):
                if path.name.partition("#")[0] == name:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._films[key] = {"name": name, "is_done": False}

    def _write(self) -> None:
        note = {"recipe": self._recipe.as_json(), "films": self._films}
        with atomic_write(self._out / _NOTE) as file:
            file.write(json.dumps(note, indent=1, ensure_ascii=False).encode() + b"\n")


def _plain(name: str) -> str:
    """Return a name without what separates folders, words in lists, and clips of one film."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "film"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH]


def _place(name: str, clips: Iterable[str]) -> float:
    """Return a number from 0 to 1 that depends on names only."""
    return int(_hash("/".join([name, *clips])), 16) / 16**_HASH


def _stamp(film: Path) -> list[int]:
    status = film.stat()
    return [status.st_size, status.st_mtime_ns]
