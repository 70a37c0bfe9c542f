# SPDX-License-Identifier: Apache-2.0
"""CycleGAN: translation learned from two unpaired sets of pictures.

Paper: Zhu, Park, Isola & Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks (arXiv:1703.10593).
Networks: `ResnetGenerator` in ppzoo/networks/resnet.py, `NLayerDiscriminator` in
ppzoo/networks/patch_discriminator.py. State-dict keys and training equal PaddleGAN's: generators
are updated before discriminators.
Own changes: see tests/golden/DEVIATIONS.md.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import paddle

from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs, Model
from ppzoo.nn.init import init_weights
from ppzoo.registry import MODELS
from ppzoo.translation.direction import Direction, check_direction, pictures_of
from ppzoo.translation.image_pool import ImagePool


@MODELS.register()
class CycleGANModel(Model):
    """Generators both ways, `netG_A` (A to B) and `netG_B`, and a discriminator of each result.

    `netD_A` judges pictures of B, those that `netG_A` makes; `netD_B` those of A.

    Args:
        generator: maps pictures [N, C, H, W] in [-1, 1] to the other domain; built twice.
        discriminator: scores pictures; built twice. May be absent in a model that only translates.
        cycle_criterion: distance of a picture to itself after both translations.
        idt_criterion: distance of a picture to its translation into the domain that it is of; None
            for none. Its `loss_weight` is relative to `lambda_a` and `lambda_b`.
        gan_criterion: the adversarial loss.
        pool_size: generated pictures kept to train the discriminators with.
        direction: `a2b` or `AtoB`; `b2a` or `BtoA` exchanges the domains of the dataset.
        lambda_a: weight of the cycle from A back to A.
        lambda_b: weight of the cycle from B back to B.
        to_static: accepted for PaddleGAN's configs; training runs eagerly.
        image_shape: accepted for PaddleGAN's configs.

    Raises:
        ConfigError: another direction.
    """

    NETS = ("netG_A", "netG_B", "netD_A", "netD_B")
    OPTIMIZERS = ("optimG", "optimD")

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        cycle_criterion: Criterion | None = None,
        idt_criterion: Criterion | None = None,
        gan_criterion: Criterion | None = None,
        pool_size: int = 50,
        direction: Direction = "a2b",
        lambda_a: float = 10.0,
        lambda_b: float = 10.0,
        to_static: bool = False,
        image_shape: list[int] | None = None,
    ) -> None:
        super().__init__()
        self.a_to_b = check_direction(direction)
        self.nets["netG_A"] = init_weights(generator)
        self.nets["netG_B"] = init_weights(copy.deepcopy(generator))
        if discriminator is not None:
            self.nets["netD_A"] = init_weights(discriminator)
            self.nets["netD_B"] = init_weights(copy.deepcopy(discriminator))
        self.cycle_criterion = cycle_criterion
        self.idt_criterion = idt_criterion
        self.gan_criterion = gan_criterion
        self.lambda_a, self.lambda_b = lambda_a, lambda_b
        self.fake_a_pool, self.fake_b_pool = ImagePool(pool_size), ImagePool(pool_size)

    def train_step(self, batch: Batch) -> Logs:
        """Update the generators, then the discriminators, from `A` and `B` [N, C, H, W]."""
        real_a, real_b = pictures_of(batch, self.a_to_b, type(self).__name__)
        if self.gan_criterion is None or self.cycle_criterion is None:
            raise ConfigError(
                "CycleGANModel trains with model.gan_criterion and model.cycle_criterion, and the "
                "config lacks one: name a GANLoss and an L1Loss"
            )
        with self.precision.autocast():
            fake_b = self.nets.netG_A(real_a)  # [N, C, H, W] in [-1, 1]
            fake_a = self.nets.netG_B(real_b)
        logs = self.update(
            "optimG", self.g_loss, real_a, real_b, fake_a, fake_b, frozen=["netD_A", "netD_B"]
        )
        fake_b, fake_a = self.fake_b_pool.query(fake_b), self.fake_a_pool.query(fake_a)
        return logs | self.update("optimD", self.d_loss, real_a, real_b, fake_a, fake_b)

    def g_loss(
        self,
        real_a: paddle.Tensor,
        real_b: paddle.Tensor,
        fake_a: paddle.Tensor,
        fake_b: paddle.Tensor,
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the generators' loss: fool both discriminators, come back, keep what is right."""
        nets = self.nets
        logs = {
            "G_A_adv_loss": self.gan_criterion(nets.netD_A(fake_b), True),
            "G_B_adv_loss": self.gan_criterion(nets.netD_B(fake_a), True),
            "G_A_cycle_loss": self.cycle_criterion(nets.netG_B(fake_b), real_a) * self.lambda_a,
            "G_B_cycle_loss": self.cycle_criterion(nets.netG_A(fake_a), real_b) * self.lambda_b,
        }
        if self.idt_criterion is not None:
            logs["G_idt_A_loss"] = self.idt_criterion(nets.netG_A(real_b), real_b) * self.lambda_b
            logs["G_idt_B_loss"] = self.idt_criterion(nets.netG_B(real_a), real_a) * self.lambda_a
        return paddle.add_n(list(logs.values())), logs

    def d_loss(
        self,
        real_a: paddle.Tensor,
        real_b: paddle.Tensor,
        fake_a: paddle.Tensor,
        fake_b: paddle.Tensor,
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the sum of both discriminators' losses; generated pictures are detached."""
        logs = {}
        for name, real, fake in (("D_A", real_b, fake_b), ("D_B", real_a, fake_a)):
            net = self.nets[f"net{name}"]
            on_real = self.gan_criterion(net(real), True, is_updating_D=True)
            on_fake = self.gan_criterion(net(fake), False, is_updating_D=True)
            logs[f"{name}_loss"] = (on_real + on_fake) * 0.5
        return logs["D_A_loss"] + logs["D_B_loss"], logs

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return A translated, `fake`, the dataset's B, `real`, and A itself, `source`."""
        real_a, real_b = pictures_of(batch, self.a_to_b, type(self).__name__)
        with self.evaluating():
            return {"fake": self.nets.netG_A(real_a), "real": real_b, "source": real_a}

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return each domain's pictures, their translations, and those translated back."""
        return self.eval_visuals(batch, self.eval_step(batch))

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return each domain's pictures, their translations, and those translated back."""
        real_a, real_b, fake_b = (outputs[name] for name in ("source", "real", "fake"))
        with self.evaluating():
            fake_a = self.nets.netG_B(real_b)
            return {
                "real_A": real_a,
                "fake_B": fake_b,
                "rec_A": self.nets.netG_B(fake_b),
                "real_B": real_b,
                "fake_A": fake_a,
                "rec_B": self.nets.netG_A(fake_a),
            }

    def extra_state(self) -> dict[str, Any]:
        """Return the pictures in the pools."""
        return {"fake_A_pool": self.fake_a_pool.state(), "fake_B_pool": self.fake_b_pool.state()}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `extra_state` returned."""
        self.fake_a_pool.load_state(state["fake_A_pool"])
        self.fake_b_pool.load_state(state["fake_B_pool"])
