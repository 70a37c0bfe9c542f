# SPDX-License-Identifier: Apache-2.0
"""What the models of this folder share: two networks, their losses, and looking at samples."""

from __future__ import annotations

import numpy as np
import paddle

from ppzoo.model import Batch, Logs, Model
from ppzoo.networks.latent import LatentGenerator
from ppzoo.nn.init import init_weights

SAMPLES_EVERY_ROW = 8


class AdversarialModel(Model):
    """A generator `netG` against a discriminator `netD`.

    Args:
        generator: makes pictures in [-1, 1] from latents, and from classes if conditional.
        discriminator: scores pictures, given their classes if conditional; may be absent in a
            model that only samples.
        gan_criterion: the adversarial loss.
    """

    NETS = ("netG", "netD")
    OPTIMIZERS = ("optimizer_G", "optimizer_D")
    # Whether the criterion's loss_weight also scales the discriminator's loss.
    WEIGHT_ON_DISCRIMINATOR = False
    # Loss modes whose real and fake terms are averaged; those of other modes are added.
    AVERAGED_MODES: tuple[str, ...] = ("vanilla", "lsgan")

    def __init__(
        self,
        generator: LatentGenerator,
        discriminator: paddle.nn.Layer | None = None,
        gan_criterion: paddle.nn.Layer | None = None,
    ) -> None:
        super().__init__()
        self.nets["netG"] = init_weights(generator)
        if discriminator is not None:
            self.nets["netD"] = init_weights(discriminator)
        self.gan_criterion = gan_criterion

    def score(self, images: paddle.Tensor, classes: list[paddle.Tensor]) -> paddle.Tensor:
        """Return the discriminator's scores of pictures [N, C, H, W] in [-1, 1].

        A loss that takes logits gets them from a discriminator that ends in a sigmoid, too.
        """
        net = self.nets.netD
        takes_logits = self.gan_criterion.gan_mode in ("vanilla", "logistic", "hinge")
        if takes_logits and getattr(net, "use_sigmoid", False):
            return net.logits(images, *classes)
        return net(images, *classes)

    def d_loss(
        self, real: list[paddle.Tensor], fake: list[paddle.Tensor]
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the discriminator's loss.

        Args:
            real: real pictures [N, C, H, W] in [-1, 1], and their classes [N] if conditional.
            fake: generated ones, detached, and the classes that they were generated for.
        """
        options = {"is_disc": not self.WEIGHT_ON_DISCRIMINATOR, "is_updating_D": True}
        d_fake = self.gan_criterion(self.score(fake[0], fake[1:]), False, **options)
        d_real = self.gan_criterion(self.score(real[0], real[1:]), True, **options)
        averaged = self.gan_criterion.gan_mode in self.AVERAGED_MODES
        total = (d_fake + d_real) * (0.5 if averaged else 1.0)
        return total, {"D_fake_loss": d_fake, "D_real_loss": d_real}

    def g_loss(self, fake: list[paddle.Tensor]) -> tuple[paddle.Tensor, Logs]:
        """Return the generator's loss from generated pictures and their classes."""
        g_adv = self.gan_criterion(self.score(fake[0], fake[1:]), True)
        return g_adv, {"G_adv_loss": g_adv}

    def real_inputs(self, batch: Batch) -> list[paddle.Tensor]:
        """Return the pictures of a batch, and their classes if the generator is conditional."""
        if not self.nets.netG.n_class:
            return [batch["img"]]
        return [batch["img"], batch["class_id"].reshape([-1])]

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return as many samples as the batch holds, `fake`, beside its pictures, `real`.

        Both are [N, C, H, W] in [-1, 1]; `fake_class` and `real_class` [N] if conditional.
        """
        with self.evaluating():
            inputs = self.nets.netG.random_inputs(batch["img"].shape[0])
            outputs = {"fake": self.nets.netG(*inputs), "real": batch["img"]}
        if self.nets.netG.n_class:
            outputs["fake_class"], outputs["real_class"] = (
                inputs[1],
                batch["class_id"].reshape([-1]),
            )
        return outputs

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return samples from latents that stay the same through training, and real pictures."""
        generator = self.nets.netG
        num = SAMPLES_EVERY_ROW**2
        with self.evaluating():
            if generator.n_class:
                # One class a column, as many columns as classes.
                columns = np.arange(num) % SAMPLES_EVERY_ROW % generator.n_class
                samples = generator.sample(num, seed=0, class_id=[int(c) for c in columns])
            else:
                samples = generator.sample(num, seed=0)
        return {"fixed_generated_imgs": samples, "real_imgs": batch["img"][:num]}
