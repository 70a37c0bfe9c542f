# SPDX-License-Identifier: Apache-2.0
"""RCAN: a very deep residual network that weights its channels.

Paper: Zhang et al. 2018, Image Super-Resolution Using Very Deep Residual Channel Attention Networks
(arXiv:1807.02758).
State-dict keys and numbers equal PaddleGAN's. Unlike there, no batch is skipped for a large loss:
that would wait for the loss in every step.
"""

from __future__ import annotations

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.init import bilinear_kernels, hand_through, start_at_zero
from ppzoo.registry import GENERATORS, MODELS
from ppzoo.restoration.super_resolution import SuperResolutionModel

# Mean colour of DIV2K's training pictures, as a share of the value range.
_MEAN_COLOUR = (0.4488, 0.4371, 0.4040)


@GENERATORS.register()
class RCAN(nn.Layer):
    """Enlarge pictures by groups of residual blocks with channel attention.

    Args:
        scale: how much larger the output is, 2, 3, 4 or 8.
        n_resgroups: number of residual groups; the paper has 10.
        n_resblocks: blocks in each group; the paper has 20.
        n_feats: channels between the blocks.
        n_colors: channels of the pictures; the mean colour, which is subtracted, has 3.
        rgb_range: the value of white.
        kernel_size: of all convolutions between the blocks, odd.
        reduction: channels for one channel inside the attention.
    """

    def __init__(
        self,
        scale: Literal[2, 3, 4, 8],
        n_resgroups: int,
        n_resblocks: int,
        n_feats: int = 64,
        n_colors: int = 3,
        rgb_range: float = 255,
        kernel_size: int = 3,
        reduction: int = 16,
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4, 8):
            raise ValueError(f"scale is {scale!r}, RCAN enlarges by 2, 3, 4 or 8")
        if n_colors != 3:
            raise ValueError(f"n_colors is {n_colors}, RCAN's mean colour has 3")
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, expected an odd number")
        check_at_least(1, n_resgroups=n_resgroups, n_resblocks=n_resblocks, reduction=reduction)
        check_at_least(reduction, n_feats=n_feats)
        self.scale = scale
        self.sub_mean = MeanShift(rgb_range, -1)
        self.head = nn.Sequential(_conv(n_colors, n_feats, kernel_size))
        groups = [
            ResidualGroup(n_feats, n_resblocks, kernel_size, reduction) for _ in range(n_resgroups)
        ]
        self.body = nn.Sequential(*groups, _conv(n_feats, n_feats, kernel_size))
        self.tail = nn.Sequential(_upsampler(scale, n_feats), _conv(n_feats, n_colors, kernel_size))
        self.add_mean = MeanShift(rgb_range, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Enlarge pictures.

        Args:
            x: [N, 3, H, W] in [0, rgb_range].

        Returns:
            [N, 3, H * scale, W * scale], about in [0, rgb_range].
        """
        shallow = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(shallow + self.body(shallow)))

    def start_as_bilinear(self) -> None:
        """Set the initial weights so that the network begins as bilinear enlargement."""
        upsampler, last = self.tail
        channels = last.weight.shape[0]
        start_at_zero(self.body[-1])
        start_at_zero(last)
        hand_through(self.head[0], channels)
        hand_through(last, channels)
        for conv in upsampler[::2]:
            outputs, inputs = conv.weight.shape[:2]
            hand_through(conv, channels, bilinear_kernels(round((outputs / inputs) ** 0.5)))


class MeanShift(nn.Layer):
    """Add or subtract the mean colour; a fixed convolution, since PaddleGAN's checkpoints have it.

    Args:
        rgb_range: the value of white.
        sign: 1 to add, -1 to subtract.
    """

    def __init__(self, rgb_range: float, sign: Literal[1, -1]) -> None:
        super().__init__()
        shift = [sign * rgb_range * share for share in _MEAN_COLOUR]
        self.weight = self.create_parameter(
            [3, 3, 1, 1],
            default_initializer=nn.initializer.Assign(paddle.eye(3).reshape([3, 3, 1, 1])),
        )
        self.bias = self.create_parameter(
            [3], is_bias=True, default_initializer=nn.initializer.Assign(paddle.to_tensor(shift))
        )
        for parameter in (self.weight, self.bias):
            parameter.stop_gradient = True

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return `x` [N, 3, H, W], shifted."""
        return F.conv2d(x, self.weight, self.bias)


class ChannelAttention(nn.Layer):
    """Scale each channel by a weight that is computed from the means of all.

    Args:
        channels: their number.
        reduction: channels for one inside.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.conv_du = nn.Sequential(
            nn.Conv2D(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2D(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return [N, channels, H, W]."""
        return x * self.conv_du(x.mean(axis=[2, 3], keepdim=True))


class ResidualBlock(nn.Layer):
    """Two convolutions and channel attention, beside the identity."""

    def __init__(self, channels: int, kernel_size: int, reduction: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, channels, kernel_size),
            nn.ReLU(),
            _conv(channels, channels, kernel_size),
            ChannelAttention(channels, reduction),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return [N, channels, H, W]."""
        return x + self.body(x)


class ResidualGroup(nn.Layer):
    """Blocks and a convolution, beside the identity."""

    def __init__(self, channels: int, blocks: int, kernel_size: int, reduction: int) -> None:
        super().__init__()
        layers = [ResidualBlock(channels, kernel_size, reduction) for _ in range(blocks)]
        self.body = nn.Sequential(*layers, _conv(channels, channels, kernel_size))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return [N, channels, H, W]."""
        return x + self.body(x)


@MODELS.register()
class RCANModel(SuperResolutionModel):
    """RCAN, trained by the distance of values; the paper's is L1. See `SuperResolutionModel`."""


def _conv(inputs: int, outputs: int, kernel_size: int) -> Conv2D:
    weight = paddle.ParamAttr(initializer=nn.initializer.XavierUniform())
    return Conv2D(inputs, outputs, kernel_size, padding=kernel_size // 2, weight_attr=weight)


def _upsampler(scale: int, channels: int) -> nn.Sequential:
    factors = [3] if scale == 3 else [2] * (scale.bit_length() - 1)
    layers: list[nn.Layer] = []
    for factor in factors:
        layers += [_conv(channels, channels * factor**2, 3), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)
