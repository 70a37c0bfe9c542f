# SPDX-License-Identifier: Apache-2.0
"""Mean absolute difference of pictures, and how it compares with that of the source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.metrics.paired import as_pictures
from ppzoo.registry import METRICS


def calculate_l1(img1: Any, img2: Any) -> float:
    """Return the mean absolute difference of two pictures on the scale from 0 to 1.

    Args:
        img1: a picture of any layout, values 0..255.
        img2: another of the same shape.

    Raises:
        ValueError: shapes that differ.
    """
    first, second = as_array(img1), as_array(img2)
    if first.shape != second.shape:
        raise ValueError(f"pictures differ in shape: {list(first.shape)} and {list(second.shape)}")
    return float(np.abs(first.astype(np.float64) - second).mean()) / 255


@METRICS.register()
class L1(Metric):
    """Mean absolute difference from the truth on the scale from 0 to 1.

    Siarohin et al. (First Order Motion, 2019) report it of videos that are remade from their first
    frames, which count too.
    """

    inputs: ClassVar[tuple[str, ...]] = ("output|fake", "gt|real", "source?")
    as_uint8: ClassVar[bool] = True
    headline: ClassVar[str | None] = "mean"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._differences: list[tuple[float, float]] = []

    def update(self, preds: Any, gts: Any, sources: Any = None) -> None:
        """See one or several pictures, uint8.

        Args:
            preds: what was made: a picture, a list of pictures, or a batch.
            gts: the true pictures, likewise.
            sources: the pictures that it was made from, likewise; None if there are none to
                compare with.

        Raises:
            ValueError: numbers or shapes that differ.
        """
        sides = [as_pictures(side) for side in (preds, gts, sources) if side is not None]
        if len({len(side) for side in sides}) > 1:
            raise ValueError(
                f"{' and '.join(str(len(side)) for side in sides)} pictures cannot be compared"
            )
        for made, truth, *source in zip(*sides, strict=True):
            copied = calculate_l1(source[0], truth) if source else math.nan
            self._differences.append((calculate_l1(made, truth), copied))

    def accumulate(self) -> dict[str, float]:
        """Return `mean`, and `over_source`, its ratio over that of the sources, if there were any.

        1 is what one gets by copying the source. Where sources equal the truth there is no ratio.

        Raises:
            ValueError: no picture was seen.
        """
        if not self._differences:
            raise ValueError("L1 has seen no pictures")
        ours, copied = (math.fsum(side) for side in zip(*self._differences, strict=True))
        found = {"mean": ours / len(self._differences)}
        return found | {"over_source": ours / copied} if copied > 0 else found

    def state(self) -> dict[str, np.ndarray]:
        """Return the differences of every picture and its source (NaN for none), [N, 2]."""
        return {"differences": np.array(self._differences, dtype=np.float64).reshape(-1, 2)}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        rows = np.concatenate([state["differences"] for state in states])
        self._differences = [(float(ours), float(copied)) for ours, copied in rows]
