# SPDX-License-Identifier: Apache-2.0
"""What the models of this folder share: two networks, their losses, and looking at samples."""

from __future__ import annotations

import paddle

from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Logs, Model
from ppzoo.networks.latent import LatentGenerator
from ppzoo.nn.init import init_weights

SAMPLES_EVERY_ROW = 8
MOST_ROWS = 16


class AdversarialModel(Model):
    """A generator `netG` against a discriminator `netD`.

    Args:
        generator: makes pictures in [-1, 1] from latents, and from classes if conditional.
        discriminator: scores pictures, given their classes if it has an `n_class`; may be absent
            in a model that only samples.
        gan_criterion: the adversarial loss.

    Raises:
        ConfigError: of the two networks one is conditional and the other is not, or the criterion
            is no adversarial one.
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
        if discriminator is not None:
            _check_classes(generator.n_class, getattr(discriminator, "n_class", 0))
        if gan_criterion is not None and not hasattr(gan_criterion, "gan_mode"):
            raise ConfigError(f"model.gan_criterion is {gan_criterion}, expected a GANLoss")
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
        if self.gan_criterion is None:
            raise ConfigError("model.gan_criterion is missing: name the GANLoss to train with")
        made, given = (list(pictures.shape[1:]) for pictures in (fake[0], real[0]))
        if made != given:
            raise ConfigError(
                f"model.generator makes pictures of shape {made} and the dataset has {given}: make "
                "their channels and sizes equal"
            )
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
        """Return the pictures of a batch, and their classes if the generator is conditional.

        Raises:
            ConfigError: the dataset does not give them.
        """
        wanted = ["img", "class_id"] if self.nets.netG.n_class else ["img"]
        for key in wanted:
            if key not in batch:
                hint = "; set return_label: True" if key == "class_id" else ""
                raise ConfigError(
                    f"dataset: {type(self).__name__} needs {key!r} of each sample, and the dataset "
                    f"gives only {', '.join(map(repr, batch))}{hint}"
                )
        return [batch["img"], *(batch[key].reshape([-1]) for key in wanted[1:])]

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return as many samples as the batch holds, `fake`, beside its pictures, `real`.

        Both are [N, C, H, W] in [-1, 1]; `fake_class` and `real_class` [N] if conditional.
        """
        real = self.real_inputs(batch)
        with self.evaluating():
            inputs = self.nets.netG.random_inputs(real[0].shape[0])
            outputs = {"fake": self.nets.netG(*inputs), "real": real[0]}
        if self.nets.netG.n_class:
            outputs |= {"fake_class": inputs[1], "real_class": real[1]}
        return outputs

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return samples from latents that stay the same through training, and real pictures."""
        generator = self.nets.netG
        num, classes = SAMPLES_EVERY_ROW**2, None
        if generator.n_class:
            # One class a row, and a row for every class as long as there is room.
            rows = min(max(SAMPLES_EVERY_ROW, generator.n_class), MOST_ROWS)
            num = rows * SAMPLES_EVERY_ROW
            classes = [i // SAMPLES_EVERY_ROW % generator.n_class for i in range(num)]
        samples = generator.sample(num, seed=0, class_id=classes)
        return {"fixed_generated_imgs": samples, "real_imgs": batch["img"][: SAMPLES_EVERY_ROW**2]}


def _check_classes(generator: int, discriminator: int) -> None:
    if bool(generator) != bool(discriminator):
        both = [("model.generator", generator), ("model.discriminator", discriminator)]
        with_classes, without = (name for name, _ in sorted(both, key=lambda item: -item[1]))
        raise ConfigError(
            f"{with_classes} is conditional and {without} is not: both or neither of them must be"
        )
