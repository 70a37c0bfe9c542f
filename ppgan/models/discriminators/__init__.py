# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's discriminators."""

from __future__ import annotations

from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import DISCRIMINATORS

_MISSING = [
    "AnimeDiscriminator",
    "Discriminator",
    "GPENDiscriminator",
    "LapStyleDiscriminator",
    "MultiscaleDiscriminator",
    "ResNetArcFace",
    "SinGANDiscriminator",
    "StarGANv2Discriminator",
    "StyleGAN2DiscriminatorGFPGAN",
    "StyleGANv2Discriminator",
]

__getattr__ = registered(__name__, DISCRIMINATORS, _MISSING)


def build_discriminator(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(DISCRIMINATORS, cfg)
