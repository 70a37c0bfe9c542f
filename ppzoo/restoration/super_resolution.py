# SPDX-License-Identifier: Apache-2.0
"""What the models of super-resolution share: one generator, its losses, and looking at results."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.model import Batch, Criterion, Discriminator, Generator, Logs, Model


class SuperResolutionModel(Model):
    """A `generator` that enlarges pictures, trained to come near the truth value by value.

    Args:
        generator: maps pictures [N, C, h, w] to [N, C, h * scale, w * scale], values as the data
            have them: [0, 1], RCAN's 0 to 255.
        pixel_criterion: distance of the output to the truth.
        use_init_weight: draw the initial weights anew, uniformly by their fan-in.
        start_as_bilinear: let the generator begin as bilinear enlargement, which saves a short
            training the time to learn copying.

    Raises:
        ConfigError: the generator cannot begin so.
    """

    NETS = ("generator",)
    OPTIMIZERS = ("optim",)

    def __init__(
        self,
        generator: Generator,
        pixel_criterion: Criterion | None = None,
        use_init_weight: bool = False,
        start_as_bilinear: bool = False,
    ) -> None:
        super().__init__()
        if use_init_weight:
            init_by_fan_in(generator)
        if start_as_bilinear:
            if not hasattr(generator, "start_as_bilinear"):
                raise ConfigError(
                    f"model.start_as_bilinear: {type(generator).__name__} cannot begin so"
                )
            generator.start_as_bilinear()
        self.nets["generator"] = generator
        self.pixel_criterion = pixel_criterion

    def train_step(self, batch: Batch) -> Logs:
        """Update the generator from `lq` [N, C, h, w] and `gt` [N, C, H, W]."""
        low, truth = pictures_of(batch)
        return self.update("optim", self.pixel_loss, low, truth)

    def pixel_loss(self, low: paddle.Tensor, truth: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the distance of the enlarged `low` to `truth`."""
        if self.pixel_criterion is None:
            raise ConfigError("model.pixel_criterion is missing: name the loss to train with")
        output = self.nets.generator(low)
        check_same_size(output, truth)
        loss = self.pixel_criterion(output, truth)
        return loss, {"loss_pixel": loss}

    def eval_step(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return the enlarged `output`, the input `lq` and, where the batch has it, `gt`."""
        with self.evaluating():
            outputs = {"output": self.nets.generator(batch["lq"]), "lq": batch["lq"]}
        return outputs | ({"gt": batch["gt"]} if "gt" in batch else {})

    def visuals(self, batch: Batch) -> dict[str, paddle.Tensor]:
        """Return input, output and truth."""
        outputs = self.eval_step(batch)
        return {key: outputs[key] for key in ("lq", "output", "gt") if key in outputs}


class PerceptualModel(SuperResolutionModel):
    """A generator against a `discriminator`, as ESRGAN and SRGAN are trained.

    A subclass says what the two score: `g_adversarial` and `d_loss`.

    Args:
        generator: see `SuperResolutionModel`.
        discriminator: scores pictures [N, C, H, W]; absent in the stage before the GAN.
        pixel_criterion: distance of the output to the truth value by value, or none.
        perceptual_criterion: their distance in a network's features: returns it and a distance of
            style, each a tensor or None; or none.
        gan_criterion: the adversarial loss; needed with a discriminator.

    Raises:
        ConfigError: a discriminator without `gan_criterion`, or the reverse.
    """

    NETS = ("generator", "discriminator")
    OPTIMIZERS = ("optimG", "optimD")

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None = None,
        pixel_criterion: Criterion | None = None,
        perceptual_criterion: Criterion | None = None,
        gan_criterion: Criterion | None = None,
    ) -> None:
        super().__init__(generator, pixel_criterion)
        if (discriminator is None) != (gan_criterion is None):
            raise ConfigError(
                "model.discriminator and model.gan_criterion belong together: name both or none"
            )
        if discriminator is not None:
            self.nets["discriminator"] = discriminator
        self.perceptual_criterion = perceptual_criterion
        self.gan_criterion = gan_criterion

    def train_step(self, batch: Batch) -> Logs:
        """Update the generator, then the discriminator, from `lq` and `gt`."""
        low, truth = pictures_of(batch)
        if self.gan_criterion is None:
            return self.update("optimG", self.g_loss, low, truth)
        # The discriminator sees what the generator made before its update, as in PaddleGAN.
        with self.precision.autocast():
            output = self.nets.generator(low)
        logs = self.update("optimG", self.g_loss, low, truth, output, frozen=["discriminator"])
        return logs | self.update("optimD", self.d_loss, truth, output.detach())

    def g_loss(
        self, low: paddle.Tensor, truth: paddle.Tensor, output: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, Logs]:
        """Return the generator's loss: near the truth in values and features, and convincing."""
        if output is None:
            output = self.nets.generator(low)
        check_same_size(output, truth)
        logs: Logs = {}
        if self.pixel_criterion is not None:
            logs["loss_pix"] = self.pixel_criterion(output, truth)
        if self.perceptual_criterion is not None:
            content, style = self.perceptual_criterion(output, truth)
            logs |= {} if content is None else {"loss_percep": content}
            logs |= {} if style is None else {"loss_style": style}
        if self.gan_criterion is not None:
            logs["l_g_gan"] = self.g_adversarial(truth, output)
        if not logs:
            raise ConfigError(
                "model: there is no loss to train with; name pixel_criterion, perceptual_criterion "
                "or gan_criterion"
            )
        return sum(logs.values()), logs

    def g_adversarial(self, truth: paddle.Tensor, output: paddle.Tensor) -> paddle.Tensor:
        """Return how little the output convinces the discriminator."""
        raise NotImplementedError

    def d_loss(self, truth: paddle.Tensor, output: paddle.Tensor) -> tuple[paddle.Tensor, Logs]:
        """Return the discriminator's loss on the truth and on the output, detached."""
        raise NotImplementedError


def pictures_of(batch: Batch) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Return `lq` and `gt` of a batch.

    Raises:
        ConfigError: the dataset does not give them.
    """
    for key in ("lq", "gt"):
        if key not in batch:
            raise ConfigError(
                f"dataset.train gives no {key!r} (it gives {', '.join(sorted(batch))}), which "
                "super-resolution trains with: name an SRDataset"
            )
    return batch["lq"], batch["gt"]


def check_same_size(output: paddle.Tensor, truth: paddle.Tensor) -> None:
    """Refuse an output whose shape is not the truth's.

    Raises:
        ConfigError: names both shapes.
    """
    if list(output.shape) != list(truth.shape):
        raise ConfigError(
            f"model.generator makes pictures of shape {list(output.shape[1:])} and the dataset has "
            f"{list(truth.shape[1:])}: make the scale of both equal"
        )


def init_by_fan_in(net: nn.Layer) -> None:
    """Draw all convolutions uniformly within 1 / sqrt(fan-in), as PyTorch does.

    Args:
        net: the network, changed in place; normalisation keeps its values.
    """
    for layer in net.sublayers(include_self=True):
        weight = getattr(layer, "weight", None)
        if weight is None or weight.ndim < 2 or weight.stop_gradient:
            continue
        bound = _fan_in(weight.shape) ** -0.5
        for parameter in (weight, getattr(layer, "bias", None)):
            if parameter is not None:
                nn.initializer.Uniform(-bound, bound)(parameter)


def _fan_in(shape: Sequence[int]) -> int:
    size = 1
    for side in shape[1:] if len(shape) > 2 else shape[:1]:
        size *= side
    return size
