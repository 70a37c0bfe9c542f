# SPDX-License-Identifier: Apache-2.0
"""Enlarging pictures by SRGAN, or by SRResNet, its stage before the GAN."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppzoo.apps import super_resolution
from ppzoo.apps.super_resolution import SuperResolutionPredictor


class SRGANPredictor(SuperResolutionPredictor):
    """Enlarges pictures 4 or 2 times by the generator of a trained `SRGANModel`.

    See `SuperResolutionPredictor` for arguments.
    """

    name = "srgan"
    folder = "SRGAN"
    networks = ("SRResNet",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict srgan`."""
    super_resolution.add_arguments(parser, SRGANPredictor)


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Enlarge pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    return super_resolution.run_with(SRGANPredictor, args)
