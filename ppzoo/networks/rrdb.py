# SPDX-License-Identifier: Apache-2.0
"""RRDBNet, the generator of ESRGAN (Wang et al. 2018, arXiv:1809.00219), also RealSR's.

Residual in residual dense blocks without normalisation, then nearest upsampling and convolutions.
State-dict keys and numbers equal PaddleGAN's; the blocks' initial weights are a tenth of He's, as
the paper has it (section 3.1).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.nn.checks import check_at_least, check_multiple
from ppzoo.nn.conv import Conv2D, UpsampleConv2D
from ppzoo.nn.init import hand_through, start_at_zero
from ppzoo.registry import GENERATORS

_RESIDUAL_SCALE = 0.2
_SLOPE = 0.2
_INITIAL_SCALE = 0.1
# After nearest upsampling by 2, this filter makes it bilinear.
_SMOOTHING = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32)[np.newaxis] / 16


@GENERATORS.register()
class RRDBNet(nn.Layer):
    """Enlarge pictures by residual dense blocks at the input's size.

    Args:
        in_nc: channels of the input.
        out_nc: channels of the output.
        nf: channels between the blocks.
        nb: number of blocks, of three dense blocks each; the paper has 23.
        gc: channels that each convolution of a dense block adds.
        scale: how much larger the output is: 4, 2 or 1. For 2 and 1 the input's pixels are first
            moved into channels, so that the blocks work at half or a quarter of its size.
    """

    def __init__(
        self,
        in_nc: int,
        out_nc: int,
        nf: int,
        nb: int,
        gc: int = 32,
        scale: Literal[1, 2, 4] = 4,
    ) -> None:
        super().__init__()
        check_at_least(1, in_nc=in_nc, out_nc=out_nc, nf=nf, nb=nb, gc=gc)
        if scale not in (1, 2, 4):
            raise ValueError(f"scale is {scale!r}, RRDBNet enlarges by 1, 2 or 4")
        self.scale = scale
        self.size_multiple = 4 // scale
        self.conv_first = Conv2D(in_nc * self.size_multiple**2, nf, 3, padding=1)
        self.RRDB_trunk = nn.Sequential(*(RRDB(nf, gc) for _ in range(nb)))
        self.trunk_conv = Conv2D(nf, nf, 3, padding=1)
        self.upconv1 = UpsampleConv2D(nf, nf)
        self.upconv2 = UpsampleConv2D(nf, nf)
        self.HRconv = Conv2D(nf, nf, 3, padding=1)
        self.conv_last = Conv2D(nf, out_nc, 3, padding=1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Enlarge pictures.

        Args:
            x: [N, in_nc, H, W] in [0, 1], H and W multiples of 4 / scale.

        Returns:
            [N, out_nc, H * scale, W * scale], about in [0, 1].

        Raises:
            ConfigError: another size.
        """
        if self.size_multiple > 1:
            check_multiple(x, self.size_multiple, "RRDBNet")
            x = F.pixel_unshuffle(x, self.size_multiple)
        shallow = self.conv_first(x)
        features = shallow + self.trunk_conv(self.RRDB_trunk(shallow))  # [N, nf, h, w]
        for conv in (self.upconv1, self.upconv2):
            features = F.leaky_relu(conv(features), _SLOPE)
        return self.conv_last(F.leaky_relu(self.HRconv(features), _SLOPE))

    def start_as_bilinear(self) -> None:
        """Set the initial weights so that the network begins as bilinear enlargement.

        Training of minutes then does not go into learning to copy.

        Raises:
            ConfigError: the scale is not 4, or the output's channels are not the input's.
        """
        channels = self.conv_last.weight.shape[0]
        if self.scale != 4 or self.conv_first.weight.shape[1] != channels:
            raise ConfigError(
                "model.start_as_bilinear: RRDBNet begins as bilinear enlargement with scale 4 and "
                "as many output channels as input channels only"
            )
        start_at_zero(self.trunk_conv)
        start_at_zero(self.conv_last)
        for conv in (self.conv_first, self.HRconv, self.conv_last):
            hand_through(conv, channels)
        for conv in (self.upconv1, self.upconv2):
            hand_through(conv, channels, _SMOOTHING)


class RRDB(nn.Layer):
    """Three dense blocks and a residual connection around them.

    Args:
        nf: channels of input and output.
        gc: channels that each convolution inside adds.
    """

    def __init__(self, nf: int, gc: int = 32) -> None:
        super().__init__()
        self.RDB1 = ResidualDenseBlock(nf, gc)
        self.RDB2 = ResidualDenseBlock(nf, gc)
        self.RDB3 = ResidualDenseBlock(nf, gc)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return features of the shape of `x`, [N, nf, H, W]."""
        return x + _RESIDUAL_SCALE * self.RDB3(self.RDB2(self.RDB1(x)))


class ResidualDenseBlock(nn.Layer):
    """Five convolutions, each of which sees the input and the results of all before it.

    Args:
        nf: channels of input and output.
        gc: channels that each of the first four adds.
    """

    def __init__(self, nf: int, gc: int) -> None:
        super().__init__()
        self.conv1 = _block_conv(nf, gc)
        self.conv2 = _block_conv(nf + gc, gc)
        self.conv3 = _block_conv(nf + 2 * gc, gc)
        self.conv4 = _block_conv(nf + 3 * gc, gc)
        self.conv5 = _block_conv(nf + 4 * gc, nf)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return features of the shape of `x`, [N, nf, H, W]."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = paddle.concat([seen, F.leaky_relu(conv(seen), _SLOPE)], axis=1)
        return x + _RESIDUAL_SCALE * self.conv5(seen)  # seen: [N, nf + 4 gc, H, W]


def _block_conv(inputs: int, outputs: int) -> Conv2D:
    deviation = _INITIAL_SCALE * (2.0 / (9 * inputs)) ** 0.5
    weight = paddle.ParamAttr(initializer=nn.initializer.Normal(0.0, deviation))
    return Conv2D(inputs, outputs, 3, padding=1, weight_attr=weight)
