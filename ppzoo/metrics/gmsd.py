# SPDX-License-Identifier: Apache-2.0
"""Gradient magnitude similarity deviation (Xue et al. 2014, arXiv:1308.3052).

How unevenly the edges of a result resemble those of the truth: two pictures whose edges have the
same strength everywhere score 0, whatever their colours; missing, moved and invented lines count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ppzoo.metrics.paired import PairedMetric, grey, prepare_pair
from ppzoo.registry import METRICS

# The paper's constant for levels 0..255; for levels 0..1 it is 170 / 255^2 = 0.0026.
_C = 170.0
_LEAST = 6  # pixels: one is left after halving that the operator sees whole


def calculate_gmsd(img1: Any, img2: Any, crop_border: int = 0, input_order: str = "HWC") -> float:
    """Return the gradient magnitude similarity deviation of two pictures, 0 for equal ones.

    Luma is averaged over 2 x 2 pixels and every second value kept, gradients are Prewitt's, their
    similarity is (2 a b + c) / (a^2 + b^2 + c), and the figure is its standard deviation over the
    picture. As in the program of the paper's authors, there is black around the picture.

    Args:
        img1: a picture [H, W], [H, W, C] or [C, H, W], RGB or grey, values 0..255.
        img2: another of the same shape.
        crop_border: pixels to cut off at each edge.
        input_order: "HWC" or "CHW".

    Returns:
        A figure in [0, 0.5], lower is better; in practice up to about 0.3.

    Raises:
        ValueError: shapes that differ, do not fit the order, or are too small.
    """
    pair = prepare_pair(img1, img2, crop_border, input_order, test_y_channel=False)
    height, width = pair[0].shape[:2]
    if min(height, width) < _LEAST:
        raise ValueError(
            f"GMSD needs {_LEAST} x {_LEAST} pixels, got {height} x {width} after cropping"
        )
    first, second = (_gradient_magnitude(_halved(grey(picture))) for picture in pair)
    similarity = (2.0 * first * second + _C) / (first**2 + second**2 + _C)
    return float(similarity.std())


def _halved(levels: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels; an odd row or column at the end is completed by black."""
    even = np.pad(levels, [(0, length % 2) for length in levels.shape])
    height, width = (length // 2 for length in even.shape)
    return even.reshape(height, 2, width, 2).mean(axis=(1, 3))


def _gradient_magnitude(levels: np.ndarray) -> np.ndarray:
    levels = np.pad(levels, 1)
    rows = (levels[:-2] + levels[1:-1] + levels[2:]) / 3.0
    columns = (levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]) / 3.0
    return np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2])


@METRICS.register()
class GMSD(PairedMetric):
    """Mean gradient magnitude similarity deviation of translated pictures; see `calculate_gmsd`.

    Args:
        crop_border: pixels to cut off at each edge.
        input_order: "HWC" or "CHW".
    """

    def __init__(self, crop_border: int = 0, input_order: str = "HWC") -> None:
        super().__init__(crop_border, input_order)

    def compare(self, img1: Any, img2: Any) -> float:
        """Return the figure of one pair."""
        return calculate_gmsd(img1, img2, self.crop_border, self.input_order)
