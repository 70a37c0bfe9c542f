# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's losses."""

from __future__ import annotations

from typing import Any

from ppgan.compat import hooks
from ppzoo import registry

__getattr__, __dir__ = hooks(__name__)


def build_criterion(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(registry.CRITERIONS, cfg)
