# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's models."""

from __future__ import annotations

from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import MODELS

_MISSING = [
    "AOTGANModel",
    "AnimeGANV2Model",
    "AnimeGANV2PreTrainModel",
    "BasicVSRModel",
    "DRN",
    "GFPGANModel",
    "GPENModel",
    "InvDNModel",
    "LapStyleDraModel",
    "LapStyleRevFirstModel",
    "LapStyleRevSecondModel",
    "MPRModel",
    "MakeupModel",
    "MultiStageVSRModel",
    "NAFNetModel",
    "PReNetModel",
    "PhotoPenModel",
    "SinGANModel",
    "StarGANv2Model",
    "StyleGAN2Model",
    "SwinIRModel",
]

__getattr__ = registered(__name__, MODELS, _MISSING)


def build_model(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(MODELS, cfg)
