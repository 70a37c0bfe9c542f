# SPDX-License-Identifier: Apache-2.0
"""Send a film through several networks, one after the other, with PaddleGAN's flags.

python tools/video-enhance.py --input old.mp4 --process_order RealSR EDVR --output results

`ppzoo predict restore` does so in one pass, without films in between.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from ppzoo.errors import UserError
from tools.paddlegan_scripts import (
    add_device,
    add_switch,
    check_files,
    device_of,
    has_predictor,
    predictor,
)

# What --process_order may name, and the predictor that it stands for.
STEPS = {
    name: f"{name}Predictor"
    for name in (
        "DAIN",
        "DeepRemaster",
        "DeOldify",
        "RealSR",
        "EDVR",
        "PPMSVSR",
        "PPMSVSRLarge",
        "BasicVSR",
        "IconVSR",
        "BasiVSRPlusPlus",
    )
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Send a film through several networks.")
    add = parser.add_argument
    add("--input", metavar="FILE", help="the film")
    add("--output", default="output", metavar="DIR", help="folder for results (output)")
    for name in STEPS:
        add(f"--{name}_weight", metavar="FILE", help=f"weights of {name} (the official ones)")
    add("--time_step", type=float, default=0.5, metavar="T", help="for DAIN")
    add_switch(parser, "--remove_duplicates", "for DAIN")
    add("--reference_dir", metavar="DIR", help="for DeepRemaster")
    add("--colorization", action="store_true", help="for DeepRemaster")
    add("--mindim", type=int, default=360, metavar="N", help="for DeepRemaster")
    add("--artistic", action="store_true", help="for DeOldify")
    add("--render_factor", type=int, default=32, metavar="N", help="for DeOldify")
    add("--num_frames", type=int, default=10, metavar="N", help="for the recurrent networks")
    add(
        "--process_order",
        "--proccess_order",  # of PaddleGAN's first releases
        nargs="+",
        default="none",
        metavar="NAME",
        help=f"what the film goes through, in this order: {', '.join(STEPS)}",
    )
    add_device(parser)
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Send the film through the networks, and say where the result of each is.

    Raises:
        UserError: a network is unknown or not here yet, a file cannot be read or written.
    """
    steps, device = chosen(args.process_order), device_of(args)
    check_files(args, "input")
    # All of them before the first one runs for hours: weights may be missing.
    ready = [
        (name, step(args.output, weight_path=getattr(args, f"{name}_weight"), device=device))
        for name, step in steps
    ]
    film = args.input
    # PaddleGAN's lines, word for word: programs that call the script take the paths from them.
    for name, step in ready:
        print(f"Model {name} process start..", flush=True)
        frames, film = step.run(film)
        # Of a picture, RealSR returns the enlarged one and its file.
        print(f"Model {name} output frames path: {frames if isinstance(frames, str) else film}")
        print(f"Model {name} output video path: {film}")
        print(f"Model {name} process done!", flush=True)
    return {}


def chosen(order: list[str] | str) -> list[tuple[str, Any]]:
    """Return the networks that --process_order names, and their predictors.

    Raises:
        UserError: one is unknown or not here yet, or there is none.
    """
    names = [order] if isinstance(order, str) else order
    if names == ["none"]:
        raise UserError("there is nothing to do: name networks by --process_order, such as EDVR")
    for name in names:
        if name not in STEPS:
            here = [step for step, needed in STEPS.items() if has_predictor(needed)]
            raise UserError(f"--process_order {name}: expected names out of {', '.join(here)}")
    return [(name, predictor(STEPS[name])) for name in names]


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
