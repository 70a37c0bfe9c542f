# SPDX-License-Identifier: Apache-2.0
"""Adversarial losses and the gradient penalty.

Scores are what a discriminator returns: any shape, real numbers (logits). In every function the
mean is taken over all scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.losses.pixel import cross_entropy
from ppzoo.nn import random
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import CRITERIONS

GANMode = Literal["vanilla", "lsgan", "wgan", "wgangp", "hinge", "logistic"]


def vanilla_loss(scores: paddle.Tensor, label: float) -> paddle.Tensor:
    """Return the cross-entropy of logits with a label (Goodfellow et al. 2014, arXiv:1406.2661)."""
    return cross_entropy(scores, label)


def least_squares_loss(scores: paddle.Tensor, label: float) -> paddle.Tensor:
    """Return the mean squared distance to a label (LSGAN, Mao et al. 2017, arXiv:1611.04076)."""
    return F.mse_loss(scores, paddle.full_like(scores, label))


def wasserstein_loss(scores: paddle.Tensor, target_is_real: bool) -> paddle.Tensor:
    """Return the signed mean score (WGAN, Arjovsky et al. 2017, arXiv:1701.07875)."""
    return -scores.mean() if target_is_real else scores.mean()


def hinge_loss(scores: paddle.Tensor, target_is_real: bool) -> paddle.Tensor:
    """Return the discriminator's hinge loss (Lim & Ye 2017, arXiv:1705.02894)."""
    return F.relu(1.0 - scores if target_is_real else 1.0 + scores).mean()


def logistic_loss(scores: paddle.Tensor, target_is_real: bool) -> paddle.Tensor:
    """Return softplus of the signed score, StyleGAN's non-saturating loss (arXiv:1812.04948)."""
    return F.softplus(-scores if target_is_real else scores).mean()


def gradient_penalty(
    critic: Callable[[paddle.Tensor], paddle.Tensor], real: paddle.Tensor, fake: paddle.Tensor
) -> paddle.Tensor:
    """Return how far the critic's gradient norm is from 1 between real and fake samples.

    The mean over samples of (|| dD/dx ||_2 - 1)^2 at random points x on the lines from fake to
    real, one point a sample and the norm over all its values (WGAN-GP, Gulrajani et al. 2017,
    arXiv:1704.00028). Differentiable with respect to the critic's weights (double backward).

    Args:
        critic: maps samples [N, ...] to scores whose first axis is N.
        real: real samples [N, ...].
        fake: generated samples of the same shape.
    """
    alpha = random.uniform([real.shape[0]]).reshape([-1] + [1] * (real.ndim - 1))
    points = (alpha * real + (1 - alpha) * fake).detach()
    points.stop_gradient = False
    scores = critic(points)
    (slope,) = paddle.grad(
        outputs=scores,
        inputs=points,
        grad_outputs=paddle.ones_like(scores),
        create_graph=True,
        retain_graph=True,
    )
    # The small constant keeps the root differentiable where a critic is flat.
    norms = paddle.sqrt((slope**2).flatten(start_axis=1).sum(axis=1) + 1e-12)
    return ((norms - 1.0) ** 2).mean()


@CRITERIONS.register()
class GANLoss(nn.Layer):
    """The adversarial loss that a config names by `gan_mode`.

    Args:
        gan_mode: `vanilla` (logits), `lsgan`, `wgan`, `wgangp` (the same as `wgan`: the penalty is
            a criterion of its own), `hinge` or `logistic`.
        target_real_label: label of real samples, for `vanilla` and `lsgan`.
        target_fake_label: label of fake samples.
        loss_weight: factor of the generator's loss.
    """

    def __init__(
        self,
        gan_mode: GANMode,
        target_real_label: float = 1.0,
        target_fake_label: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if gan_mode not in ("vanilla", "lsgan", "wgan", "wgangp", "hinge", "logistic"):
            raise ValueError(
                f"gan_mode is {gan_mode!r}, expected one of 'vanilla', 'lsgan', 'wgan', 'wgangp', "
                "'hinge', 'logistic'"
            )
        check_at_least(0, loss_weight=loss_weight)
        self.gan_mode = gan_mode
        self.target_real_label = target_real_label
        self.target_fake_label = target_fake_label
        self.loss_weight = loss_weight

    def forward(
        self,
        prediction: paddle.Tensor,
        target_is_real: bool,
        is_disc: bool = False,
        is_updating_D: bool = False,
    ) -> paddle.Tensor:
        """Return the loss of `prediction`, a scalar.

        Args:
            prediction: scores of any shape.
            target_is_real: whether the scores should look like those of real samples.
            is_disc: leave `loss_weight` out, as the discriminator's step does.
            is_updating_D: use the discriminator's branch of `hinge`.
        """
        loss = self._loss(prediction, target_is_real, is_updating_D)
        return loss if is_disc else loss * self.loss_weight

    def _loss(self, scores: paddle.Tensor, target_is_real: bool, updating_d: bool) -> paddle.Tensor:
        if self.gan_mode in ("vanilla", "lsgan"):
            label = self.target_real_label if target_is_real else self.target_fake_label
            function = vanilla_loss if self.gan_mode == "vanilla" else least_squares_loss
            return function(scores, label)
        if self.gan_mode == "logistic":
            return logistic_loss(scores, target_is_real)
        if self.gan_mode == "hinge" and updating_d:
            return hinge_loss(scores, target_is_real)
        return wasserstein_loss(scores, target_is_real)


@CRITERIONS.register()
class GradientPenalty(nn.Layer):
    """`gradient_penalty` times a weight; the paper uses 10.

    Args:
        loss_weight: factor of the penalty.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        check_at_least(0, loss_weight=loss_weight)
        self.loss_weight = loss_weight

    def forward(
        self,
        net: Callable[[paddle.Tensor], paddle.Tensor],
        real: paddle.Tensor,
        fake: paddle.Tensor,
    ) -> paddle.Tensor:
        """Return the weighted penalty of `net` between `real` and `fake` [N, ...]."""
        return gradient_penalty(net, real, fake) * self.loss_weight
