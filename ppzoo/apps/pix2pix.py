# SPDX-License-Identifier: Apache-2.0
"""Translating pictures by pix2pix."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ppzoo.apps import image_to_image
from ppzoo.apps.image_to_image import ImageToImagePredictor, Source


class Pix2PixPredictor(ImageToImagePredictor):
    """Translates pictures by the generator of a trained `Pix2PixModel`.

    It has one direction: the one that it was trained in.

    Args:
        weight_path: weights or a checkpoint, ours or PaddleGAN's.
        config: see `ImageToImagePredictor`.
        options: `size`, `max_size`, `backend` and `device` of `ImageToImagePredictor`.

    Raises:
        WeightsError: the weights cannot be read or do not fit.
        UserError: an option is out of range.
    """

    def __init__(self, weight_path: Source, config: Source | None = None, **options: Any) -> None:
        super().__init__(weight_path, "netG", config, **options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict pix2pix`."""
    image_to_image.add_arguments(parser)


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Translate pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    predictor = Pix2PixPredictor(args.weights, **image_to_image.options_of(args))
    return image_to_image.run_with(predictor, args)
