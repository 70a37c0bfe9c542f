# SPDX-License-Identifier: Apache-2.0
"""Restoring old films and pictures by a chain of networks."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppzoo.apps.films import (
    SUFFIXES,
    EachFrame,
    Film,
    Source,
    Step,
    check_target,
    is_picture,
    restore_film,
    say,
    target_of,
)
from ppzoo.apps.inference import BACKENDS
from ppzoo.errors import UserError
from ppzoo.media.picture import FORMATS
from ppzoo.media.video import probe

# By name: module, class, and whether it takes pictures as well as films. PaddleGAN's order of
# processes has the same names with capital letters.
STEPS = {
    "edvr": ("ppzoo.apps.edvr", "EDVRPredictor", False),
    "realsr": ("ppzoo.apps.realsr", "RealSRPredictor", True),
    "esrgan": ("ppzoo.apps.esrgan", "ESRGANPredictor", True),
}
# PaddleGAN's, which are not there.
_ELSEWHERE = {
    "dain",
    "deepremaster",
    "deoldify",
    "ppmsvsr",
    "ppmsvsrlarge",
    "basicvsr",
    "iconvsr",
    "basivsrplusplus",
}


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """What a step is made with.

    Args:
        weights: its weights, None for PaddleGAN's official ones.
        config: the YAML that it was trained with, None for the one beside the weights.
        tile: side of tiles in pixels, None for the step's own.
        backend: how the network is run, None for the fastest.
        device: `cpu`, `gpu` or `gpu:N`.
        bs: windows of frames at once, for steps that look at several frames.
        find_cuts: look for scenes, for those steps.
    """

    weights: Source | None = None
    config: Source | None = None
    tile: int | None = None
    backend: str | None = None
    device: str | None = None
    bs: int = 1
    find_cuts: bool = True


def build_step(name: str, options: StepOptions) -> Any:
    """Return a step by its name, a key of `STEPS`.

    Raises:
        WeightsError: its weights cannot be had or read, or do not fit.
        UserError: an option is out of range.
    """
    module, kind, takes_pictures = STEPS[name]
    given: dict[str, Any] = {
        "config": options.config,
        "backend": options.backend,
        "device": options.device,
    }
    if options.tile is not None:
        given["tile"] = options.tile
    if not takes_pictures:
        given |= {"bs": options.bs, "find_cuts": options.find_cuts}
    predictor = getattr(importlib.import_module(module), kind)
    return predictor(weight_path=options.weights, **given)


def step_names(texts: Sequence[str]) -> list[str]:
    """Return the names of steps, given as one text with commas or as several, in any letters.

    Raises:
        UserError: there is none of that name; names those that there are.
    """
    names = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    for name in names:
        if name.lower() in STEPS:
            continue
        known = f"steps are {', '.join(STEPS)}"
        if name.lower() in _ELSEWHERE:
            raise UserError(f"PaddleGAN has the step {name}, ppzoo does not have it yet: {known}")
        raise UserError(f"there is no step {name!r}: {known}")
    if not names:
        raise UserError(f"--steps names no step: give one or several of {', '.join(STEPS)}")
    return [name.lower() for name in names]


def files_of_steps(option: str, texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return which file belongs to which step, of texts such as `edvr=FILE`.

    Args:
        option: what the command line calls it, for the error.
        texts: of a single step, the name may be left out.
        names: of the steps.

    Raises:
        UserError: a name is missing, given twice, or is of no step.
    """
    files: dict[str, str] = {}
    for text in texts:
        name, sign, path = text.partition("=")
        if name.lower() not in STEPS and len(set(names)) == 1:
            name, sign, path = names[0], "=", text
        name = name.lower()
        if not sign or not path or name not in names:
            raise UserError(
                f"{option} {text} is for none of the steps {', '.join(names)}: write "
                f"{option} {names[0]}=FILE"
            )
        if name in files:
            raise UserError(f"{option} gives the step {name} two files, {files[name]} and {path}")
        files[name] = path
    return files


