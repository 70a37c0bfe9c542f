# SPDX-License-Identifier: Apache-2.0
"""Enlarging pictures by RCAN."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppzoo.apps import super_resolution
from ppzoo.apps.super_resolution import SuperResolutionPredictor


class RCANPredictor(SuperResolutionPredictor):
    """Enlarges pictures 2, 3, 4 or 8 times by a trained `RCAN`.

    Its channel attention averages over what the network sees, which is a tile, not the picture. So
    the result depends a little on `tile`, everywhere; `ppzoo.apps.tiles` says how much. See
    `SuperResolutionPredictor` for arguments.
    """

    name = "rcan"
    folder = "RCAN"
    networks = ("RCAN",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict rcan`."""
    super_resolution.add_arguments(parser, RCANPredictor)


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Enlarge pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    return super_resolution.run_with(RCANPredictor, args)
