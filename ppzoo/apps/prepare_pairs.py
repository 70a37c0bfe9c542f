# SPDX-License-Identifier: Apache-2.0
"""`ppzoo data patches|degrade`: pairs of two sizes for super-resolution, and checks of them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppzoo.data.degradation import Degrade
from ppzoo.data.degrade_folder import degrade_folder
from ppzoo.data.lmdb_pictures import is_database, list_pictures, picture_size
from ppzoo.data.patches import cut_patches
from ppzoo.data.sources import how_to_get
from ppzoo.data.sr import Pair, fitting_pairs, match_pairs, pictures_by_name
from ppzoo.data.survey import Survey, survey_folder
from ppzoo.errors import ConfigError, DataError

COMMANDS = ("patches", "degrade")
_NAMED_PROBLEMS = 5


def add_commands(commands: Any) -> None:
    """Add the commands of this module to those of `ppzoo data`."""
    patches = commands.add_parser(
        "patches", help="cut large pictures, and the small ones beside them, to train on"
    )
    add = patches.add_argument
    add("--input", required=True, metavar="DIR", help="folder of large pictures")
    add("--out", required=True, metavar="DIR-or-LMDB", help="where their patches go")
    add("--size", type=int, default=480, metavar="N", help="side of a patch in pixels (480)")
    add("--step", type=int, metavar="N", help="from a patch to the next (half of --size)")
    add("--scale", type=int, metavar="N", help="cut pictures that are N times smaller, too")
    add("--small", metavar="DIR", help="folder of these; they are made (bicubic) without it")
    add("--small-out", metavar="DIR-or-LMDB", help="where their patches go (OUT_xN)")
    add("--small-name", default="{}", metavar="T", help="what one is called, such as {}x4 ({})")
    add("--jobs", type=int, metavar="N", help="threads; one per processor by default")
    add_on_error(patches)
    degrade = commands.add_parser(
        "degrade", help="pairs as RealSR learns from, of your own photographs, and their noise"
    )
    add = degrade.add_argument
    add("--input", required=True, metavar="DIR", help="folder of photographs")
    add("--out", required=True, metavar="DIR", help="makes DIR/gt, DIR/lq and DIR/noise")
    add("--scale", type=int, default=4, metavar="N", help="large / small (4)")
    add("--clean", type=int, default=2, metavar="N", help="shrink photographs before by N (2)")
    add("--blur", choices=["bicubic", "random"], default="bicubic", help="how (bicubic)")
    add("--kernels", metavar="DIR", help="estimated kernels, .npy files, to blur with instead")
    add("--jpeg", metavar="LOW-HIGH", help="compress small pictures, such as 60-95")
    add("--noise-from", metavar="DIR", help="photographs to collect noise from (those of --input)")
    add("--noise-size", type=int, default=64, metavar="N", help="side of a piece of it (64)")
    add("--noise-variance", type=float, default=20.0, metavar="X", help="what is flat (20)")
    add("--noise-mean", type=float, default=0.0, metavar="X", help="what is too dark (0)")
    add("--jobs", type=int, metavar="N", help="threads; one per processor by default")
    add_on_error(degrade)


def add_on_error(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what becomes of pictures that cannot be used."""
    parser.add_argument(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a picture that cannot be used, or leave it out and count it (raise)",
    )


