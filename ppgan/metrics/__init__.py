# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's metrics."""

from __future__ import annotations

from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import METRICS

_MISSING = ["none"]

__getattr__ = registered(__name__, METRICS, _MISSING)


def build_metric(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(METRICS, cfg)
