# SPDX-License-Identifier: Apache-2.0
"""pix2pix: translation learned from pairs of pictures.

Paper: Isola, Zhu, Zhou & Efros 2017, Image-to-Image Translation with Conditional Adversarial
Networks (arXiv:1611.07004).
Networks: `UnetGenerator` in ppzoo/networks/unet.py, `NLayerDiscriminator` in
ppzoo/networks/patch_discriminator.py. State-dict keys and training equal PaddleGAN's; unlike the
paper, dropout is off when a trained network is used.
Own changes: see tests/golden/DEVIATIONS.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import paddle

from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs, Model
from ppzoo.nn.init import init_weights
from ppzoo.registry import MODELS
from ppzoo.translation.direction import Direction, check_direction, pictures_of


@MODELS.register()
class Pix2PixModel(Model):
    """A generator `netG`, and a discriminator `netD` that sees the input beside the output.

    Args:
        generator: maps pictures [N, C, H, W] in [-1, 1] to pictures of the same size.
        discriminator: scores input and output, concatenated over channels; may be absent in a
            model that only translates.
        pixel_criterion: distance of the output to the true one; the paper's is L1, weight 100.
        gan_criterion: the adversarial loss.
        direction: `a2b` or `AtoB` translates A into B, `b2a` or `BtoA` B into A.
        to_static: accepted for PaddleGAN's configs; training runs eagerly.
        image_shape: accepted for PaddleGAN's configs.

    Raises:
        ConfigError: another direction.
    """

    NETS = ("netG", "netD")
    OPTIMIZERS = ("optimG", "optimD")

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        pixel_criterion: Criterion | None = None,
        gan_criterion: Criterion | None = None,
        direction: Direction = "a2b",
        to_static: bool = False,
        image_shape: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.a_to_b = check_direction(direction)
        self.nets["netG"] = init_weights(generator)
        if discriminator is not None:
            self.nets["netD"] = init_weights(discriminator)
        self.pixel_criterion = pixel_criterion
        self.gan_criterion = gan_criterion

    def train_step(self, batch: Batch) -> Logs:
        """Update the discriminator, then the generator, from `A` and `B` [N, C, H, W]."""
        source, target = pictures_of(batch, self.a_to_b, type(self).__name__)
        with self.precision.autocast():
            fake = self.nets.netG(source)  # [N, C, H, W] in [-1, 1]
        logs = self.update("optimD", self.d_loss, source, target, fake.detach())
        return logs | self.update("optimG", self.g_loss, source, target, fake, frozen=["netD"])

    def d_loss(
        self, source: paddle.Tensor, target: paddle.Tensor, fake: paddle.Tensor
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the discriminator's loss on generated pairs, detached, and on real ones."""
        if self.gan_criterion is None:
            raise ConfigError("model.gan_criterion is missing: name the GANLoss to train with")
        if fake.shape != target.shape:
            raise ConfigError(
                f"model.generator makes pictures of shape {list(fake.shape[1:])} and the dataset "
                f"has {list(target.shape[1:])}: make their channels and sizes equal"
            )
        d_fake = self.gan_criterion(self.score(source, fake), False, is_updating_D=True)
        d_real = self.gan_criterion(self.score(source, target), True, is_updating_D=True)
        return (d_fake + d_real) * 0.5, {"D_fake_loss": d_fake, "D_real_loss": d_real}

    def g_loss(
        self, source: paddle.Tensor, target: paddle.Tensor, fake: paddle.Tensor
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the generator's loss: fool the discriminator, and stay close to the truth."""
        g_adv = self.gan_criterion(self.score(source, fake), True)
        total, logs = g_adv, {"G_adv_loss": g_adv}
        if self.pixel_criterion is not None:
            g_l1 = self.pixel_criterion(fake, target)
            total, logs = total + g_l1, logs | {"G_L1_loss": g_l1}
        return total, logs

    def score(self, source: paddle.Tensor, output: paddle.Tensor) -> paddle.Tensor:
        """Return the discriminator's scores of an output, given its input."""
        return self.nets.netD(paddle.concat([source, output], axis=1))

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the translation `fake`, the truth `real` and the input `source`, in [-1, 1]."""
        source, target = pictures_of(batch, self.a_to_b, type(self).__name__)
        with self.evaluating():
            return {"fake": self.nets.netG(source), "real": target, "source": source}

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return input, translation and truth."""
        return self.eval_visuals(batch, self.eval_step(batch))

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return input, translation and truth."""
        return {
            "real_A": outputs["source"],
            "fake_B": outputs["fake"],
            "real_B": outputs["real"],
        }
