# SPDX-License-Identifier: Apache-2.0
"""Draw a photo as an anime, with PaddleGAN's flags: not here yet, and says so.

python tools/animeganv2.py --input_image photo.jpg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from tools.paddlegan_scripts import add_device, check_files, device_of, predictor


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Draw a photo as an anime.")
    add = parser.add_argument
    add("--input_image", metavar="FILE", help="the photo")
    add("--output_path", default="output_dir", metavar="DIR", help="for results (output_dir)")
    add("--weight_path", metavar="FILE", help="weights (PaddleGAN's official ones)")
    # As in PaddleGAN, whose scripts rely on it: the flag turns off what it names.
    add("--use_adjust_brightness", action="store_false", help="leave the anime as bright as it is")
    add_device(parser)
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Draw the photo as an anime and return where it is, by kind.

    Raises:
        UserError: ppzoo does not have AnimeGANv2 yet.
    """
    cartoonist = predictor("AnimeGANPredictor")
    check_files(args, "input_image")
    draw = cartoonist(
        args.output_path, args.weight_path, args.use_adjust_brightness, device=device_of(args)
    )
    draw.run(args.input_image)
    return {"picture": Path(args.output_path, "anime.png")}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
