# SPDX-License-Identifier: Apache-2.0
"""Checks that constructors share."""

from __future__ import annotations


def check_at_least(minimum: float, **values: float) -> None:
    """Refuse arguments that are too small; their names are the keywords.

    Raises:
        ValueError: names the first of them.
    """
    for name, value in values.items():
        if not value >= minimum:
            raise ValueError(f"{name} is {value}, expected at least {minimum}")
