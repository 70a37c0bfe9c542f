# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's steps from files to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppgan.compat import registered
from ppzoo import registry
from ppzoo.registry import PREPROCESS, TRANSFORMS

_step = registered(__name__, PREPROCESS, ())
_transform = registered(__name__, TRANSFORMS, ())


def __getattr__(name: str) -> Any:
    try:
        return _step(name)
    except AttributeError:
        return _transform(name)


def build_preprocess(cfg: Sequence[Any]) -> Any:
    """Return a function of a sample, a dict, that takes all the steps."""
    steps = [registry.build(PREPROCESS, item) for item in cfg]

    def preprocess(sample: dict[str, Any]) -> dict[str, Any]:
        for step in steps:
            sample = step(sample)
        return sample

    return preprocess


def build_transforms(cfg: Sequence[Any]) -> list[Any]:
    """Return the transforms that mappings describe."""
    return [registry.build(TRANSFORMS, item) for item in cfg]
