# SPDX-License-Identifier: Apache-2.0
"""Lip-sync error: do lips say what is heard, and at which moment?

Chung & Zisserman 2016 (Out of Time) compare the embeddings of lips with those of sounds up to 15
frames earlier and later; Prajwal et al. 2020 (arXiv:2008.10010) name the results LSE-D and LSE-C.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ppzoo.errors import ConfigError
from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.registry import DISCRIMINATORS, METRICS, build

if TYPE_CHECKING:
    import paddle

# Sounds as far away as this, in frames, are usual.
REACH = 15
_KINDS = ("fake", "real")
_NEAR = 1  # frames that nobody notices
_ABOUT = 2  # frames around the best offset that fit too
# Measured on drawn heads of 96 windows each: 9 and more with their own voices, at most 2.8 with
# others.
_CLEAR = 4
_AT_ONCE = 256  # sounds
_FIRST = "face_encoder.0.conv_block.0.weight"  # of as many channels as the network is wide


class Sync(NamedTuple):
    """How well lips and sound fit.

    Args:
        distance: LSE-D, the least of the mean distances at all offsets; small is good.
        confidence: LSE-C, the median of these less the least; large is good, 0 means that no
            offset is better than others.
        offset: that of the least, in frames: how much later than the lips the sound comes.
        spread: standard deviation of the means more than two frames away from the least; NaN of
            fewer than three.
    """

    distance: float
    confidence: float
    offset: float
    spread: float

    @property
    def is_clear(self) -> bool:
        """Return whether the least stands out: 9 spreads are usual, 3 come by chance."""
        return self.confidence >= _CLEAR * self.spread


def offset_distances(expert: Any, mouths: paddle.Tensor, mels: paddle.Tensor) -> paddle.Tensor:
    """Return how far embeddings of lips are from those of sounds around them, [N, 2 R + 1].

    Args:
        expert: a `SyncNetColor` in evaluation mode.
        mouths: [N, 15, 48, 96], lower halves of five frames each.
        mels: their sounds R frames earlier to R frames later, [N, 2 R + 1, 1, 80, 16].
    """
    import paddle

    with paddle.no_grad():
        windows = mels.flatten(0, 1)
        parts = [windows[i : i + _AT_ONCE] for i in range(0, windows.shape[0], _AT_ONCE)]
        sounds = paddle.concat([expert.hear(part) for part in parts])
        apart = sounds.reshape([*mels.shape[:2], -1]) - expert.see(mouths).unsqueeze(1)
        return (apart * apart).sum(axis=2).sqrt()


def judge(means: np.ndarray) -> Sync:
    """Return what mean distances say.

    Args:
        means: [2 R + 1], of the offsets from -R to R; NaN where there is none.

    Raises:
        ValueError: an even number of offsets, or fewer than three distances.
    """
    known = np.isfinite(means)
    if len(means) % 2 == 0 or known.sum() < 3:
        raise ValueError(
            f"sync is judged by distances at three offsets or more, got {known.sum()} of "
            f"{len(means)}: frames need sound before and after them"
        )
    best = int(np.nanargmin(means))
    least = float(means[best])
    away = means[known & (np.abs(np.arange(len(means)) - best) > _ABOUT)]
    spread = float(away.std()) if len(away) >= 3 else math.nan
    return Sync(least, float(np.nanmedian(means)) - least, float(best - len(means) // 2), spread)


def load_expert(weights: str | os.PathLike[str] | None = None) -> Any:
    """Return a sync expert, a `SyncNetColor` of any width, in evaluation mode.

    Args:
        weights: a file of a `SyncNetModel`'s training, or PaddleGAN's `syncnet.pdparams`; None for
            the latter, downloaded if need be.

    Raises:
        WeightsError: the file is missing, or holds another network.
    """
    from ppzoo.weights import load_state, read, select_net
    from ppzoo.weights.manifest import find_weights

    path = find_weights("syncnet", weights)
    arrays = select_net(read(path), "syncnet", path, prefer_ema=True)
    width = {"ngf": len(arrays[_FIRST])} if _FIRST in arrays else {}
    expert = build(DISCRIMINATORS, {"name": "SyncNetColor", **width})
    load_state(expert, arrays, path)
    expert.eval()
    return expert


@METRICS.register()
class LSE(Metric):
    """Lip-sync error of generated and of true faces: see `Sync`.

    The embeddings of our expert have length 1 and no negative numbers, so that distances are
    between 0 and 1.42 and do not compare with published ones, of another network. The dataset has
    to give the sounds around each window of frames: `reach: 15`.

    Args:
        weights: of the expert to ask, see `load_expert`. None asks the model's own, which needs no
            other file, but is what the generator has learned to please.
        by_clip: judge each clip and report means, as published figures do, for which each clip has
            to come with many windows. Otherwise all windows count as those of one long clip.

    Raises:
        WeightsError: see `load_expert`.
    """

    inputs: ClassVar[tuple[str, ...]] = ("distances_fake?", "distances_real", "has_sound", "clip")
    headline: ClassVar[str | None] = "distance"

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        by_clip: bool = False,
    ) -> None:
        self._expert = None if weights is None else load_expert(weights)
        self.by_clip = by_clip
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._clips: dict[int, np.ndarray] = {}
        self._has_fake = True

    def update_from(
        self, outputs: Mapping[str, Any], min_max: Sequence[float] = (-1.0, 1.0)
    ) -> None:
        """Update from the outputs of `sync_outputs` (ppzoo/lipsync/around.py).

        Raises:
            ConfigError: the model has none: it is of another kind, or the data lack sounds.
        """
        if "mels_around" not in outputs:
            raise ConfigError(
                "LSE needs the sounds around each window of frames, which models of lips pass on: "
                f"give dataset.test the option 'reach: {REACH}'"
            )
        if self._expert is not None:
            distances = {
                f"distances_{kind}": offset_distances(
                    self._expert, outputs[f"mouths_{kind}"], outputs["mels_around"]
                )
                for kind in _KINDS
                if f"mouths_{kind}" in outputs
            }
            outputs = {**outputs, **distances}
        super().update_from(outputs, min_max)

    def update(self, distances_fake: Any, distances_real: Any, has_sound: Any, clip: Any) -> None:
        """See windows of frames.

        Args:
            distances_fake: of generated lips from sounds, [N, 2 R + 1]; None if there are none.
            distances_real: of true lips, likewise.
            has_sound: 0 where a clip had no sound any more, [N, 2 R + 1].
            clip: the numbers of the clips, [N].

        Raises:
            ValueError: shapes that do not fit.
        """
        real, known = np.float64(as_array(distances_real)), as_array(has_sound) > 0
        fake = real if distances_fake is None else as_array(distances_fake)
        self._has_fake &= distances_fake is not None
        numbers = as_array(clip).reshape(-1)
        if not fake.shape == real.shape == known.shape == (len(numbers), *real.shape[1:]):
            raise ValueError(
                f"distances {list(fake.shape)} and {list(real.shape)}, has_sound "
                f"{list(known.shape)} and {len(numbers)} clips do not fit one another"
            )
        rows = np.stack([np.where(known, fake, 0), np.where(known, real, 0), known], axis=1)
        for number, row in zip(numbers, rows, strict=True):
            self._add(int(number) if self.by_clip else 0, row)

    def accumulate(self) -> dict[str, float]:
        """Return `distance`, `confidence` and `offset`, and `real_...` of true faces.

        With `by_clip`, offsets are medians, and `within_one` and `real_within_one` the shares of
        clips whose offset is at most one frame.

        Raises:
            ValueError: nothing was seen, or too little of a clip.
        """
        if not self._clips:
            raise ValueError("LSE has seen no frames")
        figures: dict[str, float] = {}
        for index, prefix in enumerate(("", "real_")):
            if index == 0 and not self._has_fake:
                continue
            judged = [_judged(row[index], row[2]) for row in self._clips.values()]
            distances, confidences, offsets, _ = zip(*judged, strict=True)
            figures |= {
                f"{prefix}distance": float(np.mean(distances)),
                f"{prefix}confidence": float(np.mean(confidences)),
                f"{prefix}offset": float(np.median(offsets)),
            }
            if self.by_clip:
                near = np.abs(offsets) <= _NEAR
                figures[f"{prefix}within_one"] = float(near.mean())
        return figures

    def state(self) -> dict[str, np.ndarray]:
        """Return sums of both kinds of distances and their numbers by offset, [C, 3, 2 R + 1].

        And the numbers of the clips [C], and whether there were generated faces.
        """
        return {
            "clips": np.array(list(self._clips), dtype=np.int64),
            "sums": np.array(list(self._clips.values()), dtype=np.float64),
            "has_fake": np.array(self._has_fake),
        }

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self.reset()
        for state in states:
            for number, row in zip(state["clips"], state["sums"], strict=True):
                self._add(int(number), row)
        self._has_fake = all(bool(state["has_fake"]) for state in states)

    def _add(self, number: int, row: np.ndarray) -> None:
        before = self._clips.get(number, 0.0)
        self._clips[number] = before + row


def _judged(sums: np.ndarray, counts: np.ndarray) -> Sync:
    """Return what sums of distances say; nothing where a network made no numbers."""
    if np.isnan(sums).any():
        return Sync(math.nan, math.nan, math.nan, math.nan)
    with np.errstate(invalid="ignore"):
        return judge(sums / counts)
