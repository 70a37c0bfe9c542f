# SPDX-License-Identifier: Apache-2.0
"""`ppzoo data`: make training pairs of photographs, fetch public datasets, check what is there."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.apps import prepare_pairs, prepare_talking, prepare_video
from ppzoo.data import build_dataset
from ppzoo.data.cartoon_pairs import Made, make_cartoon_pairs
from ppzoo.data.sources import SOURCES, fetch_dataset, how_to_get
from ppzoo.data.survey import Kind, Survey, as_table, note_partners, survey_folder, survey_tree
from ppzoo.data.video_survey import survey_clips
from ppzoo.data.vsr import ClipDataset
from ppzoo.errors import DataError
from ppzoo.registry import DATASETS

# A face that is smaller is not what the photograph is about, or is none.
_LEAST_SHARE = 0.15
_NAMED_PROBLEMS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ppzoo data`."""
    commands = parser.add_subparsers(dest="data_command", required=True)
    prepare = commands.add_parser("prepare", help="make or fetch a dataset")
    names = prepare.add_subparsers(dest="dataset", required=True, metavar="DATASET")
    cartoon = names.add_parser("cartoon", help="pairs of your photographs and their cartoons")
    add = cartoon.add_argument
    add("--photos", required=True, metavar="DIR", help="folder of photographs")
    add("--out", required=True, metavar="DIR", help="where pairs go: DIR/train and DIR/test")
    add("--size", type=int, default=256, metavar="N", help="side of a picture in pixels (256)")
    add("--faces", choices=["auto", "off"], default="auto", help="crop to faces (auto)")
    add("--val", type=float, default=0.1, metavar="X", help="share of pairs for testing (0.1)")
    add("--jobs", type=int, metavar="N", help="threads; one per processor by default")
    _add_on_error(cartoon)
    for name, source in SOURCES.items():
        fetched = names.add_parser(name, help=f"{source.about}; {source.terms}")
        fetched.add_argument("--out", metavar="DIR", help=f"folder to make (data/{name})")
        fetched.add_argument("--archive", metavar="FILE", help="archive that was fetched by hand")
    prepare_video.add_commands(names)
    prepare_talking.add_command(names)
    prepare_pairs.add_commands(commands)
    check = commands.add_parser("check", help="say what is in a folder, or what a config reads")
    check.add_argument("path", metavar="CONFIG-or-DIR", help="a YAML, or a folder of pictures")


def _add_on_error(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a photograph that cannot be used, or leave it out and count it (raise)",
    )


def run(args: argparse.Namespace) -> int:
    """Run `ppzoo data ...` and return the exit code."""
    if args.data_command == "check":
        surveys = check(args.path)
        if not surveys:
            _say(f"{args.path} names no folder of pictures: its datasets come with a package")
            return 0
        _say(as_table(surveys))
        return 1 if any(survey.problems for survey in surveys) else 0
    if args.data_command in prepare_pairs.COMMANDS:
        _say(prepare_pairs.run(args))
        return 0
    if args.dataset == "cartoon":
        made = make_cartoon_pairs(
            args.photos,
            args.out,
            size=args.size,
            find=None if args.faces == "off" else face_finder(),
            val=args.val,
            jobs=args.jobs,
            on_error=args.on_error,
        )
        _say(describe(made, args.out, args.faces != "off"))
        return 0
    if args.dataset in prepare_video.COMMANDS:
        _say(prepare_video.run(args))
        return 0
    if args.dataset == "talking":
        _say(prepare_talking.run(args))
        return 0
    out = args.out or f"data/{args.dataset}"
    count = fetch_dataset(args.dataset, out, args.archive)
    _say(f"{count} pictures of {args.dataset} are in {out} ({SOURCES[args.dataset].terms})")
    return 0


