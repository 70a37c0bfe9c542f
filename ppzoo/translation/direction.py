# SPDX-License-Identifier: Apache-2.0
"""Which of a dataset's two domains is translated into which."""

from __future__ import annotations

from typing import Literal

import paddle

from ppzoo.errors import ConfigError
from ppzoo.model import Batch

Direction = Literal["a2b", "b2a", "AtoB", "BtoA"]


def check_direction(direction: str) -> bool:
    """Return whether A is translated into B, rather than B into A.

    Raises:
        ConfigError: the text is no direction.
    """
    if direction not in ("a2b", "b2a", "AtoB", "BtoA"):
        raise ConfigError(
            f"model.direction is {direction!r}, expected 'a2b' (or 'AtoB') or 'b2a' (or 'BtoA')"
        )
    return direction in ("a2b", "AtoB")


def pictures_of(batch: Batch, a_to_b: bool, model: str) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Return a batch's pictures of the source and of the target domain, each [N, C, H, W].

    Raises:
        ConfigError: the dataset does not give both.
    """
    for key in ("A", "B"):
        if key not in batch:
            raise ConfigError(
                f"dataset: {model} needs {key!r} of each sample, and the dataset gives only "
                f"{', '.join(map(repr, batch))}"
            )
    source, target = ("A", "B") if a_to_b else ("B", "A")
    return batch[source], batch[target]
