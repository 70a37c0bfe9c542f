# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's generators."""

from __future__ import annotations

from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import GENERATORS

_MISSING = [
    "AnimeGenerator",
    "AnimeGeneratorLite",
    "BasicVSRNet",
    "BasicVSRPlusPlus",
    "DRNGenerator",
    "DecoderNet",
    "Encoder",
    "FAN",
    "GFPGANv1",
    "GFPGANv1Clean",
    "GPENGenerator",
    "GeneratorPSGANAttention",
    "IconVSR",
    "InpaintGenerator",
    "InvDN",
    "LESRCNNGenerator",
    "MPRNet",
    "MSVSR",
    "MobileResnetGenerator",
    "NAFNet",
    "NAFNetLocal",
    "PAN",
    "PReNet",
    "Pixel2Style2Pixel",
    "RevisionNet",
    "SPADEGenerator",
    "SinGANGenerator",
    "StarGANv2Generator",
    "StarGANv2Mapping",
    "StarGANv2Style",
    "StyleGANv2Generator",
    "SwinIR",
]

__getattr__ = registered(__name__, GENERATORS, _MISSING)


def build_generator(cfg: Any) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is."""
    return registry.build(GENERATORS, cfg)
