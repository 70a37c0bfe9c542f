# SPDX-License-Identifier: Apache-2.0
"""Smaller pictures without aliasing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn


class AntiAliasInterpolation2d(nn.Layer):
    """A Gaussian blur, then every n-th pixel; beyond its borders the picture is black.

    Args:
        channels: of the pictures.
        scale: of the result to the picture, 1 over a whole number.
        mobile_net: blur a little only, with a kernel of 3 x 3.

    Raises:
        ValueError: `scale` is not 1 over a whole number.
    """

    def __init__(self, channels: int, scale: float, mobile_net: bool = False) -> None:
        super().__init__()
        self.step = round(1 / scale) if scale > 0 else 0
        if self.step < 1 or self.step * scale != 1:
            raise ValueError(f"scale is {scale}, expected 1 over a whole number, such as 0.25")
        sigma = 0.25 if mobile_net else (1 / scale - 1) / 2
        size = 3 if mobile_net else 2 * round(4 * sigma) + 1
        self.channels, self.margin = channels, size // 2
        offsets = np.arange(size) - size // 2
        line = np.exp(-(offsets**2) / (2 * sigma**2 + 1e-9))
        kernel = np.outer(line, line) / line.sum() ** 2
        weight = np.tile(kernel.astype(np.float32), [channels, 1, 1, 1])  # [C, 1, k, k]
        self.register_buffer("weight", paddle.to_tensor(weight))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return pictures [N, C, H, W] as [N, C, ceil(H * scale), ceil(W * scale)]."""
        if self.step == 1:
            return x
        return F.conv2d(x, self.weight, stride=self.step, padding=self.margin, groups=self.channels)


class ImagePyramide(nn.Layer):
    """A picture in several sizes.

    Args:
        scales: of the results to the picture, each 1 over a whole number.
        num_channels: of the pictures.
    """

    def __init__(self, scales: Sequence[float], num_channels: int) -> None:
        super().__init__()
        self.scales = tuple(scales)
        # A key with a dot would be two.
        self.downs = nn.LayerDict(
            {
                str(scale).replace(".", "-"): AntiAliasInterpolation2d(num_channels, scale)
                for scale in self.scales
            }
        )

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        """Return pictures [N, C, H, W] in all sizes, by names such as `prediction_0.5`."""
        downs = zip(self.scales, self.downs.values(), strict=True)
        return {f"prediction_{scale}": down(x) for scale, down in downs}
