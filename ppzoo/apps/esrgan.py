# SPDX-License-Identifier: Apache-2.0
"""Enlarging pictures by ESRGAN, or by the PSNR stage before its GAN."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppzoo.apps import super_resolution
from ppzoo.apps.super_resolution import SuperResolutionPredictor


class ESRGANPredictor(SuperResolutionPredictor):
    """Enlarges pictures 4 or 2 times by the generator of a trained `ESRGAN` model.

    The scale is that of the weights: of its own stage `esrgan_psnr`, which gives what is likely and
    soft, and of the GAN, which invents sharp texture. See `SuperResolutionPredictor` for arguments.
    """

    name = "esrgan"
    folder = "ESRGAN"
    networks = ("RRDBNet",)
    official = ("esrgan", "esrgan_psnr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict esrgan`."""
    super_resolution.add_arguments(parser, ESRGANPredictor)


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Enlarge pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    return super_resolution.run_with(ESRGANPredictor, args)
