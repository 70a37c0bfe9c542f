# SPDX-License-Identifier: Apache-2.0
"""The U-Net generator of pix2pix (Isola et al. 2017, arXiv:1611.07004)."""

from __future__ import annotations

import paddle
from paddle import nn

from ppzoo.nn.checks import check_at_least, check_multiple
from ppzoo.nn.conv import Conv2D, Conv2DTranspose
from ppzoo.nn.norm import NormType, build_norm_layer
from ppzoo.registry import GENERATORS


@GENERATORS.register()
class UnetGenerator(nn.Layer):
    """Halve the picture `num_downs` times, double it as often, and hand each size across.

    Args:
        input_nc: channels of the input.
        output_nc: channels of the output.
        num_downs: how often the picture is halved, at least 5; 8 brings 256 pixels down to 1.
        ngf: channels after the first layer; they double up to eight times that.
        norm_type: `batch` (by the statistics of the current batch in evaluation too, as the paper
            and PaddleGAN do), `instance` or `none`.
        use_dropout: drop half of the values in the inner layers in training.
    """

    def __init__(
        self,
        input_nc: int,
        output_nc: int,
        num_downs: int,
        ngf: int = 64,
        norm_type: NormType = "batch",
        use_dropout: bool = False,
    ) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, output_nc=output_nc, ngf=ngf)
        check_at_least(5, num_downs=num_downs)
        if norm_type == "spectral":
            raise ValueError("norm_type 'spectral' is for discriminators, UnetGenerator has none")
        self.size_multiple = 2**num_downs
        widths = [ngf * min(2**i, 8) for i in range(num_downs)]
        block: nn.Layer | None = None
        for depth in range(num_downs - 1, 0, -1):
            inner = depth < num_downs - 1
            block = _Level(
                widths[depth - 1],
                widths[depth],
                block,
                norm_type,
                use_dropout and inner and widths[depth - 1] == widths[depth],
            )
        self.model = _Outermost(input_nc, widths[0], output_nc, block, norm_type)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Translate pictures.

        Args:
            x: [N, input_nc, H, W] in [-1, 1], H and W multiples of 2 ** num_downs.

        Returns:
            [N, output_nc, H, W] in [-1, 1].

        Raises:
            ConfigError: another size.
        """
        check_multiple(x, self.size_multiple, "UnetGenerator")
        return self.model(x)

    def layers_as_made(self) -> list[nn.Layer | type[nn.Layer]]:
        """Return the layers in the order in which PaddleGAN makes them, which names parameters.

        It begins inside, and makes two norms a level; one that it does not use is a class here.
        """
        levels: list[nn.Layer] = []
        inside: nn.Layer | None = self.model
        while inside is not None:
            levels.append(inside)
            inside = next((part for part in inside.model if isinstance(part, _Level)), None)
        kinds = nn.BatchNorm2D | nn.InstanceNorm2D
        norm = next((type(part) for part in levels[-1].model if isinstance(part, kinds)), None)
        made: list[nn.Layer | type[nn.Layer]] = []
        for level in reversed(levels):
            parts = [part for part in level.model if not isinstance(part, _Level)]
            norms = sum(isinstance(part, kinds) for part in parts)
            made += [norm] * (2 - norms if norm is not None else 0)
            made += parts
        return made


def _bias(norm_type: NormType) -> bool | None:
    # PaddleGAN's frozen instance norm leaves the bias in front of it, its other norms do not.
    return None if norm_type == "instance" else False


class _Outermost(nn.Layer):
    """The first halving and the last doubling, without a skip connection."""

    def __init__(
        self, input_nc: int, width: int, output_nc: int, inside: nn.Layer, norm_type: NormType
    ) -> None:
        super().__init__()
        self.model = nn.Sequential(
            Conv2D(input_nc, width, 4, stride=2, padding=1, bias_attr=_bias(norm_type)),
            inside,
            nn.ReLU(),
            Conv2DTranspose(2 * width, output_nc, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.model(x)


class _Level(nn.Layer):
    """Halve, go deeper, double; returns the input beside the result.

    Args:
        outer: channels of the input.
        inner: channels at half the size.
        inside: the level below, None for the deepest.
        norm_type: see `UnetGenerator`.
        dropout: whether to drop half of the result in training.
    """

    def __init__(
        self, outer: int, inner: int, inside: nn.Layer | None, norm_type: NormType, dropout: bool
    ) -> None:
        super().__init__()
        norm, bias = build_norm_layer(norm_type), _bias(norm_type)
        layers = [
            nn.LeakyReLU(0.2),
            Conv2D(outer, inner, 4, stride=2, padding=1, bias_attr=bias),
        ]
        if inside is not None:
            layers += [norm(inner), inside]
        arriving = inner if inside is None else 2 * inner
        layers += [
            nn.ReLU(),
            Conv2DTranspose(arriving, outer, 4, stride=2, padding=1, bias_attr=bias),
            norm(outer),
        ]
        if dropout:
            layers.append(nn.Dropout(0.5))
        self.model = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat([x, self.model(x)], axis=1)
