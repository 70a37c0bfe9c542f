# SPDX-License-Identifier: Apache-2.0
"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import Any

from ppzoo.metrics.paired import PairedMetric, prepare_pair
from ppzoo.registry import METRICS


def calculate_psnr(
    img1: Any,
    img2: Any,
    crop_border: int,
    input_order: str = "HWC",
    test_y_channel: bool = False,
) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB, infinite for equal ones.

    Args:
        img1: a picture [H, W], [H, W, C] or [C, H, W], RGB or grey, values 0..255.
        img2: another of the same shape.
        crop_border: pixels to cut off at each edge.
        input_order: "HWC" or "CHW".
        test_y_channel: compare RGB pictures by their luma (BT.601, 16..235).

    Raises:
        ValueError: shapes that differ or do not fit the order.
    """
    first, second = prepare_pair(img1, img2, crop_border, input_order, test_y_channel)
    error = float(((first - second) ** 2).mean())
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / error)


@METRICS.register()
class PSNR(PairedMetric):
    """Mean peak signal-to-noise ratio in dB; see `calculate_psnr`."""

    def compare(self, img1: Any, img2: Any) -> float:
        """Return the figure of one pair."""
        return calculate_psnr(img1, img2, self.crop_border, self.input_order, self.test_y_channel)
