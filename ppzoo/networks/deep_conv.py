# SPDX-License-Identifier: Apache-2.0
"""Generators of upsampling and convolution, without transposed convolutions.

Shared by WGAN, WGAN-GP and the conditional GAN; the reading of DCGAN (Radford et al. 2016,
arXiv:1511.06434) that PaddleGAN uses for 28 x 28 digits.
"""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.networks.latent import LatentGenerator
from ppzoo.nn.checks import check_at_least
from ppzoo.nn.conv import Conv2D, UpsampleConv2D
from ppzoo.registry import GENERATORS


@GENERATORS.register()
class DeepConvGenerator(LatentGenerator):
    """A linear layer to a quarter of the size, then twice nearest upsampling and convolution.

    The inner batch norms keep 0.2 of their running statistics at each step (PaddleGAN's value).

    Args:
        latent_dim: length of a latent, drawn from N(0, 1).
        output_nc: channels of the picture.
        size: its height and width, a multiple of 4.
        ngf: channels before the last convolution.
    """

    def __init__(self, latent_dim: int, output_nc: int, size: int = 64, ngf: int = 64) -> None:
        super().__init__()
        check_at_least(1, latent_dim=latent_dim, output_nc=output_nc, ngf=ngf)
        if size < 4 or size % 4:
            raise ValueError(f"size is {size}, expected a multiple of 4")
        self.latent_shape = (latent_dim,)
        self.ngf = ngf
        self.init_size = size // 4
        self.l1 = nn.Sequential(nn.Linear(latent_dim, 2 * ngf * self.init_size**2))
        self.conv_blocks = nn.Sequential(
            nn.BatchNorm2D(2 * ngf),
            nn.Identity(),  # keeps the numbers of the layers that PaddleGAN's weights have
            UpsampleConv2D(2 * ngf, 2 * ngf),
            nn.BatchNorm2D(2 * ngf, momentum=0.2),
            nn.LeakyReLU(0.2),
            nn.Identity(),
            UpsampleConv2D(2 * ngf, ngf),
            nn.BatchNorm2D(ngf, momentum=0.2),
            nn.LeakyReLU(0.2),
            Conv2D(ngf, output_nc, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: paddle.Tensor) -> paddle.Tensor:
        """Map latents [N, latent_dim] to pictures [N, output_nc, size, size] in [-1, 1]."""
        x = self.l1(z)
        x = x.reshape(
            [z.shape[0], 2 * self.ngf, self.init_size, self.init_size]
        )  # [N, C, s/4, s/4]
        return self.conv_blocks(x)


@GENERATORS.register()
class ConditionalDeepConvGenerator(DeepConvGenerator):
    """A `DeepConvGenerator` that takes the class as a one-hot vector behind the latent.

    Mirza & Osindero 2014 (arXiv:1411.1784).

    Args:
        latent_dim, output_nc, size, ngf: as in `DeepConvGenerator`.
        n_class: number of classes.
    """

    def __init__(
        self, latent_dim: int, output_nc: int, n_class: int = 10, size: int = 64, ngf: int = 64
    ) -> None:
        check_at_least(1, latent_dim=latent_dim, n_class=n_class)
        super().__init__(latent_dim + n_class, output_nc, size, ngf)
        self.latent_shape = (latent_dim,)
        self.n_class = n_class

    def forward(self, z: paddle.Tensor, class_id: paddle.Tensor) -> paddle.Tensor:
        """Map latents [N, latent_dim] and classes [N], taken modulo `n_class`, to pictures."""
        one_hot = F.one_hot(class_id % self.n_class, self.n_class).astype(z.dtype)  # [N, n_class]
        return super().forward(paddle.concat([z, one_hot.reshape([z.shape[0], -1])], axis=1))
