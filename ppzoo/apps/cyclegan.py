# SPDX-License-Identifier: Apache-2.0
"""Translating pictures by CycleGAN."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ppzoo.apps import image_to_image
from ppzoo.apps.image_to_image import ImageToImagePredictor, Source, net_of_direction


class CycleGANPredictor(ImageToImagePredictor):
    """Translates pictures by a generator of a trained `CycleGANModel`.

    Args:
        weight_path: weights or a checkpoint, ours or PaddleGAN's.
        direction: `a2b` translates the dataset's A into its B, `b2a` the other way. By default the
            model's first generator, `netG_A`, which is `a2b` unless the config says otherwise.
        config: see `ImageToImagePredictor`.
        options: `size`, `max_size`, `backend` and `device` of `ImageToImagePredictor`.

    Raises:
        WeightsError: the weights cannot be read or do not fit.
        UserError: an option is out of range.
    """

    def __init__(
        self,
        weight_path: Source,
        direction: str | None = None,
        config: Source | None = None,
        **options: Any,
    ) -> None:
        net = net_of_direction(("netG_A", "netG_B"), direction, weight_path, config)
        super().__init__(weight_path, net, config, **options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict cyclegan`."""
    image_to_image.add_arguments(parser, directions=("a2b", "b2a"))


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Translate pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    options = image_to_image.options_of(args)
    return image_to_image.run_with(CycleGANPredictor(args.weights, args.direction, **options), args)
