# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's steps from files to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppgan.compat import hooks
from ppzoo import registry

__getattr__, __dir__ = hooks(__name__)


def build_preprocess(cfg: Sequence[Any]) -> Any:
    """Return a function of a sample, a dict, that takes all the steps."""
    steps = [registry.build(registry.PREPROCESS, item) for item in cfg]

    def preprocess(sample: dict[str, Any]) -> dict[str, Any]:
        for step in steps:
            sample = step(sample)
        return sample

    return preprocess


def build_transforms(cfg: Sequence[Any]) -> list[Any]:
    """Return the transforms that mappings describe."""
    return [registry.build(registry.TRANSFORMS, item) for item in cfg]
