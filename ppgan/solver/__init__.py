# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgan.compat import hooks
from ppzoo import registry

__getattr__, __dir__ = hooks(__name__)


def build_lr_scheduler(cfg: Mapping[str, Any]) -> Any:
    """Return the schedule that a mapping describes."""
    return registry.build(registry.LRSCHEDULERS, cfg)


def build_optimizer(cfg: Mapping[str, Any], lr_scheduler: Any, parameters: Any = None) -> Any:
    """Return the optimizer that a mapping describes, for parameters and a rate or schedule."""
    return registry.build(
        registry.OPTIMIZERS, cfg, learning_rate=lr_scheduler, parameters=parameters
    )
