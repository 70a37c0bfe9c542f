# SPDX-License-Identifier: Apache-2.0
"""What the predictors on faces share: which face of a picture, and which pictures of a folder."""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from ppzoo.apps.folders import say_others, stopped_at
from ppzoo.data.folder import find_images
from ppzoo.errors import ConfigError, DataError, WeightsError
from ppzoo.faces.detector import DetectorName, Face, FaceDetector, build_detector

NO_ENHANCEMENT = (
    "face_enhancement needs GFPGAN, which ppzoo does not have yet: leave it out; to sharpen the "
    "film, enlarge it afterwards by ppzoo predict restore --steps realsr"
)


def choose_faces(
    detector: FaceDetector, image: np.ndarray, which: int | str, name: str
) -> list[Face]:
    """Return the faces of a picture that are asked for, the largest first.

    Args:
        detector: what finds them.
        image: uint8 RGB [H, W, 3].
        which: 0 for the largest, 1 for the next one, ..., or "all".
        name: of the picture, for errors.

    Raises:
        ConfigError: `which` is no such number.
        DataError: there is no face, or fewer than that.
    """
    is_number = isinstance(which, int) and not isinstance(which, bool) and which >= 0
    if which != "all" and not is_number:
        raise ConfigError(f"face is {which!r}, expected 0 for the largest, 1, 2, ... or 'all'")
    faces = detector.detect(image)
    if not faces:
        raise DataError(
            f"there is no face in {name} ({image.shape[1]} x {image.shape[0]} pixels, looked for "
            f"by {detector_name(detector)!r}): give a picture where one is seen from the front, "
            "or try another detector"
        )
    if which == "all":
        return faces
    if which >= len(faces):
        found = "one face" if len(faces) == 1 else f"{len(faces)} faces"
        raise DataError(f"there is no face {which} in {name}: it shows {found}, counted from 0")
    return [faces[which]]


def detector_of_picture(
    name: DetectorName, weights: str | Path | None = None, option: str = "--face-detector"
) -> FaceDetector:
    """Build a detector of faces, see `build_detector`.

    Args:
        name: see `build_detector`.
        weights: see `build_detector`.
        option: what the detector is chosen by, for errors.

    Raises:
        ConfigError: an unknown name, or weights for a detector that has none.
        WeightsError: weights that are missing or do not fit; says how to do without.
    """
    try:
        return build_detector(name, weights)
    except WeightsError as error:
        argument = option.removeprefix("--").replace("-", "_")
        raise WeightsError(
            f"{error}. Or find faces without weights: {option} cascade ({argument}='cascade')"
        ) from error


def detector_of_film(
    name: DetectorName, weights: str | Path | None = None, option: str = "--face-detector"
) -> FaceDetector:
    """Build a detector of the faces in films, the same wherever films are looked at.

    Arguments and errors are those of `detector_of_picture`.
    """
    return detector_of_picture(name, weights, option).for_films()


def detector_name(detector: FaceDetector) -> str:
    """Return the name that `build_detector` knows a detector by."""
    return type(detector).__name__.removesuffix("Detector").lower()


def name_of(image: object) -> str:
    """Return how errors call a picture: its path, or that it is one."""
    return str(image) if isinstance(image, (str, Path)) else "the picture"


def add_face_arguments(parser: argparse.ArgumentParser, output: str) -> None:
    """Add the options that the predictors on faces have in common.

    Args:
        parser: of the subcommand.
        output: the folder that results go to by default.
    """
    add = parser.add_argument
    add("--input", required=True, metavar="FILE|DIR", help="picture, or folder of pictures")
    add("--output", default=output, metavar="DIR", help=f"folder for the results ({output})")
    add("--weights", metavar="FILE", help="weights of the network, by default the official ones")
    add("--detector", choices=get_args(DetectorName), default="auto", help="what finds faces")
    add("--detector-weights", metavar="FILE", help="its weights, by default the official ones")
    add("--face", type=_which, default=0, metavar="N|all", help="0: the largest (default), 1, ...")
    add("--device", help="cpu, gpu or gpu:N")
    add(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a picture that cannot be used, or leave it out and count it (raise)",
    )


