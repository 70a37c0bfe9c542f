# SPDX-License-Identifier: Apache-2.0
"""Draw faces by StyleGAN2, with PaddleGAN's flags: not here yet, and says so.

python tools/styleganv2.py --model_type ffhq-config-f
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
    parser = argparse.ArgumentParser(description="Draw faces by StyleGAN2.")
    add = parser.add_argument
    add("--output_path", default="output_dir", metavar="DIR", help="for results (output_dir)")
    add("--weight_path", metavar="FILE", help="weights")
    add("--model_type", metavar="NAME", help="of official weights: ffhq-config-f, animeface-512")
    add("--seed", type=int, metavar="N", help="repeat the same pictures")
    add("--size", type=int, default=1024, metavar="N", help="pixels a side (1024)")
    add("--style_dim", type=int, default=512, metavar="N", help="numbers of a style (512)")
    add("--n_mlp", type=int, default=8, metavar="N", help="layers that make styles (8)")
    add("--channel_multiplier", type=int, default=2, metavar="N", help="of large layers (2)")
    add("--n_row", type=int, default=3, metavar="N", help="rows of pictures (3)")
    add("--n_col", type=int, default=5, metavar="N", help="columns of pictures (5)")
    add_device(parser)
    return parser


def run(_: argparse.Namespace) -> dict[str, Path]:
    """Refuse, as long as ppzoo has no predictor.

    Raises:
        UserError: ppzoo does not have StyleGAN2 yet.
    """
    predictor("StyleGANv2Predictor")
    return {}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
