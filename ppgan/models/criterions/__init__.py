# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's losses."""

from __future__ import annotations

from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import CRITERIONS

_MISSING = [
    "AOTGANCriterionLoss",
    "CalcContentLoss",
    "CalcContentReltLoss",
    "CalcStyleEmdLoss",
    "CalcStyleLoss",
    "EdgeLoss",
    "GFPGANGANLoss",
    "GFPGANL1Loss",
    "GFPGANPerceptualLoss",
    "IDLoss",
    "PSNRLoss",
    "PhotoPenPerceptualLoss",
    "SSIM",
]

__getattr__ = registered(__name__, CRITERIONS, _MISSING)


def build_criterion(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(CRITERIONS, cfg)
