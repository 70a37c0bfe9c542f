# SPDX-License-Identifier: Apache-2.0
"""The paper's generator and discriminator."""

from __future__ import annotations

import itertools

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.nn.utils import spectral_norm

from ppzoo.networks.resnet import ResnetBlock
from ppzoo.nn.checks import check_at_least, check_multiple
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.norm import NormType, build_norm_layer
from ppzoo.nn.padding import ReflectionPad2D
from ppzoo.registry import DISCRIMINATORS, GENERATORS
from ppzoo.translation.ugatit.layers import (
    AdaILN,
    AdaptiveBlock,
    Outputs,
    attend,
    check_full_size,
    doubling,
    linear,
    pooled,
    style_layers,
)


@GENERATORS.register()
class ResnetUGATITGenerator(nn.Layer):
    """The paper's generator: residual encoder, attention, adaptive residual decoder.

    Args:
        input_nc: channels of the input.
        output_nc: channels of the output.
        ngf: channels after the first layer.
        n_blocks: residual blocks on either side.
        img_size: side of the pictures in pixels; only the full version is bound to it.
        light: compute scale and shift from averages of the maps rather than from all their values,
            which saves most of the weights.
        norm_type: norm of the encoder.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        n_blocks: int = 6,
        img_size: int = 256,
        light: bool = False,
        norm_type: NormType = "instance",
    ) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, output_nc=output_nc, ngf=ngf)
        check_at_least(0, n_blocks=n_blocks)
        check_at_least(4, img_size=img_size)
        self.n_blocks, self.img_size, self.light = n_blocks, img_size, light
        self.size_multiple = 4
        norm, wide = build_norm_layer(norm_type), 4 * ngf

        encoder = [
            ReflectionPad2D(3),
            Conv2D(input_nc, ngf, 7, bias_attr=False),
            norm(ngf),
            nn.ReLU(),
        ]
        for width in (ngf, 2 * ngf):
            encoder += [
                ReflectionPad2D(1),
                Conv2D(width, 2 * width, 3, stride=2, bias_attr=False),
                norm(2 * width),
                nn.ReLU(),
            ]
        encoder += [ResnetBlock(wide, norm) for _ in range(n_blocks)]

        self.gap_fc, self.gmp_fc = linear(wide, 1), linear(wide, 1)
        self.conv1x1 = Conv2D(2 * wide, wide, 1)
        self.gamma, self.beta = linear(wide, wide), linear(wide, wide)
        for i in range(n_blocks):
            self.add_sublayer(f"UpBlock1_{i + 1}", AdaptiveBlock(wide, AdaILN))
        self.DownBlock = nn.Sequential(*encoder)
        self.FC = style_layers(wide, img_size, light)
        decoder = [layer for width in (wide, 2 * ngf) for layer in doubling(width)]
        decoder += [
            ReflectionPad2D(3),
            Conv2D(ngf, output_nc, 7, bias_attr=False),
            nn.Tanh(),
        ]
        self.UpBlock2 = nn.Sequential(*decoder)

    def forward(self, x: paddle.Tensor) -> Outputs:
        """Translate pictures.

        Args:
            x: [N, input_nc, H, W] in [-1, 1], H and W multiples of 4; the full version takes
                img_size x img_size only.

        Returns:
            The pictures [N, output_nc, H, W] in [-1, 1], the auxiliary classifier's logits [N, 2],
            and where it looks, [N, 1, H / 4, W / 4], of any scale from 0 up.

        Raises:
            ConfigError: another size.
        """
        check_multiple(x, self.size_multiple, "ResnetUGATITGenerator")
        check_full_size(x, self)
        x = self.DownBlock(x)
        x, logits = attend(x, self.gap_fc, self.gmp_fc, self.conv1x1)
        x = F.relu(x)
        heatmap = x.sum(axis=1, keepdim=True)
        style = self.FC(pooled(x, self.light))
        gamma, beta = self.gamma(style), self.beta(style)
        for i in range(self.n_blocks):
            x = getattr(self, f"UpBlock1_{i + 1}")(x, gamma, beta)
        return self.UpBlock2(x), logits, heatmap


@DISCRIMINATORS.register()
class UGATITDiscriminator(nn.Layer):
    """A patch discriminator with spectral norm and attention.

    The paper uses two: a local one of 5 layers and a global one of 7, whose patches are larger.

    Args:
        input_nc: channels of the picture.
        ndf: channels after the first layer; they double from layer to layer.
        n_layers: layers, at least 3.
    """

    def __init__(self, input_nc: int, ndf: int = 64, n_layers: int = 5) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, ndf=ndf)
        check_at_least(3, n_layers=n_layers)
        layers: list[nn.Layer] = []
        widths = [input_nc, *(ndf * 2**i for i in range(n_layers - 1))]
        for i, (c_in, c_out) in enumerate(itertools.pairwise(widths)):
            stride = 1 if i == n_layers - 2 else 2
            layers += [
                ReflectionPad2D(1),
                spectral_norm(Conv2D(c_in, c_out, 4, stride=stride)),
                nn.LeakyReLU(0.2),
            ]
        wide = widths[-1]
        self.gap_fc, self.gmp_fc = (spectral_norm(linear(wide, 1)) for _ in range(2))
        self.conv1x1 = Conv2D(2 * wide, wide, 1)
        self.pad = ReflectionPad2D(1)
        self.conv = spectral_norm(Conv2D(wide, 1, 4, bias_attr=False))
        self.model = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> Outputs:
        """Score pictures.

        Args:
            x: [N, input_nc, H, W] in [-1, 1].

        Returns:
            Scores of patches [N, 1, H', W'], the auxiliary classifier's logits [N, 2], and where it
            looks, [N, 1, H'', W''].
        """
        x, logits = attend(self.model(x), self.gap_fc, self.gmp_fc, self.conv1x1)
        x = F.leaky_relu(x, 0.2)
        return self.conv(self.pad(x)), logits, x.sum(axis=1, keepdim=True)
