# SPDX-License-Identifier: Apache-2.0
"""Losses between two tensors, value by value."""

from __future__ import annotations

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppzoo.nn.checks import check_at_least
from ppzoo.registry import CRITERIONS

Reduction = Literal["mean", "sum", "none"]


class _PixelLoss(nn.Layer):
    """A loss of a prediction and a target of the same shape, times a weight.

    Args:
        reduction: `mean`, `sum`, or `none` for the loss of each value.
        loss_weight: factor of the loss.
    """

    def __init__(self, reduction: Reduction = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
        check_at_least(0, loss_weight=loss_weight)
        self.reduction = reduction
        self.loss_weight = loss_weight


def cross_entropy(
    scores: paddle.Tensor,
    labels: paddle.Tensor | float,
    reduction: Reduction = "mean",
) -> paddle.Tensor:
    """Return the cross-entropy of logits with labels.

    Args:
        scores: logits, any shape.
        labels: in [0, 1], a number or the shape of the scores.
        reduction: what is returned: the mean, the sum, or the shape of the scores.
    """
    # Paddle 3.3's own has a gradient that is off by 1 where a score is exactly 0.
    if scores.dtype != paddle.float64:
        scores = scores.astype("float32")
    loss = labels * F.softplus(-scores) + (1.0 - labels) * F.softplus(scores)
    return {"mean": paddle.mean, "sum": paddle.sum, "none": paddle.assign}[reduction](loss)


@CRITERIONS.register()
class L1Loss(_PixelLoss):
    """The absolute difference."""

    def forward(self, pred: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of `pred` against `target`, both of any one shape."""
        return F.l1_loss(pred, target, self.reduction) * self.loss_weight


@CRITERIONS.register()
class MSELoss(_PixelLoss):
    """The squared difference."""

    def forward(self, pred: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of `pred` against `target`, both of any one shape."""
        return F.mse_loss(pred, target, self.reduction) * self.loss_weight


@CRITERIONS.register()
class BCEWithLogitsLoss(_PixelLoss):
    """The cross-entropy of logits with labels in [0, 1]."""

    def forward(self, pred: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of the logits `pred` against `target`, both of any one shape."""
        return cross_entropy(pred, target, self.reduction) * self.loss_weight


@CRITERIONS.register()
class CharbonnierLoss(nn.Layer):
    """sqrt(difference² + eps), an L1 loss that is smooth at 0 (Lai et al. 2017, arXiv:1704.03915).

    Args:
        eps: added to the square of each difference.
        reduction: `sum` over all values, or `mean`.
    """

    def __init__(self, eps: float = 1e-12, reduction: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        if reduction not in ("sum", "mean"):
            raise ValueError(f"reduction is {reduction!r}, expected 'sum' or 'mean'")
        check_at_least(0, eps=eps)
        self.eps = eps
        self.reduction = reduction

    def forward(self, pred: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """Return the loss of `pred` against `target`, both of any one shape."""
        loss = paddle.sqrt((pred - target) ** 2 + self.eps)
        return loss.sum() if self.reduction == "sum" else loss.mean()
