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
from tools.paddlegan_scripts import add_device, predictor


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


def run(_: argparse.Namespace) -> dict[str, Path]:
    """Refuse, as long as ppzoo has no predictor.

    Raises:
        UserError: ppzoo does not have AnimeGANv2 yet.
    """
    predictor("AnimeGANPredictor")
    return {}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
