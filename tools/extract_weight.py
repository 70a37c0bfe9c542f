# SPDX-License-Identifier: Apache-2.0
"""Take one network out of a checkpoint, with PaddleGAN's flags; `ppzoo weights convert` does, too.

python tools/extract_weight.py CHECKPOINT --net-name netG_A --output netG_A.pdparams
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from ppzoo.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Take one network out of a checkpoint.")
    add = parser.add_argument
    add("checkpoint", metavar="FILE", help="checkpoint or weights")
    add("--net-name", metavar="NAME", help="the network in it")
    add("--output", metavar="FILE", help="new file: its name ends in .pdparams")
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Write the network's weights, flat, and return their file.

    Raises:
        UserError: an option is missing, the checkpoint cannot be read or lacks the network.
    """
    from ppzoo.apps.weights import convert

    for flag in ("net_name", "output"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag.replace('_', '-')} is missing")
    convert(args.checkpoint, args.output, args.net_name)
    return {"weights": Path(args.output)}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
