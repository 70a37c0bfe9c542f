# SPDX-License-Identifier: Apache-2.0
"""DCGAN and LSGAN: convolutional generator and discriminator for 64 x 64 pictures.

Papers: Radford, Metz & Chintala 2016 (arXiv:1511.06434); LSGAN is the same with a least-squares
loss (`gan_mode: lsgan`), Mao et al. 2017 (arXiv:1611.04076).
Networks, state-dict keys and training equal PaddleGAN's: latents are uniform in [0, 1) where the
paper has [-1, 1), and `norm_type` offers more than batch norm.
Own changes: see tests/golden/DEVIATIONS.md.
"""

from __future__ import annotations

import paddle
from paddle import nn

from ppzoo.gan.adversarial import AdversarialModel
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs
from ppzoo.networks.latent import LatentGenerator
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D, Conv2DTranspose
from ppzoo.nn.norm import NormType, build_norm_layer
from ppzoo.registry import DISCRIMINATORS, GENERATORS, MODELS


def _norm(norm_type: NormType, channels: int) -> nn.Layer:
    # Ordinary batch norm here: running statistics in evaluation, unlike `norm_type: batch` of the
    # other networks.
    if norm_type == "batch":
        return nn.BatchNorm2D(channels)
    return build_norm_layer(norm_type)(channels)


@GENERATORS.register()
class DCGenerator(LatentGenerator):
    """Transposed convolutions from a latent to a 64 x 64 picture, without biases.

    Args:
        input_nz: length of a latent, drawn uniformly from [0, 1).
        input_nc: channels of the training pictures; unused, PaddleGAN's configs have it.
        output_nc: channels of the pictures.
        ngf: channels before the last layer.
        norm_type: `batch`, `instance` or `none`.
        padding_type: unused, PaddleGAN's configs may have it.
    """

    latent_distribution = "uniform"

    def __init__(
        self,
        input_nz: int,
        input_nc: int,
        output_nc: int,
        ngf: int = 64,
        norm_type: NormType = "batch",
        padding_type: str = "reflect",
    ) -> None:
        super().__init__()
        if norm_type == "spectral":
            raise ValueError(
                "norm_type 'spectral' is for discriminators; DCGenerator has none of it"
            )
        check_at_least(1, input_nz=input_nz, output_nc=output_nc, ngf=ngf)
        self.latent_shape = (input_nz, 1, 1)
        layers: list[nn.Layer] = []
        channels = input_nz
        for i, width in enumerate((8 * ngf, 4 * ngf, 2 * ngf, ngf)):  # 4, 8, 16, 32 pixels
            stride, padding = (1, 0) if i == 0 else (2, 1)
            layers += [
                Conv2DTranspose(
                    channels, width, 4, stride=stride, padding=padding, bias_attr=False
                ),
                _norm(norm_type, width),
                nn.ReLU(),
            ]
            channels = width
        layers += [
            Conv2DTranspose(channels, output_nc, 4, stride=2, padding=1, bias_attr=False),
            nn.Tanh(),
        ]
        self.model = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Map latents [N, input_nz, 1, 1] to pictures [N, output_nc, 64, 64] in [-1, 1]."""
        return self.model(x)


@DISCRIMINATORS.register()
class DCDiscriminator(nn.Layer):
    """Strided convolutions from a 64 x 64 picture to one score.

    Args:
        input_nc: channels of the picture.
        ndf: channels after the first layer.
        norm_type: `batch`, `instance` or `none`.
    """

    def __init__(self, input_nc: int, ndf: int = 64, norm_type: NormType = "instance") -> None:
        super().__init__()
        if norm_type == "spectral":
            raise ValueError("DCDiscriminator takes norm_type 'batch', 'instance' or 'none'")
        check_at_least(1, input_nc=input_nc, ndf=ndf)
        layers: list[nn.Layer] = [
            Conv2D(input_nc, ndf, 4, stride=2, padding=1, bias_attr=False),
            nn.LeakyReLU(0.2),
        ]
        for width in (ndf, 2 * ndf, 4 * ndf):
            layers += [
                # PaddleGAN's layout: biases before batch norm only, where they are idle.
                Conv2D(
                    width,
                    2 * width,
                    4,
                    stride=2,
                    padding=1,
                    bias_attr=None if norm_type == "batch" else False,
                ),
                _norm(norm_type, 2 * width),
                nn.LeakyReLU(0.2),
            ]
        layers.append(Conv2D(8 * ndf, 1, 4))
        self.model = nn.Sequential(*layers)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Score pictures [N, input_nc, 64, 64]; returns [N, 1, 1, 1]."""
        return self.model(x)


@MODELS.register()
class DCGANModel(AdversarialModel):
    """DCGAN, or LSGAN with `gan_mode: lsgan`: one step of each network an iteration.

    Args:
        generator: usually a `DCGenerator`.
        discriminator: usually a `DCDiscriminator`.
        gan_criterion: the adversarial loss.
    """

    WEIGHT_ON_DISCRIMINATOR = True
    AVERAGED_MODES = ("vanilla", "lsgan", "wgan", "wgangp", "hinge", "logistic")

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        gan_criterion: Criterion | None = None,
    ) -> None:
        super().__init__(generator, discriminator, gan_criterion)

    def train_step(self, batch: Batch) -> Logs:
        """Update the discriminator, then the generator, from `img` [N, C, 64, 64] in [-1, 1]."""
        real = self.real_inputs(batch)
        inputs = self.nets.netG.random_inputs(real[0].shape[0])
        with self.precision.autocast():
            fake = self.nets.netG(*inputs)  # [N, C, 64, 64] in [-1, 1]
        classes = inputs[1:]
        logs = self.update("optimizer_D", self.d_loss, real, [fake.detach(), *classes])
        return logs | self.update("optimizer_G", self.g_loss, [fake, *classes], frozen=["netD"])
