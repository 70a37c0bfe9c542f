# SPDX-License-Identifier: Apache-2.0
"""ESRGAN: super-resolution by dense blocks, first near the truth, then convincing.

Paper: Wang et al. 2018, ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks
(arXiv:1809.00219). The PSNR stage (`BaseSRModel`, L1) comes first; the GAN stage (`ESRGAN`) starts
from its weights: `--load RUN/iter_N_weight.pdparams`.
Networks: `RRDBNet` in ppzoo/networks/rrdb.py, `VGGDiscriminator128` in
ppzoo/networks/vgg_discriminator.py. State-dict keys and training equal PaddleGAN's; unlike there,
a config may leave any of the losses out.
RealSR (Ji et al. 2020, Real-World Super-Resolution via Kernel Estimation and Noise Injection,
CVPR Workshops) is the same training on pictures that were degraded as real ones are: see
ppzoo/data/degradation.py and configs/realsr_*.yaml.
"""

from __future__ import annotations

import paddle

from ppzoo.model import Criterion, Generator, Logs
from ppzoo.registry import MODELS
from ppzoo.restoration.super_resolution import PerceptualModel, SuperResolutionModel


@MODELS.register()
class BaseSRModel(SuperResolutionModel):
    """A generator trained by the distance of values alone: ESRGAN's PSNR stage.

    Args:
        generator: maps pictures [N, C, h, w] to [N, C, h * scale, w * scale].
        pixel_criterion: distance of the output to the truth.
        use_init_weight: see `SuperResolutionModel`.
        start_as_bilinear: see `SuperResolutionModel`.
        to_static: accepted for PaddleGAN's configs; training runs eagerly.
        image_shape: accepted for PaddleGAN's configs.
    """

    def __init__(
        self,
        generator: Generator,
        pixel_criterion: Criterion | None = None,
        use_init_weight: bool = False,
        start_as_bilinear: bool = False,
        to_static: bool = False,
        image_shape: list[int] | None = None,
    ) -> None:
        super().__init__(generator, pixel_criterion, use_init_weight, start_as_bilinear)


@MODELS.register()
class ESRGAN(PerceptualModel):
    """A generator against a relativistic discriminator, which scores a picture against the others.

    See `PerceptualModel` for the arguments.
    """

    def g_adversarial(self, truth: paddle.Tensor, output: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of outputs that seem less real than the truth (equation 2)."""
        scorer = self.nets.discriminator
        with paddle.no_grad():
            real = scorer(truth)  # [N, 1]
        fake = scorer(output)
        less_real = self.gan_criterion(real - fake.mean(), False, is_disc=False)
        more_real = self.gan_criterion(fake - real.mean(), True, is_disc=False)
        return (less_real + more_real) / 2

    def d_loss(self, truth: paddle.Tensor, output: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the loss of a discriminator that finds the truth more real (equation 1)."""
        scorer = self.nets.discriminator
        # Twice the same scores, each with its own step of batch norm's running statistics: these
        # are part of the checkpoint and equal PaddleGAN's.
        with paddle.no_grad():
            fake = scorer(output)
        real = scorer(truth)
        d_real = self.gan_criterion(real - fake.mean(), True, is_disc=True) * 0.5
        fake = scorer(output)
        d_fake = self.gan_criterion(fake - real.detach().mean(), False, is_disc=True) * 0.5
        logs = {
            "l_d_real": d_real,
            "l_d_fake": d_fake,
            "out_d_real": real.mean(),
            "out_d_fake": fake.mean(),
        }
        return d_real + d_fake, logs
