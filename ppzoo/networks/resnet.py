# SPDX-License-Identifier: Apache-2.0
"""The residual generator of CycleGAN (Johnson et al. 2016, arXiv:1603.08155), and its blocks."""

from __future__ import annotations

from typing import Any, Literal

import paddle
from paddle import nn

from ppzoo.nn.checks import check_at_least, check_multiple
from ppzoo.nn.conv import Conv2D, Conv2DTranspose
from ppzoo.nn.norm import NormType, build_norm_layer
from ppzoo.nn.padding import ReflectionPad2D
from ppzoo.registry import GENERATORS

PaddingType = Literal["reflect", "replicate", "zero"]


@GENERATORS.register()
class ResnetGenerator(nn.Layer):
    """Two halvings, residual blocks, two doublings.

    Args:
        input_nc: channels of the input.
        output_nc: channels of the output.
        ngf: channels after the first layer.
        norm_type: `instance`, `batch` (by the statistics of the current batch in evaluation too) or
            `none`.
        use_dropout: drop half of the values inside the blocks in training.
        n_blocks: residual blocks; the paper has 6 for 128 pixels and 9 for 256.
        padding_type: how the blocks continue the picture at its borders.
    """

    size_multiple = 4

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm_type: NormType = "instance",
        use_dropout: bool = False,
        n_blocks: int = 6,
        padding_type: PaddingType = "reflect",
    ) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, output_nc=output_nc, ngf=ngf)
        check_at_least(0, n_blocks=n_blocks)
        if norm_type == "spectral":
            raise ValueError("norm_type 'spectral' is for discriminators, ResnetGenerator has none")
        norm = build_norm_layer(norm_type)
        # PaddleGAN's frozen instance norm leaves the bias in front of it, its other norms do not.
        bias = None if norm_type == "instance" else False

        layers: list[nn.Layer] = [
            ReflectionPad2D(3),
            Conv2D(input_nc, ngf, 7, bias_attr=bias),
            norm(ngf),
            nn.ReLU(),
        ]
        for width in (ngf, 2 * ngf):
            layers += [
                Conv2D(width, 2 * width, 3, stride=2, padding=1, bias_attr=bias),
                norm(2 * width),
                nn.ReLU(),
            ]
        layers += [
            ResnetBlock(4 * ngf, norm, bias, use_dropout, padding_type) for _ in range(n_blocks)
        ]
        for width in (4 * ngf, 2 * ngf):
            layers += [
                Conv2DTranspose(
                    width, width // 2, 3, stride=2, padding=1, output_padding=1, bias_attr=bias
                ),
                norm(width // 2),
                nn.ReLU(),
            ]
        layers += [ReflectionPad2D(3), Conv2D(ngf, output_nc, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Translate pictures.

        Args:
            x: [N, input_nc, H, W] in [-1, 1], H and W multiples of 4.

        Returns:
            [N, output_nc, H, W] in [-1, 1].

        Raises:
            ConfigError: another size.
        """
        check_multiple(x, self.size_multiple, "ResnetGenerator")
        return self.model(x)


class ResnetBlock(nn.Layer):
    """Two 3 x 3 convolutions whose result is added to the input.

    Args:
        channels: of input and output.
        norm: makes a normalisation layer from a number of channels.
        bias_attr: of the convolutions; False for none.
        use_dropout: drop half of the values between the two in training.
        padding_type: how the picture goes on at its borders.
    """

    def __init__(
        self,
        channels: int,
        norm: Any,
        bias_attr: Any = False,
        use_dropout: bool = False,
        padding_type: PaddingType = "reflect",
    ) -> None:
        super().__init__()
        if padding_type not in ("reflect", "replicate", "zero"):
            raise ValueError(
                f"padding_type is {padding_type!r}, expected 'reflect', 'replicate' or 'zero'"
            )
        layers: list[nn.Layer] = []
        for last in (False, True):
            if padding_type != "zero":
                layers.append(
                    ReflectionPad2D(1)
                    if padding_type == "reflect"
                    else nn.Pad2D(1, mode=padding_type)
                )
            layers += [
                Conv2D(
                    channels, channels, 3, padding=int(padding_type == "zero"), bias_attr=bias_attr
                ),
                norm(channels),
            ]
            if not last:
                layers.append(nn.ReLU())
                if use_dropout:
                    layers.append(nn.Dropout(0.5))
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Return `x` [N, channels, H, W] plus what the convolutions make of it."""
        return x + self.conv_block(x)
