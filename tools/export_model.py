# SPDX-License-Identifier: Apache-2.0
"""Write networks as Paddle's inference models, with PaddleGAN's flags; `ppzoo export` does, too.

python tools/export_model.py -c configs/pix2pix_facades.yaml --load WEIGHTS -s=-1,3,256,256
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from ppzoo.errors import UserError
from tools.paddlegan_scripts import add_switch


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Write networks as Paddle's inference models.")
    add = parser.add_argument
    add("-c", "--config-file", required=True, metavar="FILE", help="YAML of the training")
    add("--load", required=True, metavar="FILE", help="weights or checkpoint")
    add("-o", "--opt", nargs="+", metavar="KEY=VALUE", help="change the config")
    add(
        "-s", "--inputs_size", required=True, metavar="N,C,H,W;...", help="of inputs: -s=-1,3,64,64"
    )
    add("--output_dir", metavar="DIR", help="folder for the files (inference_model)")
    add_switch(parser, "--export_serving_model", "not available")
    add("--model_name", metavar="NAME", help="of the files, instead of MODEL_NETWORK")
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Export the networks that `export_model` names, and return their files by name.

    Raises:
        UserError: the config, the weights or the sizes cannot be used.
    """
    from ppzoo.apps.export import OUTPUT_DIR, export_networks, parse_sizes
    from ppzoo.config import load_config

    if args.export_serving_model:
        raise UserError(
            "--export_serving_model is not available: what is written without it is what "
            "paddle_serving_client.convert takes"
        )
    sizes = parse_sizes(args.inputs_size)
    config = load_config(args.config_file, args.opt or (), check=True)
    folder = args.output_dir or OUTPUT_DIR
    return export_networks(config, args.load, sizes, folder, args.model_name)


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
