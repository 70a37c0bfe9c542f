# SPDX-License-Identifier: Apache-2.0
"""Deformable convolutions (Dai et al. 2017, arXiv:1703.06211; Zhu et al. 2019, arXiv:1811.11168).

They sample their input at places that are computed for each pixel.
"""

from __future__ import annotations

import paddle
from paddle import nn
from paddle.vision.ops import DeformConv2D

from ppzoo.nn.conv import Conv2D


class OffsetDeformConv2D(nn.Layer):
    """A 3 x 3 deformable convolution that another feature map tells where to sample.

    State-dict keys are those of PaddleGAN's `DCNPack`. To begin with, all offsets are 0 and all
    samples count one half: an ordinary convolution with half its weights.

    Args:
        channels: of both feature maps, and of the result.
        groups: groups of channels that are sampled at places of their own.
    """

    def __init__(self, channels: int, groups: int = 8) -> None:
        super().__init__()
        zero = nn.initializer.Constant(0.0)
        # For each group and tap: vertical and horizontal offset by turns, then all samples' logits.
        self.conv_offset_mask = Conv2D(
            channels, groups * 3 * 9, 3, padding=1, weight_attr=zero, bias_attr=zero
        )
        self.dcn = DeformConv2D(channels, channels, 3, padding=1, deformable_groups=groups)
        self._offsets = groups * 2 * 9

    def forward(self, x: paddle.Tensor, guide: paddle.Tensor) -> paddle.Tensor:
        """Convolve `x` [N, C, H, W] at places that `guide`, of the same shape, leads to."""
        places = self.conv_offset_mask(guide)  # [N, groups * 27, H, W]
        offset, logits = places[:, : self._offsets], places[:, self._offsets :]
        return self.dcn(x, offset, nn.functional.sigmoid(logits))
