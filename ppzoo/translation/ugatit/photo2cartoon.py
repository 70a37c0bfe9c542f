# SPDX-License-Identifier: Apache-2.0
"""The generator of Photo2Cartoon: hourglasses around U-GAT-IT's, and content in the norm."""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.networks.resnet import ResnetBlock
from ppzoo.nn.checks import check_at_least, check_multiple
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.padding import ReflectionPad2D
from ppzoo.registry import GENERATORS
from ppzoo.translation.ugatit.layers import (
    AdaptiveBlock,
    Outputs,
    SoftAdaLIN,
    attend,
    check_full_size,
    doubling,
    linear,
    pooled,
    style_layers,
)


@GENERATORS.register()
class ResnetUGATITP2CGenerator(nn.Layer):
    """Photo2Cartoon's generator: U-GAT-IT's between pairs of hourglasses, with `SoftAdaLIN`.

    Args:
        input_nc: channels of the input.
        output_nc: channels of the output.
        ngf: channels after the first layer, a multiple of 4.
        img_size: side of the pictures in pixels; only the full version is bound to it.
        n_blocks: residual blocks on either side.
        light: see `ResnetUGATITGenerator`.
    """

    def __init__(
        self,
        input_nc: int = 3,
        output_nc: int = 3,
        ngf: int = 32,
        img_size: int = 256,
        n_blocks: int = 4,
        light: bool = True,
    ) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, output_nc=output_nc)
        check_at_least(4, ngf=ngf, img_size=img_size)
        check_at_least(0, n_blocks=n_blocks)
        if ngf % 4:
            raise ValueError(f"ngf is {ngf}, expected a multiple of 4")
        self.n_blocks, self.img_size, self.light = n_blocks, img_size, light
        self.size_multiple = 16  # the hourglasses halve the picture four times
        self.min_size = 32  # and mirror a pixel of what is left, so it has at least two
        wide = 4 * ngf
        encoder = [
            ReflectionPad2D(3),
            Conv2D(input_nc, ngf, 7, bias_attr=False),
            _plain_norm(ngf),
            nn.ReLU(),
            HourGlass(ngf),
            HourGlass(ngf),
        ]
        for width in (ngf, 2 * ngf):
            encoder += [
                ReflectionPad2D(1),
                Conv2D(width, 2 * width, 3, stride=2, bias_attr=False),
                _plain_norm(2 * width),
                nn.ReLU(),
            ]
        for i in range(n_blocks):
            self.add_sublayer(f"EncodeBlock{i + 1}", ResnetBlock(wide, _plain_norm))
        self.gap_fc, self.gmp_fc = linear(wide, 1), linear(wide, 1)
        self.conv1x1 = Conv2D(2 * wide, wide, 1)
        for i in range(n_blocks):
            self.add_sublayer(f"DecodeBlock{i + 1}", AdaptiveBlock(wide, SoftAdaLIN))
        self.DownBlock = nn.Sequential(*encoder)
        self.FC = style_layers(wide, img_size, light)
        decoder = [layer for width in (wide, 2 * ngf) for layer in doubling(width)]
        decoder += [
            HourGlass(ngf),
            HourGlass(ngf, last=True),
            ReflectionPad2D(3),
            Conv2D(3, output_nc, 7, bias_attr=False),
            nn.Tanh(),
        ]
        self.UpBlock = nn.Sequential(*decoder)

    def forward(self, x: paddle.Tensor) -> Outputs:
        """Translate pictures, see `ResnetUGATITGenerator`; H and W multiples of 16 from 32 on."""
        check_multiple(x, self.size_multiple, "ResnetUGATITP2CGenerator")
        check_full_size(x, self)
        x = self.DownBlock(x)
        contents = []
        for i in range(self.n_blocks):
            x = getattr(self, f"EncodeBlock{i + 1}")(x)
            contents.append(pooled(x, light=True))
        x, logits = attend(x, self.gap_fc, self.gmp_fc, self.conv1x1)
        x = F.relu(x)
        heatmap = x.sum(axis=1, keepdim=True)
        style = self.FC(pooled(x, self.light))
        for i in range(self.n_blocks):
            x = getattr(self, f"DecodeBlock{i + 1}")(x, contents[-1 - i], style)
        return self.UpBlock(x), logits, heatmap


class HourGlass(nn.Layer):
    """Look at the picture at five sizes, make a small picture of it, and add both to the input.

    Args:
        channels: of the input, a multiple of 4.
        last: return the small picture, [N, 3, H, W], instead.
    """

    def __init__(self, channels: int, last: bool = False) -> None:
        super().__init__()
        self.HG = nn.Sequential(
            _FiveSizes(channels),
            _DenseBlock(channels),
            Conv2D(channels, channels, 1, bias_attr=False),
            _plain_norm(channels),
            nn.ReLU(),
        )
        self.Conv1 = Conv2D(channels, 3, 1)
        self.last = last
        if not last:
            self.Conv2 = Conv2D(channels, channels, 1)
            self.Conv3 = Conv2D(3, channels, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W], H and W multiples of 16."""
        features = self.HG(x)
        picture = self.Conv1(features)
        if self.last:
            return picture
        return x + self.Conv2(features) + self.Conv3(picture)


class _FiveSizes(nn.Layer):
    """Halve four times and double four times, with a block at each size on each way."""

    HALVINGS = 4

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(self.HALVINGS):
            self.add_sublayer(f"ConvBlockskip{i + 1}", _DenseBlock(channels))
        for i in range(2 * self.HALVINGS + 1):
            self.add_sublayer(f"ConvBlock{i + 1}", _DenseBlock(channels))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        across = []
        for i in range(self.HALVINGS):
            across.append(getattr(self, f"ConvBlockskip{i + 1}")(x))
            x = getattr(self, f"ConvBlock{i + 1}")(F.avg_pool2d(x, 2))
        x = getattr(self, f"ConvBlock{self.HALVINGS + 1}")(x)
        for i in range(self.HALVINGS):
            x = getattr(self, f"ConvBlock{self.HALVINGS + 2 + i}")(x)
            x = across.pop() + F.interpolate(x, scale_factor=2, mode="nearest")
        return x


class _DenseBlock(nn.Layer):
    """Three convolutions in a row whose results, side by side, are added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.conv_block1 = self._step(channels, half)
        self.conv_block2 = self._step(half, quarter)
        self.conv_block3 = self._step(quarter, quarter)

    @staticmethod
    def _step(c_in: int, c_out: int) -> nn.Sequential:
        return nn.Sequential(
            _plain_norm(c_in),
            nn.ReLU(),
            ReflectionPad2D(1),
            Conv2D(c_in, c_out, 3, bias_attr=False),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        first = self.conv_block1(x)
        second = self.conv_block2(first)
        return x + paddle.concat([first, second, self.conv_block3(second)], axis=1)


def _plain_norm(channels: int) -> nn.Layer:
    return nn.InstanceNorm2D(channels, weight_attr=False, bias_attr=False)
