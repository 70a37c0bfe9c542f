# SPDX-License-Identifier: Apache-2.0
"""Checks that constructors and networks share."""

from __future__ import annotations

from typing import Any

from ppzoo.errors import ConfigError


def check_at_least(minimum: float, **values: float) -> None:
    """Refuse arguments that are too small; their names are the keywords.

    Raises:
        ValueError: names the first of them.
    """
    for name, value in values.items():
        if not value >= minimum:
            raise ValueError(f"{name} is {value}, expected at least {minimum}")


def check_multiple(x: Any, multiple: int, name: str) -> None:
    """Refuse pictures [N, C, H, W] whose sides a network `name` cannot halve often enough.

    Sizes that are unknown when a graph is exported are let through.

    Raises:
        ConfigError: H or W is no multiple of `multiple`.
    """
    height, width = x.shape[2:]
    known = [side for side in (height, width) if isinstance(side, int) and side > 0]
    if any(side % multiple for side in known):
        raise ConfigError(
            f"{name} takes pictures whose sides are multiples of {multiple}, got {width} x {height}"
            " pixels: resize or pad them"
        )
