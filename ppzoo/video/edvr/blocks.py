# SPDX-License-Identifier: Apache-2.0
"""What EDVR's stages are built of."""

from __future__ import annotations

import functools

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.conv import Conv2D

conv3x3 = functools.partial(Conv2D, kernel_size=3, padding=1)
conv1x1 = functools.partial(Conv2D, kernel_size=1)


def leaky_relu(x: paddle.Tensor) -> paddle.Tensor:
    """Return EDVR's activation of `x`."""
    return F.leaky_relu(x, 0.1)


def double(x: paddle.Tensor) -> paddle.Tensor:
    """Return pictures [N, C, H, W] at twice their size, bilinearly."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class ResidualBlock(nn.Layer):
    """Two convolutions beside the identity, without any norm.

    Args:
        nf: channels.
    """

    def __init__(self, nf: int = 64) -> None:
        super().__init__()
        self.conv1 = conv3x3(nf, nf)
        self.conv2 = conv3x3(nf, nf)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


def residual_blocks(number: int, nf: int) -> nn.Sequential:
    """Return so many blocks in a row, named as in PaddleGAN's state dicts."""
    return nn.Sequential(*((f"block{i}", ResidualBlock(nf)) for i in range(number)))


class PredeblurPyramid(nn.Layer):
    """What sharpens single frames before they are aligned, at three sizes.

    Args:
        in_nf: channels of a frame.
        nf: channels of its features.
        HR_in: frames are of the output's size: halve them twice first.
    """

    def __init__(self, in_nf: int = 3, nf: int = 64, HR_in: bool = False) -> None:
        super().__init__()
        self._halves = HR_in
        if HR_in:
            self.conv_first_1 = conv3x3(in_nf, nf)
            self.conv_first_2 = conv3x3(nf, nf, stride=2)
            self.conv_first_3 = conv3x3(nf, nf, stride=2)
        else:
            self.conv_first = conv3x3(in_nf, nf)
        for name in ("L1_1", "L1_2", "L1_3", "L1_4", "L1_5", "L2_1", "L2_2", "L3_1"):
            self.add_sublayer(f"RB_{name}", ResidualBlock(nf))
        self.deblur_L2_conv = conv3x3(nf, nf, stride=2)
        self.deblur_L3_conv = conv3x3(nf, nf, stride=2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map frames `x` [N, C, H, W] to features [N, nf, H, W], or a quarter of it each way."""
        if self._halves:
            full = leaky_relu(self.conv_first_1(x))
            full = leaky_relu(self.conv_first_2(full))  # [N, nf, H/2, W/2]
            full = leaky_relu(self.conv_first_3(full))  # [N, nf, H/4, W/4]
        else:
            full = leaky_relu(self.conv_first(x))
        half = leaky_relu(self.deblur_L2_conv(full))
        quarter = leaky_relu(self.deblur_L3_conv(half))
        half = self.RB_L2_1(half) + double(self.RB_L3_1(quarter))
        full = self.RB_L1_2(self.RB_L1_1(full)) + double(self.RB_L2_2(half))
        return self.RB_L1_5(self.RB_L1_4(self.RB_L1_3(full)))