def _which(text: str) -> int | str:
    if text == "all":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected 0 for the largest, 1, 2, ... or all, not {text}"
        )
    return int(text)


def pictures_of(source: str | Path, output: str | Path) -> list[Path]:
    """Return the picture that a path names, or all pictures in the folder, sorted.

    Args:
        source: a picture, or a folder, where pictures in `output` are left out: they are results.
        output: the folder for results.

    Raises:
        DataError: there is nothing there, or a folder without pictures.
    """
    path, results = Path(source).expanduser(), os.path.realpath(Path(output).expanduser())
    if not path.exists():
        raise DataError(f"there is no file or folder {path} (--input)")
    if not path.is_dir():
        return [path]
    pictures = [
        picture
        for picture in find_images(path, option="--input")
        if not Path(os.path.realpath(picture)).is_relative_to(results)
    ]
    if not pictures:
        raise DataError(f"all pictures of --input {path} are in --output: choose another --output")
    return pictures


def result_path(path: Path, source: Path) -> Path:
    """Return `path`, where the result of the picture `source` is to go.

    Raises:
        ConfigError: it is the picture itself.
    """
    if os.path.realpath(path) == os.path.realpath(source):
        raise ConfigError(f"the result would replace the picture {source}: choose another --output")
    return path


def for_each_picture(
    source: str | Path,
    output: str | Path,
    work: Callable[[Path, str], None],
    on_error: str = "raise",
) -> int:
    """Do something with a picture or with all of a folder, with a progress bar; return how many.

    Args:
        source: a picture, or a folder of pictures.
        output: the folder for results, where no pictures are taken from.
        work: is called with each picture's path, and with the path of its results relative to the
            output folder, without a suffix.
        on_error: "raise" stops at a picture that cannot be used, "skip" leaves it out and says so.

    Raises:
        DataError: a picture cannot be used, or none can.
    """
    from tqdm import tqdm

    pictures = pictures_of(source, output)
    problems: list[str] = []
    named = list(_named(pictures, Path(source).expanduser()))
    say_others(source, output)
    for number, (path, stem) in enumerate(
        tqdm(named, unit="picture", disable=len(named) < 2 or None)
    ):
        try:
            work(path, stem)
        except DataError as error:
            if on_error == "raise":
                raise stopped_at(error, number, len(named)) from error.__cause__
            problems.append(str(error))
    if problems and len(problems) == len(pictures):
        raise DataError(f"none of {len(pictures)} pictures can be used, such as: {problems[0]}")
    for problem in problems[:5]:
        say(f"left out: {problem}")
    if problems:
        say(f"{len(problems)} of {len(pictures)} pictures are left out")
    return len(pictures) - len(problems)


def run_on_pictures(
    args: argparse.Namespace,
    backends: Mapping[str, str],
    work: Callable[[Path, str], Sequence[Path]],
    kind: str,
    kinds: str,
) -> dict[str, Path]:
    """Do what a subcommand does with a picture or with all of a folder; return where results are.

    Args:
        args: see `add_face_arguments`.
        backends: what does the work, which is said first.
        work: see `for_each_picture`; returns the paths of the results.
        kind: what a result is called.
        kinds: what several are called.

    Returns:
        the path of the result by its kind, or the output folder if there are several.

    Raises:
        DataError: a picture cannot be used, or none can.
    """
    say(", ".join(f"{part}: {name}" for part, name in backends.items()))
    written: list[Path] = []
    for_each_picture(
        args.input,
        args.output,
        lambda path, stem: written.extend(work(path, stem)),
        args.on_error,
    )
    if len(written) == 1:
        return {kind: written[0]}
    return {f"{len(written)} {kinds}": Path(args.output)}


def _named(pictures: Sequence[Path], source: Path) -> Iterator[tuple[Path, str]]:
    root = source if source.is_dir() else source.parent
    stems = [path.relative_to(root).with_suffix("").as_posix() for path in pictures]
    count = collections.Counter(stems)
    for path, stem in zip(pictures, stems, strict=True):
        # a.jpg and a.png are two pictures: their results must not be one.
        yield path, stem if count[stem] == 1 else path.relative_to(root).as_posix()


def say(text: str) -> None:
    """Write a line to the error stream, where it does not mix with results."""
    sys.stderr.write(f"{text}\n")
