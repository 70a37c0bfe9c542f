# SPDX-License-Identifier: Apache-2.0
"""Training U-GAT-IT: two generators, four discriminators."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import paddle

from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs, Model
from ppzoo.nn.init import init_weights
from ppzoo.registry import MODELS
from ppzoo.translation.direction import Direction, check_direction, pictures_of
from ppzoo.translation.ugatit.layers import Outputs


@MODELS.register()
class UGATITModel(Model):
    """Generators both ways, and a global and a local discriminator of each domain.

    Args:
        generator: returns pictures, logits and attention; built twice.
        discriminator_g: the global one, built twice. May be absent in a model that only translates.
        discriminator_l: the local one, built twice.
        l1_criterion: distance of pictures, for cycle and identity.
        mse_criterion: the adversarial loss, of scores and of logits.
        bce_criterion: the auxiliary classifier's loss in the generators.
        direction: `a2b` or `AtoB`; `b2a` or `BtoA` exchanges the domains of the dataset.
        adv_weight: weight of the adversarial losses.
        cycle_weight: weight of the way there and back.
        identity_weight: weight of leaving pictures of the target domain as they are.
        cam_weight: weight of the auxiliary classifier.

    Raises:
        ConfigError: another direction.
    """

    NETS = ("genA2B", "genB2A", "disGA", "disGB", "disLA", "disLB")
    OPTIMIZERS = ("optimG", "optimD")

    def __init__(
        self,
        generator: Generator,
        discriminator_g: Discriminator | None = None,
        discriminator_l: Discriminator | None = None,
        l1_criterion: Criterion | None = None,
        mse_criterion: Criterion | None = None,
        bce_criterion: Criterion | None = None,
        direction: Direction = "a2b",
        adv_weight: float = 1.0,
        cycle_weight: float = 10.0,
        identity_weight: float = 10.0,
        cam_weight: float = 1000.0,
    ) -> None:
        super().__init__()
        self.a_to_b = check_direction(direction)
        self.nets["genA2B"] = init_weights(generator)
        self.nets["genB2A"] = init_weights(copy.deepcopy(generator))
        if discriminator_g is not None and discriminator_l is not None:
            self.nets["disGA"] = init_weights(discriminator_g)
            self.nets["disGB"] = init_weights(copy.deepcopy(discriminator_g))
            self.nets["disLA"] = init_weights(discriminator_l)
            self.nets["disLB"] = init_weights(copy.deepcopy(discriminator_l))
        self.l1_criterion = l1_criterion
        self.mse_criterion = mse_criterion
        self.bce_criterion = bce_criterion
        self.adv_weight, self.cycle_weight = adv_weight, cycle_weight
        self.identity_weight, self.cam_weight = identity_weight, cam_weight

    def train_step(self, batch: Batch) -> Logs:
        """Update the discriminators, then the generators, from `A` and `B` [N, C, H, W]."""
        real_a, real_b = pictures_of(batch, self.a_to_b, type(self).__name__)
        for name in ("l1_criterion", "mse_criterion", "bce_criterion"):
            if getattr(self, name) is None:
                raise ConfigError(f"model.{name} is missing: UGATITModel trains with all three")
        with self.precision.autocast():
            a2b, b2a = self.nets.genA2B(real_a), self.nets.genB2A(real_b)
        logs = self.update("optimD", self.d_loss, real_a, real_b, b2a[0].detach(), a2b[0].detach())
        logs |= self.update(
            "optimG",
            self.g_loss,
            real_a,
            real_b,
            a2b,
            b2a,
            frozen=["disGA", "disGB", "disLA", "disLB"],
        )
        self.clip_mixing()
        return logs

    def d_loss(
        self,
        real_a: paddle.Tensor,
        real_b: paddle.Tensor,
        fake_a: paddle.Tensor,
        fake_b: paddle.Tensor,
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the sum of the four discriminators' losses; generated pictures are detached."""
        total = paddle.zeros([])
        for domain, real, fake in (("A", real_a, fake_a), ("B", real_b, fake_b)):
            for scope in ("G", "L"):
                net = self.nets[f"dis{scope}{domain}"]
                on_real, on_fake = net(real), net(fake)
                total = total + self._is(on_real, True) + self._is(on_fake, False)
        total = total * self.adv_weight
        return total, {"discriminator_loss": total}

    def g_loss(
        self, real_a: paddle.Tensor, real_b: paddle.Tensor, a2b: Outputs, b2a: Outputs
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the generators' loss from both translations."""
        nets = self.nets
        total = paddle.zeros([])
        for domain, real, made, forth, back in (
            ("A", real_a, b2a, nets.genB2A, a2b[0]),
            ("B", real_b, a2b, nets.genA2B, b2a[0]),
        ):
            fooled = sum(self._is(nets[f"dis{scope}{domain}"](made[0]), True) for scope in "GL")
            same = forth(real)
            attention = self.bce_criterion(made[1], paddle.ones_like(made[1]))
            attention = attention + self.bce_criterion(same[1], paddle.zeros_like(same[1]))
            total = (
                total
                + self.adv_weight * fooled
                + self.cycle_weight * self.l1_criterion(forth(back)[0], real)
                + self.identity_weight * self.l1_criterion(same[0], real)
                + self.cam_weight * attention
            )
        return total, {"generator_loss": total}

    def _is(self, judged: Outputs, real: bool) -> paddle.Tensor:
        """Return how far a discriminator's scores and logits are from saying real, or generated."""
        target = paddle.ones_like if real else paddle.zeros_like
        return sum(self.mse_criterion(values, target(values)) for values in judged[:2])

    @paddle.no_grad()
    def clip_mixing(self) -> None:
        """Bring the shares by which norms are mixed back into [0, 1]."""
        for name in ("genA2B", "genB2A"):
            for key, parameter in self.nets[name].named_parameters():
                if key.rsplit(".", 1)[-1] in ("rho", "w_gamma", "w_beta"):
                    parameter.set_value(parameter.clip(0.0, 1.0))

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return A translated, `fake`, the dataset's B, `real`, and A itself, `source`."""
        real_a, real_b = pictures_of(batch, self.a_to_b, type(self).__name__)
        with self.evaluating():
            return {"fake": self.nets.genA2B(real_a)[0], "real": real_b, "source": real_a}

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return each domain's pictures and their translations."""
        return self.eval_visuals(batch, self.eval_step(batch))

    def eval_visuals(
        self, batch: Batch, outputs: Mapping[str, paddle.Tensor]
    ) -> dict[str, paddle.Tensor]:
        """Return each domain's pictures and their translations."""
        with self.evaluating():
            fake_b2a = self.nets.genB2A(outputs["real"])[0]
        return {
            "real_A": outputs["source"],
            "fake_A2B": outputs["fake"],
            "real_B": outputs["real"],
            "fake_B2A": fake_b2a,
        }
