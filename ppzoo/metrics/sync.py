# SPDX-License-Identifier: Apache-2.0
"""How well a sync expert tells what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.registry import METRICS


@METRICS.register()
class SyncAccuracy(Metric):
    """The share of pairs of lips and sound that an expert judges rightly.

    Args:
        threshold: cosines above it mean "in sync"; the expert is trained for one half.
    """

    inputs: ClassVar[tuple[str, ...]] = ("cosine", "in_sync")
    headline: ClassVar[str | None] = "accuracy"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._cosines = np.zeros(0)
        self._in_sync = np.zeros(0, bool)

    def update(self, cosine: Any, in_sync: Any) -> None:
        """See pairs.

        Args:
            cosine: of the embeddings of lips and sound, [N].
            in_sync: whether they belong together, 1 or 0, [N].
        """
        self._cosines = np.append(self._cosines, np.float64(as_array(cosine)))
        self._in_sync = np.append(self._in_sync, as_array(in_sync) > 0.5)

    def accumulate(self) -> dict[str, float]:
        """Return `accuracy`, of both kinds of pairs alike, and `ranked`.

        `ranked` is the chance that of two pairs, one of each kind, the one in sync has the greater
        cosine: 0.5 for an expert that knows nothing, whatever its threshold.

        Raises:
            ValueError: not both kinds of pairs were seen.
        """
        yes, no = self._cosines[self._in_sync], self._cosines[~self._in_sync]
        if not (len(yes) and len(no)):
            raise ValueError("SyncAccuracy needs pairs in sync and others")
        above, below = (yes > self.threshold).mean(), (no <= self.threshold).mean()
        apart = yes[:, np.newaxis] - no
        ranked = (apart > 0).mean() + (apart == 0).mean() / 2
        return {"accuracy": float((above + below) / 2), "ranked": float(ranked)}

    def state(self) -> dict[str, np.ndarray]:
        """Return all cosines and what they should have said."""
        return {"cosines": self._cosines, "in_sync": self._in_sync}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._cosines = np.concatenate([state["cosines"] for state in states])
        self._in_sync = np.concatenate([np.asarray(state["in_sync"], bool) for state in states])
