# SPDX-License-Identifier: Apache-2.0
"""SRGAN: super-resolution that is judged by a discriminator and by features.

Paper: Ledig et al. 2017, Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network (arXiv:1609.04802). PaddleGAN has no SRGAN: the paper decides. The first stage,
SRResNet, is `BaseSRModel` with `SRResNet` and MSELoss; the GAN stage, `SRGANModel`, starts from its
weights: `--load RUN/iter_N_weight.pdparams`.
Own changes: pictures are in [0, 1] on both sides (the paper's truth is in [-1, 1]), and the last
layer has no tanh; `norm_type: none` leaves batch norm out, as ESRGAN recommends.
"""

from __future__ import annotations

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.model import Logs
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D
from ppzoo.nn.init import bilinear_kernels, hand_through, start_at_zero
from ppzoo.registry import DISCRIMINATORS, GENERATORS, MODELS
from ppzoo.restoration.super_resolution import PerceptualModel

_SLOPE = 0.2


@GENERATORS.register()
class SRResNet(nn.Layer):
    """Enlarge pictures by residual blocks at the input's size, then by moving channels into pixels.

    Args:
        in_nc: channels of the input.
        out_nc: channels of the output.
        nf: channels between the blocks.
        nb: number of blocks; the paper has 16.
        scale: how much larger the output is, 2 or 4.
        norm_type: `batch`, as the paper has it, or `none`.
    """

    def __init__(
        self,
        in_nc: int = 3,
        out_nc: int = 3,
        nf: int = 64,
        nb: int = 16,
        scale: Literal[2, 4] = 4,
        norm_type: Literal["batch", "none"] = "batch",
    ) -> None:
        super().__init__()
        check_at_least(1, in_nc=in_nc, out_nc=out_nc, nf=nf, nb=nb)
        if scale not in (2, 4):
            raise ValueError(f"scale is {scale!r}, SRResNet enlarges by 2 or 4")
        if norm_type not in ("batch", "none"):
            raise ValueError(f"norm_type is {norm_type!r}, expected 'batch' or 'none'")
        self.scale = scale
        self.head = nn.Sequential(Conv2D(in_nc, nf, 9, padding=4), nn.PReLU())
        blocks = [_ResidualBlock(nf, norm_type) for _ in range(nb)]
        self.body = nn.Sequential(*blocks, *_conv_norm(nf, norm_type))
        tail: list[nn.Layer] = []
        for _ in range(scale.bit_length() - 1):
            tail += [Conv2D(nf, 4 * nf, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()]
        self.tail = nn.Sequential(*tail, Conv2D(nf, out_nc, 9, padding=4))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Enlarge pictures.

        Args:
            x: [N, in_nc, H, W] in [0, 1].

        Returns:
            [N, out_nc, H * scale, W * scale], about in [0, 1].
        """
        shallow = self.head(x)
        return self.tail(shallow + self.body(shallow))

    def start_as_bilinear(self) -> None:
        """Set the initial weights so that the network begins as bilinear enlargement.

        Raises:
            ConfigError: the output's channels are not the input's.
        """
        *tail, last = [layer for layer in self.tail if isinstance(layer, Conv2D)]
        channels = last.weight.shape[0]
        if self.head[0].weight.shape[1] != channels:
            raise ConfigError("model.start_as_bilinear: SRResNet needs out_nc equal to in_nc")
        start_at_zero(self.body[-1])
        start_at_zero(last)
        hand_through(self.head[0], channels)
        hand_through(last, channels)
        for conv in tail:
            hand_through(conv, channels, bilinear_kernels(2))


class _ResidualBlock(nn.Layer):
    """Two convolutions with a PReLU between them, beside the identity."""

    def __init__(self, channels: int, norm_type: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv_norm(channels, norm_type), nn.PReLU(), *_conv_norm(channels, norm_type)
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.body(x)


def _conv_norm(channels: int, norm_type: str) -> list[nn.Layer]:
    if norm_type == "none":
        return [Conv2D(channels, channels, 3, padding=1)]
    return [Conv2D(channels, channels, 3, padding=1, bias_attr=False), nn.BatchNorm2D(channels)]


@DISCRIMINATORS.register()
class SRGANDiscriminator(nn.Layer):
    """Halve a picture four times, then score what is left of it.

    Args:
        input_nc: channels of the picture.
        ndf: channels of the first layer; they double up to eight times that.
        size: side of the pictures, a multiple of 16; the paper's crops have 96.
    """

    def __init__(self, input_nc: int = 3, ndf: int = 64, size: int = 96) -> None:
        super().__init__()
        check_at_least(1, input_nc=input_nc, ndf=ndf, size=size)
        if size % 16:
            raise ValueError(f"size is {size}, expected a multiple of 16")
        self.input_nc = input_nc
        self.size = size
        layers: list[nn.Layer] = [Conv2D(input_nc, ndf, 3, padding=1), nn.LeakyReLU(_SLOPE)]
        width = ndf
        for outputs, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            layers += [
                Conv2D(width, ndf * outputs, 3, stride=stride, padding=1, bias_attr=False),
                nn.BatchNorm2D(ndf * outputs),
                nn.LeakyReLU(_SLOPE),
            ]
            width = ndf * outputs
        self.features = nn.Sequential(*layers)
        self.linear1 = nn.Linear(width * (size // 16) ** 2, 16 * ndf)
        self.linear2 = nn.Linear(16 * ndf, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Score pictures.

        Args:
            x: [N, input_nc, size, size].

        Returns:
            [N, 1], logits.

        Raises:
            ConfigError: another size.
        """
        if list(x.shape[1:]) != [self.input_nc, self.size, self.size]:
            raise ConfigError(
                f"SRGANDiscriminator scores pictures [{self.input_nc}, {self.size}, {self.size}], "
                f"got {list(x.shape[1:])}: make model.discriminator.size the side of the truth's "
                "crop (gt_patch_size)"
            )
        x = self.features(x).flatten(start_axis=1)
        return self.linear2(F.leaky_relu(self.linear1(x), _SLOPE))


@MODELS.register()
class SRGANModel(PerceptualModel):
    """A generator against a discriminator that scores each picture by itself.

    The paper's weights are 1 for features (VGG's, scaled by 0.006) and 0.001 for the GAN. See
    `PerceptualModel` for the arguments.
    """

    def g_adversarial(self, truth: paddle.Tensor, output: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of outputs that are not taken for real (equation 6)."""
        return self.gan_criterion(self.nets.discriminator(output), True)

    def d_loss(self, truth: paddle.Tensor, output: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the loss of a discriminator that tells the truth from outputs (equation 2)."""
        real = self.nets.discriminator(truth)  # [N, 1]
        fake = self.nets.discriminator(output)
        d_real = self.gan_criterion(real, True, is_disc=True, is_updating_D=True) * 0.5
        d_fake = self.gan_criterion(fake, False, is_disc=True, is_updating_D=True) * 0.5
        logs = {
            "l_d_real": d_real,
            "l_d_fake": d_fake,
            "out_d_real": real.mean(),
            "out_d_fake": fake.mean(),
        }
        return d_real + d_fake, logs
