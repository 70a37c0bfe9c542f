# SPDX-License-Identifier: Apache-2.0
"""Show the parts of the face in a picture in colours, with PaddleGAN's flags.

python tools/face_parse.py --input_image face.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from ppzoo.errors import DataError
from tools.paddlegan_scripts import add_device, check_files, device_of, predictor


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Show the parts of a face in colours.")
    parser.add_argument("--input_image", metavar="FILE", help="picture of a face")
    add_device(parser)
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Show the parts of the face and return where the picture is, by kind.

    Raises:
        UserError: the picture cannot be read, or shows no face.
    """
    from ppzoo.media.image import load_image

    check_files(args, "input_image")
    load_image(args.input_image)  # before weights are read, or even downloaded
    parse = predictor("FaceParsePredictor")(device=device_of(args))
    if parse.run(args.input_image) is None:
        raise DataError(
            f"there is no face in {args.input_image} (looked for by "
            f"{parse.backends['detector']!r}): give a picture where one is seen from the front"
        )
    return {"parts": parse.output_path / "face_parse.png"}


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
