# SPDX-License-Identifier: Apache-2.0
"""Take one network out of a checkpoint, with PaddleGAN's flags; `ppzoo weights convert` does, too.

python tools/extract_weight.py CHECKPOINT --net-name netG_A --output netG_A.pdparams
"""

from __future__ import annotations

import argparse
import os
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

    As in PaddleGAN, a file of an earlier run is replaced.

    Raises:
        UserError: an option is missing, the checkpoint cannot be read, lacks the network, or would
            be replaced by it.
    """
    from ppzoo.apps.weights import convert

    for flag in ("net_name", "output"):
        if getattr(args, flag) is None:
            raise UserError(f"--{flag.replace('_', '-')} is missing")
    if os.path.realpath(args.checkpoint) == os.path.realpath(args.output):
        raise UserError(
            f"the network would replace {args.output}, which it is taken out of: choose another "
            "--output"
        )
    convert(args.checkpoint, args.output, args.net_name, force=True)
    return {"weights": Path(args.output)}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
