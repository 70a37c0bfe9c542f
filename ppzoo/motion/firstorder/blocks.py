# SPDX-License-Identifier: Apache-2.0
"""What the networks of First Order Motion are made of, in full and for phones (`mobile`)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.conv import Conv2D, UpsampleConv2D


def width(block_expansion: int, max_features: int, halvings: int) -> int:
    """Return the channels of maps that are 2^halvings times smaller than the picture."""
    return min(max_features, block_expansion * 2**halvings)


class SameBlock(nn.Layer):
    """Convolution, batch norm and ReLU.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        kernel: an odd size.
        bias: whether the convolution adds one.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = Conv2D(
            c_in,
            c_out,
            kernel,
            padding=kernel // 2,
            weight_attr=nn.initializer.KaimingUniform(),
            bias_attr=None if bias else False,
        )
        self.norm = nn.BatchNorm2D(c_out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H, W]."""
        return F.relu(self.norm(self.conv(x)))


class DownBlock(nn.Layer):
    """Convolution, batch norm and ReLU, then half the size."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = Conv2D(c_in, c_out, 3, padding=1)
        self.norm = nn.BatchNorm2D(c_out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H / 2, W / 2]."""
        return F.avg_pool2d(F.relu(self.norm(self.conv(x))), 2)


class UpBlock(nn.Layer):
    """Twice the size by nearest neighbours, then convolution, batch norm and ReLU."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = UpsampleConv2D(c_in, c_out)
        self.norm = nn.BatchNorm2D(c_out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, 2 H, 2 W]."""
        return F.relu(self.norm(self.conv(x)))


class ResBlock(nn.Layer):
    """Two convolutions, each behind batch norm and ReLU, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2D(channels, channels, 3, padding=1)
        self.conv2 = Conv2D(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2D(channels)
        self.norm2 = nn.BatchNorm2D(channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return `x` [N, C, H, W] with what the convolutions add."""
        out = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(out)))


class MobileDownBlock(nn.Layer):
    """`DownBlock` with a convolution channel by channel and one pixel by pixel."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = _by_channel(c_in)
        self.norm = nn.BatchNorm2D(c_in)
        self.conv1 = _by_pixel(c_in, c_out)
        self.norm1 = nn.BatchNorm2D(c_out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, H / 2, W / 2]."""
        out = F.relu(self.norm(self.conv(x)))
        return F.avg_pool2d(F.relu(self.norm1(self.conv1(out))), 2)


class MobileUpBlock(nn.Layer):
    """`UpBlock` with a convolution channel by channel and one pixel by pixel."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = _by_channel(c_in)
        self.conv1 = _by_pixel(c_in, c_out)
        self.norm = nn.BatchNorm2D(c_in)
        self.norm1 = nn.BatchNorm2D(c_out)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, O, 2 H, 2 W]."""
        out = F.interpolate(x, scale_factor=2, mode="nearest")
        out = F.relu(self.norm(self.conv(out)))
        return F.relu(self.norm1(self.conv1(out)))


class MobileResBlock(nn.Layer):
    """`ResBlock` as an inverted residual: wide inside, where channels keep apart."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.conv_pw = _by_pixel(channels, wide)
        self.conv_dw = _by_channel(wide)
        self.conv_pw_linear = _by_pixel(wide, channels)
        self.norm1 = nn.BatchNorm2D(channels)
        self.norm_pw = nn.BatchNorm2D(wide)
        self.norm_dw = nn.BatchNorm2D(wide)
        self.norm_pw_linear = nn.BatchNorm2D(channels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return `x` [N, C, H, W] with what the convolutions add."""
        out = self.norm_pw(self.conv_pw(F.relu(self.norm1(x))))
        out = F.relu(self.norm_dw(self.conv_dw(out)))
        return x + self.norm_pw_linear(self.conv_pw_linear(out))


class Encoder(nn.Layer):
    """The downward half of an hourglass; see `Hourglass` for the arguments."""

    def __init__(
        self,
        block_expansion: int,
        in_features: int,
        num_blocks: int,
        max_features: int,
        mobile_net: bool,
    ) -> None:
        super().__init__()
        widths = [width(block_expansion, max_features, i) for i in range(num_blocks + 1)]
        block = MobileDownBlock if mobile_net else DownBlock
        channels = [in_features, *widths[1:]]
        self.down_blocks = nn.LayerList(block(*pair) for pair in itertools.pairwise(channels))

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """Return `x` [N, C, H, W] and the maps of all blocks, the largest first."""
        outs = [x]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        return outs


class Decoder(nn.Layer):
    """The upward half of an hourglass; see `Hourglass` for the arguments."""

    def __init__(
        self, block_expansion: int, num_blocks: int, max_features: int, mobile_net: bool
    ) -> None:
        super().__init__()
        widths = [width(block_expansion, max_features, i) for i in range(num_blocks + 1)]
        block = MobileUpBlock if mobile_net else UpBlock
        self.up_blocks = nn.LayerList(
            # All but the first have the encoder's maps beside those from below.
            block(widths[i + 1] * (1 if i == num_blocks - 1 else 2), widths[i])
            for i in reversed(range(num_blocks))
        )

    def forward(self, maps: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """Return a map of the size of the first of the encoder's maps."""
        *skips, out = maps
        for block in self.up_blocks:
            out = paddle.concat([block(out), skips.pop()], axis=1)
        return out


class Hourglass(nn.Layer):
    """Down and up again, where maps of the same size meet.

    Args:
        block_expansion: channels of the largest map inside; smaller ones have twice as many each.
        in_features: channels of the input.
        num_blocks: how often the size is halved.
        max_features: the most channels.
        mobile_net: with convolutions for phones.
    """

    def __init__(
        self,
        block_expansion: int,
        in_features: int,
        num_blocks: int = 3,
        max_features: int = 256,
        mobile_net: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(block_expansion, in_features, num_blocks, max_features, mobile_net)
        self.decoder = Decoder(block_expansion, num_blocks, max_features, mobile_net)
        self.out_filters = block_expansion + in_features

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map `x` [N, C, H, W] to [N, out_filters, H, W]; 2^num_blocks divides H and W."""
        return self.decoder(self.encoder(x))


def head(c_in: int, c_out: int, kernel: int, padding: int) -> Conv2D:
    """Return a convolution that ends a network."""
    return Conv2D(c_in, c_out, kernel, padding=padding)


def mobile_head(c_in: int, c_out: int, padding: int, relu: bool) -> nn.Sequential:
    """Return three small convolutions, which take the place of a large one on phones."""
    layers: list[nn.Layer] = []
    for channels in (c_in, c_in, c_out):
        layers.append(
            Conv2D(
                c_in,
                channels,
                3,
                padding=padding,
                weight_attr=nn.initializer.KaimingUniform(),
            )
        )
        if relu and len(layers) < 5:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _by_channel(channels: int) -> Conv2D:
    return Conv2D(channels, channels, 3, padding=1, groups=channels, bias_attr=False)


def _by_pixel(c_in: int, c_out: int) -> Conv2D:
    return Conv2D(c_in, c_out, 1, bias_attr=False)
