# SPDX-License-Identifier: Apache-2.0
"""Enlarging real photographs, noisy and compressed, by RealSR."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppzoo.apps import super_resolution
from ppzoo.apps.super_resolution import SuperResolutionPredictor


class RealSRPredictor(SuperResolutionPredictor):
    """Enlarges photographs 4 times by an RRDBNet that was trained on noise and JPEG's blocks.

    The constructor begins as PaddleGAN's: `RealSRPredictor(output="output", weight_path=None)`. See
    `SuperResolutionPredictor` for the other arguments.
    """

    name = "realsr"
    folder = "RealSR"
    networks = ("RRDBNet",)
    official = ("realsr", "realsr_df2k", "realsr_dped", "realsr_merge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict realsr`."""
    super_resolution.add_arguments(parser, RealSRPredictor)


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Enlarge pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    return super_resolution.run_with(RealSRPredictor, args)
