# SPDX-License-Identifier: Apache-2.0
"""`ppzoo data prepare reds|vimeo90k|frames`: videos for training super-resolution."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from ppzoo.data.video_frames import extract_frames
from ppzoo.data.video_sources import (
    REDS_ABOUT,
    REDS_TERMS,
    VIMEO_ABOUT,
    VIMEO_TERMS,
    prepare_reds,
    prepare_vimeo90k,
)

_NAMED_PROBLEMS = 5


def add_commands(names: Any) -> None:
    """Add the commands to those of `ppzoo data prepare`, what `add_subparsers` returned."""
    reds = names.add_parser("reds", help=f"{REDS_ABOUT}; {REDS_TERMS}")
    reds.add_argument(
        "--from", dest="source", metavar="DIR", help="where its archives were unpacked"
    )
    reds.add_argument("--out", default="data/REDS", metavar="DIR", help="folder (data/REDS)")
    vimeo = names.add_parser("vimeo90k", help=f"{VIMEO_ABOUT}; {VIMEO_TERMS}")
    vimeo.add_argument(
        "--out", default="data/vimeo90k", metavar="DIR", help="folder (data/vimeo90k)"
    )
    frames = names.add_parser("frames", help="frames of your own videos, large and small")
    frames.add_argument("--videos", required=True, metavar="DIR", help="folder of videos, or one")
    frames.add_argument("--out", required=True, metavar="DIR", help="makes DIR/gt and DIR/lq")
    frames.add_argument("--scale", type=int, default=4, metavar="N", help="large / small (4)")
    frames.add_argument(
        "--most", type=int, default=100, metavar="N", help="frames to take of each scene (100)"
    )
    frames.add_argument(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a video that cannot be used, or leave it out and count it (raise)",
    )
    for parser in (vimeo, frames):
        parser.add_argument(
            "--jobs", type=int, metavar="N", help="threads; one per processor by default"
        )


def run(args: argparse.Namespace) -> str:
    """Do what a command says and return what there is now, as lines of text."""
    return COMMANDS[args.dataset](args)


def _reds(args: argparse.Namespace) -> str:
    prepared = prepare_reds(args.out, args.source)
    return _folders(args.out, prepared.clips, f"{prepared.made} links are new; {REDS_TERMS}")


def _vimeo90k(args: argparse.Namespace) -> str:
    prepared = prepare_vimeo90k(args.out, args.jobs)
    return _folders(args.out, prepared.clips, f"{prepared.made} frames are new; {VIMEO_TERMS}")


def _frames(args: argparse.Namespace) -> str:
    made = extract_frames(
        args.videos,
        args.out,
        scale=args.scale,
        most=args.most,
        jobs=args.jobs,
        on_error=args.on_error,
    )
    lines = [
        f"{made.frames} frames in {made.clips} clips of {made.videos} videos are in {args.out}/gt, "
        f"and at 1/{args.scale} in {args.out}/lq; {made.made} of them are new",
    ]
    if made.problems:
        lines.append(f"problems: {len(made.problems)}")
        lines += [f"  {problem}" for problem in made.problems[:_NAMED_PROBLEMS]]
        if len(made.problems) > _NAMED_PROBLEMS:
            lines.append(f"  ... and {len(made.problems) - _NAMED_PROBLEMS} more")
    return "\n".join(lines)


def _folders(out: str, clips: Mapping[str, int], rest: str) -> str:
    lines = [f"{count} clips in {out}/{folder}" for folder, count in clips.items()]
    return "\n".join([*lines, rest])


COMMANDS: dict[str, Callable[[argparse.Namespace], str]] = {
    "reds": _reds,
    "vimeo90k": _vimeo90k,
    "frames": _frames,
}
