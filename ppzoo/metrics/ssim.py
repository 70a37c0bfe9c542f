# SPDX-License-Identifier: Apache-2.0
"""Structural similarity (Wang et al., Image quality assessment, 2004)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppzoo.metrics.paired import PairedMetric, prepare_pair
from ppzoo.registry import METRICS

_WINDOW = 11


def calculate_ssim(
    img1: Any,
    img2: Any,
    crop_border: int,
    input_order: str = "HWC",
    test_y_channel: bool = False,
) -> float:
    """Return the structural similarity of two pictures, 1 for equal ones.

    Each channel is compared under a Gaussian window of 11 x 11 pixels (sigma 1.5) wherever it lies
    inside the picture, and the values are averaged.

    Args:
        img1: a picture [H, W], [H, W, C] or [C, H, W], RGB or grey, values 0..255.
        img2: another of the same shape.
        crop_border: pixels to cut off at each edge.
        input_order: "HWC" or "CHW".
        test_y_channel: compare RGB pictures by their luma (BT.601, 16..235).

    Raises:
        ValueError: shapes that differ, do not fit the order, or are smaller than the window.
    """
    from skimage.metrics import structural_similarity

    first, second = prepare_pair(img1, img2, crop_border, input_order, test_y_channel)
    height, width, channels = first.shape
    if min(height, width) < _WINDOW:
        raise ValueError(
            f"SSIM needs {_WINDOW} x {_WINDOW} pixels, got {height} x {width} after cropping"
        )
    figures = [
        structural_similarity(
            first[..., channel],
            second[..., channel],
            data_range=255.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for channel in range(channels)
    ]
    return float(np.mean(figures))


@METRICS.register()
class SSIM(PairedMetric):
    """Mean structural similarity; see `calculate_ssim`."""

    def compare(self, img1: Any, img2: Any) -> float:
        """Return the figure of one pair."""
        return calculate_ssim(img1, img2, self.crop_border, self.input_order, self.test_y_channel)
