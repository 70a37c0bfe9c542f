# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules, stepped once an iteration."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence

from paddle.optimizer.lr import LRScheduler, MultiStepDecay

from ppzoo.errors import ConfigError
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import LRSCHEDULERS

LRSCHEDULERS.register(MultiStepDecay)


@LRSCHEDULERS.register()
class LinearDecay(LRScheduler):
    """A constant rate, then a straight line to zero (pix2pix, CycleGAN).

    Args:
        learning_rate: the rate of the constant part.
        start_epoch: the epoch, counted from 1, at which the line starts.
        decay_epochs: its length; epoch `start_epoch + decay_epochs` is the first at rate 0.
        iters_per_epoch: iterations an epoch; the trainer sets it from the dataset.
    """

    def __init__(
        self, learning_rate: float, start_epoch: int, decay_epochs: int, iters_per_epoch: int = 1
    ) -> None:
        check_at_least(1, iters_per_epoch=iters_per_epoch)
        check_at_least(0, decay_epochs=decay_epochs)
        self.start_epoch, self.decay_epochs = start_epoch, decay_epochs
        self.iters_per_epoch = iters_per_epoch
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """Return the rate of the current iteration."""
        epoch = self.last_epoch // self.iters_per_epoch
        passed = max(0, epoch + 1 - self.start_epoch)
        return self.base_lr * (1.0 - passed / (self.decay_epochs + 1))


@LRSCHEDULERS.register()
class NonLinearDecay(LRScheduler):
    """rate / (1 + lr_decay * iteration), LapStyle's schedule.

    Args:
        learning_rate: the rate at iteration 0.
        lr_decay: how fast it falls.
    """

    def __init__(self, learning_rate: float, lr_decay: float) -> None:
        self.lr_decay = lr_decay
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """Return the rate of the current iteration."""
        return self.base_lr / (1.0 + self.lr_decay * self.last_epoch)


@LRSCHEDULERS.register()
class CosineAnnealingRestartLR(LRScheduler):
    """Half cosines one after another (SGDR, Loshchilov & Hutter 2017, arXiv:1608.03983).

    An iteration equal to the end of a period still belongs to that period, as in PaddleGAN.

    Args:
        learning_rate: the rate at the start of a period of weight 1.
        periods: lengths of the periods in iterations.
        restart_weights: factor of each period.
        eta_min: the rate at the end of a period.

    Raises:
        ValueError: `periods` and `restart_weights` differ in length.
        ConfigError: at a step, the last period is over.
    """

    def __init__(
        self,
        learning_rate: float,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        eta_min: float = 0.0,
    ) -> None:
        if len(periods) != len(restart_weights):
            raise ValueError(
                f"periods has {len(periods)} entries and restart_weights {len(restart_weights)}; "
                "they must have the same length"
            )
        for period in periods:
            check_at_least(1, **{"an entry of periods": period})
        self.periods, self.restart_weights, self.eta_min = periods, restart_weights, eta_min
        self.ends = list(itertools.accumulate(periods))
        super().__init__(learning_rate)

    def get_lr(self) -> float:
        """Return the rate of the current iteration."""
        index = bisect.bisect_left(self.ends, self.last_epoch)
        if index == len(self.ends):
            raise ConfigError(
                f"lr_scheduler.periods: iteration {self.last_epoch} is past the last period, which "
                f"ends at {self.ends[-1]}: lengthen the periods or shorten the run"
            )
        position = (self.last_epoch - (self.ends[index] - self.periods[index])) / self.periods[
            index
        ]
        height = self.restart_weights[index] * 0.5 * (self.base_lr - self.eta_min)
        return self.eta_min + height * (1.0 + math.cos(math.pi * position))
