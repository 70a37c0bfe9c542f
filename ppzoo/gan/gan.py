# SPDX-License-Identifier: Apache-2.0
"""WGAN, WGAN-GP and the conditional GAN: one model, told apart by its loss and its networks.

Papers: GAN, Goodfellow et al. 2014 (arXiv:1406.2661); conditional GAN, Mirza & Osindero 2014
(arXiv:1411.1784); WGAN, Arjovsky, Chintala & Bottou 2017 (arXiv:1701.07875); WGAN-GP, Gulrajani
et al. 2017 (arXiv:1704.00028).
Networks are in `ppzoo/networks/deep_conv.py` and `patch_discriminator.py`.
Own changes against PaddleGAN: weight clipping spares frozen norm scales, `wgangp` has its penalty,
a final sigmoid is not applied twice; see tests/golden/DEVIATIONS.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import paddle

from ppzoo.errors import ConfigError
from ppzoo.gan.adversarial import AdversarialModel
from ppzoo.losses.gan import GradientPenalty
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs
from ppzoo.registry import MODELS, suggest

PARAMS = {
    "disc_iters": 1,
    "disc_start_iters": 0,
    "samples_every_row": 8,
    "visual_interval": 500,
    "clip_limit": 0.01,
}


@MODELS.register()
class GANModel(AdversarialModel):
    """A GAN whose critic may take several steps for each of the generator.

    Every iteration updates the discriminator; the generator follows in iterations that
    `disc_iters` divides, iteration 0 excepted.

    Args:
        generator: a generator, conditional if it has classes.
        discriminator: scores pictures, given their classes if conditional.
        gan_criterion: the adversarial loss. Mode `wgan` clips the critic's weights after each of
            its steps; mode `wgangp` adds a gradient penalty.
        params: `disc_iters` (discriminator steps for one of the generator), `disc_start_iters`
            (iterations before the generator's first), `clip_limit` (of `wgan`'s weights);
            `samples_every_row` and `visual_interval` of PaddleGAN's configs have no effect.
        gp_criterion: the gradient penalty of mode `wgangp`, by default with the paper's weight 10.

    Raises:
        ConfigError: an unknown key in `params`.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        gan_criterion: Criterion | None = None,
        params: dict[str, Any] | None = None,
        gp_criterion: Criterion | None = None,
    ) -> None:
        super().__init__(generator, discriminator, gan_criterion)
        for key in params or {}:
            if key not in PARAMS:
                raise ConfigError(f"model.params has no key {key!r}{suggest(key, PARAMS)}")
        params = PARAMS | (params or {})
        self.disc_iters = int(params["disc_iters"])
        self.disc_start_iters = int(params["disc_start_iters"])
        self.clip_limit = float(params["clip_limit"])
        if self.disc_iters < 1:
            raise ConfigError(f"model.params.disc_iters is {self.disc_iters}, expected at least 1")
        if gan_criterion is not None and gan_criterion.gan_mode == "wgangp":
            gp_criterion = gp_criterion or GradientPenalty(loss_weight=10.0)
        self.gp_criterion = gp_criterion

    def train_step(self, batch: Batch) -> Logs:
        """Update the critic, and the generator when it is its turn, from `img` in [-1, 1]."""
        real = self.real_inputs(batch)
        inputs = self.nets.netG.random_inputs(real[0].shape[0])
        generator_too = (
            self.iteration > self.disc_start_iters and self.iteration % self.disc_iters == 0
        )
        with self.precision.autocast(), paddle.set_grad_enabled(generator_too):
            fake = self.nets.netG(*inputs)
        classes = inputs[1:]
        logs = self.update("optimizer_D", self.d_loss, real, [fake.detach(), *classes])
        if self.gan_criterion.gan_mode == "wgan":
            self.clip_weights()
        if generator_too:
            logs |= self.update("optimizer_G", self.g_loss, [fake, *classes], frozen=["netD"])
        return logs

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return samples and true pictures."""
        return {"fake_imgs": outputs["fake"], "real_imgs": outputs["real"]}

    def d_loss(
        self, real: list[paddle.Tensor], fake: list[paddle.Tensor]
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the critic's loss, with its gradient penalty if there is one."""
        total, logs = super().d_loss(real, fake)
        if self.gp_criterion is not None:
            penalty = self.gp_criterion(lambda x: self.score(x, real[1:]), real[0], fake[0])
            total = total + penalty
            logs["D_gp_loss"] = penalty
        return total, logs

    @paddle.no_grad()
    def clip_weights(self) -> None:
        """Clip the critic's trained weights, which keeps it Lipschitz (WGAN, algorithm 1)."""
        for parameter in self.nets.netD.parameters():
            if not parameter.stop_gradient:
                parameter.set_value(parameter.clip(-self.clip_limit, self.clip_limit))
