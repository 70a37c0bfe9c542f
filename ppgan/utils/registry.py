# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's registry, for classes of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppzoo.registry import Registry, build

__all__ = ["Registry", "build_from_config"]


def build_from_config(
    cfg: Mapping[str, Any], registry: Registry, default_args: Mapping[str, Any] | None = None
) -> Any:
    """Return what a mapping with `name` and arguments describes; the mapping stays as it is.

    Args:
        cfg: the mapping.
        registry: where the name is looked up.
        default_args: arguments that the mapping may leave out.
    """
    return build(registry, {**(default_args or {}), **cfg})
