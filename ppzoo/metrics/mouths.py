# SPDX-License-Identifier: Apache-2.0
"""Do mouths that a network draws do what is heard? For faces whose mouths are known.

Both metrics want whole clips, which `TalkingHeadDataset` gives with `whole: True`: faces made to
their own sound and to that of another clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.media.mouths import mouth_opening
from ppzoo.metrics.base import Metric
from ppzoo.registry import METRICS


class _ByClip(Metric):
    """Keeps rows of numbers by clip, in the order in which they came."""

    as_uint8: ClassVar[bool] = True

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._clips: dict[int, list[np.ndarray]] = {}

    def _add(self, clip: Any, rows: np.ndarray) -> None:
        """Keep rows [N * T, ...] of windows of T frames, of the clips `clip` [N]."""
        numbers = as_array(clip).reshape(-1)
        if len(numbers) == 0 or len(rows) % len(numbers):
            raise ValueError(f"{len(rows)} frames cannot be those of {len(numbers)} windows")
        for number, window in zip(numbers, np.split(rows, len(numbers)), strict=True):
            self._clips.setdefault(int(number), []).append(window)

    def _each(self) -> list[np.ndarray]:
        """Return what was seen of each clip, [frames, ...].

        Raises:
            ValueError: nothing was seen.
        """
        if not self._clips:
            raise ValueError(f"{type(self).__name__} has seen no frames")
        return [np.concatenate(windows) for windows in self._clips.values()]

    def state(self) -> dict[str, np.ndarray]:
        """Return the windows that were seen, [N, T, ...], and whose they are [N]."""
        numbers = [number for number, windows in self._clips.items() for _ in windows]
        windows = [window for windows in self._clips.values() for window in windows]
        return {"clip": np.array(numbers, dtype=np.int64), "windows": np.array(windows)}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self.reset()
        for state in states:
            for number, window in zip(state["clip"], state["windows"], strict=True):
                self._clips.setdefault(int(number), []).append(window)


@METRICS.register()
class MouthFollows(_ByClip):
    """Correlation of how far drawn mouths are open with how far they should be.

    Each clip has its own correlation; figures are means over clips.
    """

    inputs: ClassVar[tuple[str, ...]] = (
        *("fake", "real", "fake_other_sound"),
        *("opening", "opening_other_sound", "clip"),
    )
    headline: ClassVar[str | None] = "sound"

    def update(
        self,
        fake: Sequence[np.ndarray],
        real: Sequence[np.ndarray],
        fake_other_sound: Sequence[np.ndarray],
        opening: Any,
        opening_other_sound: Any,
        clip: Any,
    ) -> None:
        """See windows of T frames.

        Args:
            fake: faces made to their own sound, N * T pictures, uint8 RGB [H, W, 3].
            real: the true faces, likewise.
            fake_other_sound: faces made to another clip's sound, likewise.
            opening: how far the true mouths are open, [N, T].
            opening_other_sound: likewise, of the mouths that the other sound belongs to.
            clip: the numbers of the clips, [N].

        Raises:
            ValueError: numbers of frames that do not fit.
        """
        columns = [_openings(pictures) for pictures in (fake, real, fake_other_sound)]
        columns += [np.float64(as_array(known)).ravel() for known in (opening, opening_other_sound)]
        self._add(clip, np.stack(columns, axis=1))

    def accumulate(self) -> dict[str, float]:
        """Return correlations.

        `sound`: of mouths made to their own sound with the true ones; `sound_least`, that of the
        clip with the least. `other_sound_own` and `other_sound_heard`: of mouths made to another
        sound, with the true ones and with those that the other sound belongs to. `real`: of true
        pictures, the most that can be reached by what is measured in pictures.

        Raises:
            ValueError: no frames were seen, or only one of a clip.
        """
        rows = [
            {
                "sound": _correlation(fake, opening),
                "other_sound_own": _correlation(other, opening),
                "other_sound_heard": _correlation(other, heard),
                "real": _correlation(real, opening),
            }
            for fake, real, other, opening, heard in (columns.T for columns in self._each())
        ]
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        return means | {"sound_least": min(row["sound"] for row in rows)}


@METRICS.register()
class LowerHalfError(_ByClip):
    """How far the lower halves of made faces are from the true ones, in levels of 0 to 255.

    The mean absolute difference, beside that of what needs no sound: the average lower half of the
    clip's own true frames, and the reference picture that the network was given.
    """

    inputs: ClassVar[tuple[str, ...]] = ("fake", "real", "fake_other_sound", "source", "clip")
    headline: ClassVar[str | None] = "made"

    def update(
        self,
        fake: Sequence[np.ndarray],
        real: Sequence[np.ndarray],
        fake_other_sound: Sequence[np.ndarray],
        source: Sequence[np.ndarray],
        clip: Any,
    ) -> None:
        """See windows of T frames.

        Args:
            fake: faces made to their own sound, N * T pictures, uint8 RGB [H, W, 3].
            real: the true faces, likewise.
            fake_other_sound: faces made to another clip's sound, likewise.
            source: the reference pictures, likewise.
            clip: the numbers of the clips, [N].

        Raises:
            ValueError: numbers of frames that do not fit.
        """
        kinds = [np.stack(list(pictures)) for pictures in (fake, real, fake_other_sound, source)]
        frames = np.stack(kinds, axis=1)
        self._add(clip, frames[:, :, frames.shape[2] // 2 :])

    def accumulate(self) -> dict[str, float]:
        """Return errors: of what was `made`, of the clips' `average` lower half, and so on.

        `of_average` is the share of the average's error that is left in what was made, and
        `of_average_most` that of the clip where most is left; `of_other_sound` is the share that is
        left of the error of what was made to another sound.

        Raises:
            ValueError: no frames were seen.
        """
        rows = []
        for frames in self._each():
            made, real, other, source = frames.astype(np.float64).swapaxes(0, 1)
            rows.append(
                [np.abs(kind - real).mean() for kind in (made, real.mean(axis=0), source, other)]
            )
        made, average, reference, other = np.array(rows).T
        with np.errstate(divide="ignore", invalid="ignore"):  # a clip that does not move
            shares = {
                "of_average": made.mean() / average.mean(),
                "of_average_most": (made / average).max(),
                "of_other_sound": made.mean() / other.mean(),
            }
        means = {"made": made, "average": average, "reference": reference, "other_sound": other}
        return {key: float(np.mean(value)) for key, value in (means | shares).items()}


def _openings(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return mouth_opening(np.stack(list(pictures)).transpose(0, 3, 1, 2) / 255)


def _correlation(made: np.ndarray, known: np.ndarray) -> float:
    """Return the correlation of two rows of numbers, 0 if one of them is always the same."""
    if len(made) < 2:
        raise ValueError("a correlation needs two frames of a clip or more")
    if made.std() == 0 or known.std() == 0:
        return 0.0
    return float(np.corrcoef(made, known)[0, 1])
