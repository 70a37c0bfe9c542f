# SPDX-License-Identifier: Apache-2.0
"""Translating pictures by U-GAT-IT, and showing where it looks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.apps import image_to_image
from ppzoo.apps.image_to_image import ImageToImagePredictor, Source, net_of_direction, resize_to
from ppzoo.media.image import load_image


class UGATITPredictor(ImageToImagePredictor):
    """Translates pictures by a generator of a trained `UGATITModel`, full or light.

    Args:
        weight_path: weights or a checkpoint, ours or PaddleGAN's.
        direction: `a2b` translates the dataset's A into its B, `b2a` the other way. By default the
            model's first generator, `genA2B`, which is `a2b` unless the config says otherwise.
        config: see `ImageToImagePredictor`.
        attention: show where the network looks beside the result, with `compare`.
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
        *,
        attention: bool = False,
        **options: Any,
    ) -> None:
        net = net_of_direction(("genA2B", "genB2A"), direction, weight_path, config)
        super().__init__(weight_path, net, config, **options)
        self.attention = attention

    def run_with_attention(self, image: Any) -> tuple[np.ndarray, np.ndarray]:
        """Translate a picture, and return where the network looks, too.

        Args:
            image: see `run`.

        Returns:
            The result, uint8 RGB [H, W, 3], and the attention, float32 [H, W], 0 where it is least
            in this picture and 1 where it is most.

        Raises:
            DataError: it is no picture, or cannot be read.
        """
        picture = load_image(image)
        outputs = self._outputs(picture)
        heat = outputs[2][0]
        heat = (heat - heat.min()) / max(float(np.ptp(heat)), 1e-12)
        heat = resize_to(heat[..., np.newaxis].astype(np.float32), picture.shape[:2])[..., 0]
        return self._to_picture(outputs[0], picture.shape[:2]), heat.clip(0, 1)

    def _translate(self, picture: np.ndarray) -> tuple[np.ndarray, ...]:
        if not self.attention:
            return super()._translate(picture)
        result, heat = self.run_with_attention(picture)
        return result, heat_over(picture, heat)


def heat_over(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Return a picture with its attention laid over it, blue for least and red for most.

    Args:
        picture: uint8 RGB [H, W, 3].
        heat: [H, W], 0 to 1.
    """
    import cv2

    levels = (heat * 255).round().astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_JET), cv2.COLOR_BGR2RGB)
    return cv2.addWeighted(picture, 0.5, colours, 0.5, 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `ppzoo predict ugatit`."""
    image_to_image.add_arguments(parser, directions=("a2b", "b2a"))
    parser.add_argument(
        "--attention", action="store_true", help="with --compare, show where the network looks"
    )


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Translate pictures and return where they are, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    options = image_to_image.options_of(args)
    predictor = UGATITPredictor(args.weights, args.direction, attention=args.attention, **options)
    args.compare = args.compare or args.attention
    return image_to_image.run_with(predictor, args)