def run(args: argparse.Namespace) -> str:
    """Run the command that `args.data_command` names; return what to say."""
    if args.data_command == "degrade":
        return _degrade(args)
    unit = max(1, args.scale or 1)
    half = max(1, args.size // 2 // unit) * unit
    cut = cut_patches(
        args.input,
        args.out,
        size=args.size,
        step=half if args.step is None else args.step,
        scale=args.scale,
        small=args.small,
        small_out=args.small_out,
        filename_tmpl=args.small_name,
        jobs=args.jobs,
        on_error=args.on_error,
    )
    made = (
        f"patches: {cut.patches} of {cut.pictures} pictures in {args.out}; {cut.made} of them new"
    )
    return "\n".join([made, *_left_out(cut.problems)])


def _degrade(args: argparse.Namespace) -> str:
    jpeg = None
    if args.jpeg is not None:
        qualities = args.jpeg.split("-")
        if len(qualities) != 2 or not all(quality.isdigit() for quality in qualities):
            raise ConfigError(f"--jpeg must be two qualities such as 60-95, got {args.jpeg!r}")
        jpeg = [int(quality) for quality in qualities]
    degrade = Degrade(args.scale, blur=args.blur, kernel_path=args.kernels, jpeg=jpeg)
    made = degrade_folder(
        args.input,
        args.out,
        degrade,
        clean=args.clean,
        noise_from=args.noise_from or args.input,
        noise_size=args.noise_size,
        most_variance=args.noise_variance,
        least_mean=args.noise_mean,
        needs_noise=args.noise_from is not None,
        jobs=args.jobs,
        on_error=args.on_error,
    )
    out = Path(args.out)
    lines = [
        f"pairs: {made.pairs} in {out / 'gt'} and {out / 'lq'}; {made.made} of them new",
    ]
    if made.noise:
        lines.append(f"noise: {made.noise} pictures in {out / 'noise'}")
    else:
        lines.append("noise: none, since no photograph has a flat place (see --noise-size)")
    return "\n".join([*lines, *_left_out(made.problems)])


def _left_out(problems: Sequence[str]) -> list[str]:
    """Return lines about what was left out, if anything was."""
    if not problems:
        return []
    lines = [f"left out: {len(problems)}"]
    lines += [f"  {problem}" for problem in problems[:_NAMED_PROBLEMS]]
    if len(problems) > _NAMED_PROBLEMS:
        lines.append(f"  ... and {len(problems) - _NAMED_PROBLEMS} more")
    return lines


def survey_database(path: str) -> list[Survey]:
    """Return the survey of an LMDB database; nothing if `path` is none."""
    return [_survey(path, None)] if is_database(path) else []


def survey_two(lq: Path, gt: Path) -> list[Survey]:
    """Survey two folders of small and large pictures, whose scale is that of their first pair.

    Raises:
        DataError: two pictures in a folder differ in their suffix alone.
    """
    pairs, _ = match_pairs(lq, gt, 1)
    scale = 1
    with contextlib.suppress(DataError, IndexError):
        scale = picture_size(pairs[0].large)[0] // picture_size(pairs[0].small)[0]
    return survey_pairs({"lq_folder": str(lq), "gt_folder": str(gt), "scale": max(1, scale)})


def survey_pairs(options: Mapping[str, Any]) -> list[Survey]:
    """Survey the folders of an `SRDataset`, and say which pairs do not fit.

    Args:
        options: the dataset's arguments, as the config has them.
    """
    folders = {key: str(options[key]) for key in ("gt_folder", "lq_folder") if options.get(key)}
    surveys = [_survey(folder, option) for option, folder in folders.items()]
    if not all(survey.count for survey in surveys):
        return surveys
    large, scale = surveys[0], options["scale"]
    if "lq_folder" in folders:
        pairs, alone = match_pairs(
            folders["lq_folder"],
            folders["gt_folder"],
            scale,
            options.get("filename_tmpl", "{}"),
        )
        large.problems += alone
    else:
        named = pictures_by_name(folders["gt_folder"], "gt_folder")
        pairs = [Pair(None, path) for path in named.values()]
    patch = max(_values(options.get("preprocess", ()), "gt_patch_size"), default=0)
    _, unfit = fitting_pairs(pairs, scale, patch)
    # What cannot be read at all, the surveys have told.
    large.problems += [problem for problem in unfit if "cannot be read" not in problem]
    return surveys


def _survey(folder: str, option: str | None) -> Survey:
    try:
        if not is_database(folder):
            return survey_folder(folder, "pictures", option)
        survey = Survey(Path(folder).expanduser(), "pictures")
        survey.sizes.update(size[::-1] for size in list_pictures(folder, option).values())
        survey.count = survey.sizes.total()
    except DataError as error:
        problem = f"{error}{how_to_get(folder)}"
        return Survey(Path(folder), "pictures", problems=[problem])
    return survey


def _values(component: Any, key: str) -> Iterator[int]:
    """Yield what components within `component` have under `key`."""
    if isinstance(component, (list, tuple)):
        for item in component:
            yield from _values(item, key)
    elif hasattr(component, "kwargs"):
        if key in component.kwargs:
            yield component.kwargs[key]
        for value in component.kwargs.values():
            yield from _values(value, key)
