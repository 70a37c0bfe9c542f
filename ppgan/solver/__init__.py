# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import LRSCHEDULERS, OPTIMIZERS

_optimizer = registered(__name__, OPTIMIZERS, ())
_schedule = registered(__name__, LRSCHEDULERS, ())


def __getattr__(name: str) -> Any:
    try:
        return _schedule(name)
    except AttributeError:
        return _optimizer(name)


def build_lr_scheduler(cfg: Mapping[str, Any]) -> Any:
    """Return the schedule that a mapping describes."""
    return registry.build(LRSCHEDULERS, cfg)


def build_optimizer(cfg: Mapping[str, Any], lr_scheduler: Any, parameters: Any = None) -> Any:
    """Return the optimizer that a mapping describes, for parameters and a rate or schedule."""
    return registry.build(OPTIMIZERS, cfg, learning_rate=lr_scheduler, parameters=parameters)