def face_finder() -> Callable[[np.ndarray], Sequence[float] | None]:
    """Return a function that gives the box of the largest face in a picture, or None."""
    from ppzoo.faces.cascade import CascadeDetector

    # Nobody promises that a detector may be used by two threads at once.
    local = threading.local()

    def find(image: np.ndarray) -> Sequence[float] | None:
        if not hasattr(local, "detector"):
            # Portraits: small faces need not be looked for, which takes half the time.
            local.detector = CascadeDetector(search_size=320, smallest_face=_LEAST_SHARE)
        faces = local.detector.detect(image)
        return faces[0].box if faces else None

    return find


def describe(made: Made, out: str, faces: bool) -> str:
    """Return what was made, and what was left out, as lines of text."""
    lines = [
        f"pairs: {made.train} in {Path(out) / 'train'}, {made.test} in {Path(out) / 'test'}; "
        f"{made.made} of them new"
    ]
    if faces and made.made:
        lines.append(f"new pairs: {made.faces} of a face, {made.made - made.faces} of the centre")
    if made.problems:
        lines.append(f"photographs left out: {len(made.problems)}")
        lines += [f"  {problem}" for problem in made.problems[:_NAMED_PROBLEMS]]
        if len(made.problems) > _NAMED_PROBLEMS:
            lines.append(f"  ... and {len(made.problems) - _NAMED_PROBLEMS} more")
    return "\n".join(lines)


def check(path: str) -> list[Survey]:
    """Survey a folder of pictures, or the folders that a config names.

    Args:
        path: a folder, or a YAML file.

    Raises:
        ConfigError: the config cannot be read.
        DataError: `path` is a folder without pictures. Folders of a config that are missing are
            problems in their surveys.
    """
    if not path.endswith((".yaml", ".yml")):
        lq, gt = (Path(path).expanduser() / side for side in ("lq", "gt"))
        if lq.is_dir() and gt.is_dir() and any(entry.is_dir() for entry in gt.iterdir()):
            frames = {"name": "VSRFramesDataset", "preprocess": []}
            return _survey_clips({**frames, "lq_folder": str(lq), "gt_folder": str(gt)})
        if lq.is_dir() and gt.is_dir():
            return prepare_pairs.survey_two(lq, gt)
        return prepare_pairs.survey_database(path) or survey_tree(path)
    from ppzoo.config import load_config

    config = load_config(path, check=True)
    surveys = []
    for part in ("train", "test"):
        section = getattr(config.dataset, part, None)
        if section is not None:
            surveys += _survey_section(section.component)
    return surveys


def _survey_section(component: Any) -> list[Survey]:
    """Survey the folders in the arguments of a dataset, and of a dataset within it."""
    arguments = component.kwargs
    inner = arguments.get("dataset")
    if hasattr(inner, "kwargs"):
        return _survey_section(inner)
    if component.name == "SRDataset":
        return prepare_pairs.survey_pairs(arguments)
    if issubclass(DATASETS.get(component.name), ClipDataset):
        return _survey_clips(component)
    folders = {
        option: str(value)
        for option, value in arguments.items()
        if option.startswith("dataroot") and value
    }
    is_paired = component.name == "PairedDataset"
    kind: Kind = "pairs" if is_paired and "dataroot" in folders else "pictures"
    surveys = []
    for option, folder in folders.items():
        try:
            surveys.append(survey_folder(folder, kind, option))
        except DataError as error:
            problem = f"{error}{how_to_get(folder)}"
            surveys.append(Survey(Path(folder), kind, problems=[problem]))
    if is_paired and len(surveys) == 2 and all(survey.count for survey in surveys):
        note_partners(*surveys)
    return surveys


def _survey_clips(spec: Any) -> list[Survey]:
    """Survey a dataset of videos; what keeps it from being made counts as its first problem."""
    try:
        dataset = build_dataset(spec)
    except DataError as error:
        arguments = getattr(spec, "kwargs", spec)
        lq, gt = (Path(arguments[key]) for key in ("lq_folder", "gt_folder"))
        return [Survey(lq, "frames", problems=[str(error)]), Survey(gt, "frames")]
    return survey_clips(dataset)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
