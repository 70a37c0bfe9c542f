# SPDX-License-Identifier: Apache-2.0
"""How far keypoints of what was made are from those of the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.registry import METRICS

_FIGURES = ("mean", "per_coordinate", "of_source")


@METRICS.register()
class AKD(Metric):
    """Average keypoint distance in pixels (Siarohin et al., First Order Motion, 2019).

    The keypoints are those that the model itself finds, in what it made and in the truth. Published
    figures go by the landmarks of a separate detector (of faces or bodies), and average the
    difference of each coordinate instead of distances: `per_coordinate` does so too, but compares
    with them only if it is given such landmarks.
    """

    inputs: ClassVar[tuple[str, ...]] = ("kp_fake", "kp_driving", "real|gt", "kp_source?")
    headline: ClassVar[str | None] = "mean"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._sums, self._count, self._has_source = np.zeros(len(_FIGURES)), 0, True

    def update(self, found: Any, true: Any, pictures: Any = None, source: Any = None) -> None:
        """See the keypoints of one or several pictures.

        Args:
            found: (x, y) in pictures that were made, [N, K, 2]: in pixels, or from -1, the middle
                of the first pixel, to 1, that of the last, if there are `pictures`.
            true: in the true pictures, likewise.
            pictures: [N, C, H, W], whose size counts; None for keypoints in pixels.
            source: in the pictures that it was made from, likewise; None to leave them out.

        Raises:
            ValueError: shapes that differ, or do not fit.
        """
        arrays = [np.float64(as_array(side)) for side in (found, true, source) if side is not None]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1 or arrays[0].ndim != 3 or arrays[0].shape[2] != 2:
            told = " and ".join(str(list(array.shape)) for array in arrays)
            raise ValueError(f"keypoints must be [N, K, 2], and of one shape, got {told}")
        scale = 1.0
        if pictures is not None:
            height, width = pictures.shape[-2:]
            scale = np.array([width - 1, height - 1]) / 2
        made, truth, *rest = (array * scale for array in arrays)
        apart = [
            np.linalg.norm(made - truth, axis=2),
            np.abs(made - truth).mean(axis=2),
            np.linalg.norm(rest[0] - truth, axis=2) if rest else np.zeros(made.shape[:2]),
        ]
        self._sums += [figures.mean(axis=1).sum() for figures in apart]
        self._count += len(made)
        self._has_source &= bool(rest)

    def accumulate(self) -> dict[str, float]:
        """Return pixels: `mean`, `per_coordinate`; and `over_source`.

        The last is the ratio of `mean` over what it is for copies of the source, where that is
        known and not 0.

        Raises:
            ValueError: no keypoints were seen.
        """
        if not self._count:
            raise ValueError("AKD has seen no keypoints")
        means = dict(
            zip(_FIGURES, (float(total) for total in self._sums / self._count), strict=True)
        )
        copied = means.pop("of_source")
        is_known = self._has_source and copied > 0
        return means | {"over_source": means["mean"] / copied} if is_known else means

    def state(self) -> dict[str, np.ndarray]:
        """Return sums over pictures [3], the number of pictures, and if their sources are known."""
        return {
            "sums": self._sums.copy(),
            "count": np.array(self._count),
            "has_source": np.array(self._has_source),
        }

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._sums = np.array(
            [math.fsum(sums) for sums in zip(*(state["sums"] for state in states), strict=True)]
        )
        self._count = sum(int(state["count"]) for state in states)
        self._has_source = all(bool(state["has_source"]) for state in states)