def restore(
    source: Source,
    target: Source,
    steps: Sequence[Any],
    *,
    frames_folder: Source | None = None,
    seconds: float | None = None,
    progress: bool = True,
) -> Film | Path:
    """Send a film or a picture through a chain of steps and write the result.

    A film goes through all of them in one pass, see `restore_film`. Of a picture, transparency,
    16 bits, EXIF and colour profile survive.

    Args:
        source: the file.
        target: the result's file.
        steps: as `build_step` makes them, in their order.
        frames_folder: of a film, also write its frames as PNG files.
        seconds: of a film, take only the beginning.
        progress: show a bar.

    Returns:
        what was made of a film, or the picture's file.

    Raises:
        DataError: the source is missing, or neither film nor picture.
        UserError: a step needs a film and this is a picture, or the result cannot be written.
    """
    if not is_picture(source):
        chain = [
            step if isinstance(step, Step) else EachFrame(step.name, step.scale, step.upscale)
            for step in steps
        ]
        return restore_film(
            source,
            target,
            chain,
            frames_folder=frames_folder,
            seconds=seconds,
            progress=progress,
        )
    for option, value in (("--frames", frames_folder), ("--seconds", seconds)):
        if value is not None:
            raise UserError(f"{option} is for films, and {source} is a picture")
    path = _picture_target(source, target)
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        current = Path(source)
        for number, step in enumerate(steps, 1):
            result = path if number == len(steps) else Path(folder) / f"{number}.png"
            step.run_folder(current, result)
            current = result
    return path


def check_takes_pictures(source: Source, names: Sequence[str]) -> None:
    """Check before any weights are read that all steps can do something with a file.

    Raises:
        UserError: it is a picture, and a step needs the frames of a film.
    """
    films_only = [name for name in names if not STEPS[name][2]]
    if films_only and is_picture(source):
        others = ", ".join(name for name, (*_, takes) in STEPS.items() if takes)
        raise UserError(
            f"{source} is a picture, and {films_only[0]} needs a film, of which it sees several "
            f"frames at once: leave it out of --steps; {others} take pictures"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict restore`."""
    add = parser.add_argument
    add("--input", required=True, metavar="FILE", help="film or picture")
    add("--output", required=True, metavar="FILE|DIR", help="the result, or a folder for it")
    add(
        "--steps",
        required=True,
        nargs="+",
        metavar="STEP",
        help=f"what to do, in this order: {', '.join(STEPS)}, as in --steps edvr,realsr",
    )
    add(
        "--weights",
        nargs="+",
        default=[],
        metavar="STEP=FILE",
        help="weights or checkpoints of steps (PaddleGAN's official ones)",
    )
    add(
        "-c",
        "--config",
        nargs="+",
        default=[],
        metavar="STEP=FILE",
        help="YAML of a step's training, default: beside the weights",
    )
    add("--seconds", type=float, metavar="N", help="take only the beginning of a film")
    add("--bs", type=int, default=1, metavar="N", help="frames at once, for edvr (1)")
    add("--tile", type=int, metavar="N", help="side of tiles in pixels (each step's own)")
    add("--ignore-cuts", action="store_true", help="do not look for scenes")
    add("--frames", metavar="DIR", help="also write a film's frames as PNG files")
    add("--backend", choices=BACKENDS, help="how to run the networks (the fastest)")
    add("--device", help="cpu, gpu or gpu:N")


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Restore a film or a picture and return where it is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    names = step_names(args.steps)
    weights = files_of_steps("--weights", args.weights, names)
    configs = files_of_steps("--config", args.config, names)
    source = Path(args.input).expanduser()
    is_still = is_picture(source)
    check_takes_pictures(source, names)
    target = target_of(source, args.output, "restored", ".png" if is_still else SUFFIXES[0])
    # Before weights are read, or even downloaded.
    if is_still:
        _picture_target(source, target)
    else:
        check_target(source, target)
        probe(source)
    steps = [
        build_step(
            name,
            StepOptions(
                weights=weights.get(name),
                config=configs.get(name),
                tile=args.tile,
                backend=args.backend,
                device=args.device,
                bs=args.bs,
                find_cuts=not args.ignore_cuts,
            ),
        )
        for name in names
    ]
    made = restore(source, target, steps, frames_folder=args.frames, seconds=args.seconds)
    lines = [f"{step.name}: {step.describe()}" for step in steps]
    if isinstance(made, Film):
        return say(made, lines)
    for line in lines:
        sys.stderr.write(f"network: {line}\n")
    return {"picture": made}


def _picture_target(source: Source, target: Source) -> Path:
    """Return where a picture goes, if it can go there; see `check_target`."""
    path = Path(target)
    if path.suffix.lower() not in FORMATS:
        raise UserError(
            f"{source} is a picture, which cannot be written as {path}: end its name in .png"
        )
    if os.path.realpath(source) == os.path.realpath(path):
        raise UserError(f"the result would replace the picture {path}: choose another --output")
    return path
