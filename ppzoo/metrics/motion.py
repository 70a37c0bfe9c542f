# SPDX-License-Identifier: Apache-2.0
"""Whether a picture that is animated by the video of another moves as that one does.

Where things are differs between the two, and so does their size; so what is compared is how they
change in the course of a film: correlations of what is left when the mean of each film is taken
away, over all films together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.media.sprites import POSE, figure, fit_poses
from ppzoo.metrics.base import Metric
from ppzoo.registry import METRICS

# Of the least squares below: keypoints that do not move give no coefficients that blow up.
_RIDGE = 1e-3


def motion_correlation(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return for each quantity how its changes in films go with those in others, -1 to 1, [Q].

    0 for a quantity that does not change.

    Args:
        made: in N films of T frames each, [N, T, Q].
        true: in the films that they should move like, likewise.
    """
    ours, theirs = _changes(made), _changes(true)
    norms = np.sqrt((ours**2).sum(axis=(0, 1)) * (theirs**2).sum(axis=(0, 1)))
    return (ours * theirs).sum(axis=(0, 1)) / np.maximum(norms, 1e-12)


class _FilmMetric(Metric):
    """Keeps arrays [N, T, Q] of films until the end; a subclass names them in `kept`."""

    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._seen: dict[str, list[np.ndarray]] = {name: [] for name in self.kept}

    def keep(self, *arrays: np.ndarray) -> None:
        """Keep one array [N, T, Q] under each name."""
        for name, array in zip(self.kept, arrays, strict=True):
            self._seen[name].append(np.float64(array))

    def together(self) -> list[np.ndarray]:
        """Return all films of each name.

        Raises:
            ValueError: none was seen.
        """
        if not self._seen[self.kept[0]]:
            raise ValueError(f"{type(self).__name__} has seen no films")
        return [np.concatenate(self._seen[name]) for name in self.kept]

    def state(self) -> dict[str, np.ndarray]:
        """Return all that was seen."""
        return {name: np.concatenate(films) for name, films in self._seen.items() if films}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._seen = {
            name: [np.asarray(state[name]) for state in states if name in state]
            for name in self.kept
        }


@METRICS.register()
class KeypointMotion(_FilmMetric):
    """Correlation of keypoints found in animations with the true poses of what they follow.

    Keypoints are nobody's hands or feet, so they are first mapped to poses: linearly, by least
    squares over real videos, neither that of the picture nor that of its driver among them.

    Args:
        columns: which quantities of the poses count, all by default.
    """

    inputs: ClassVar[tuple[str, ...]] = ("kp_animated", "kp_driving", "pose", "pose_driver")
    headline: ClassVar[str | None] = "mean"
    kept: ClassVar[tuple[str, ...]] = ("animated", "real", "pose", "wanted")

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        self.columns = slice(None) if columns is None else list(columns)
        super().__init__()

    def update(self, animated: Any, real: Any, pose: Any, wanted: Any) -> None:
        """See animations.

        Args:
            animated: keypoints found in the animations, [N * T, K, 2].
            real: keypoints found in the videos that the pictures are of, likewise.
            pose: the true poses in these videos, [N, T, P].
            wanted: those in the videos that the animations follow, likewise, which are among them.
        """
        truth = as_array(pose)
        number, frames = truth.shape[:2]
        found = [as_array(side).reshape(number, frames, -1) for side in (animated, real)]
        self.keep(*found, truth[..., self.columns], as_array(wanted)[..., self.columns])

    def accumulate(self) -> dict[str, float]:
        """Return `mean` and `least` of the correlations of the poses' quantities, and `real`.

        The last is the mean for the videos themselves: what the keypoints know at best.

        Raises:
            ValueError: fewer than three videos were seen, which leaves none to fit to.
        """
        animated, real, pose, wanted = self.together()
        if len(real) < 3:
            raise ValueError("KeypointMotion needs three videos or more")
        told, own = [], []
        for i, driver in enumerate(_drivers(pose, wanted)):
            others = [j for j in range(len(real)) if j not in (i, driver)]
            matrix = _fit(_changes(real[others]), _changes(pose[others]))
            told.append(_changes(animated[i : i + 1])[0] @ matrix)
            own.append(_changes(real[i : i + 1])[0] @ matrix)
        found = motion_correlation(np.stack(told), wanted)
        best = motion_correlation(np.stack(own), pose)
        return {"mean": found.mean(), "least": found.min(), "real": best.mean()}


@METRICS.register()
class SpriteMotion(_FilmMetric):
    """Correlation of the poses seen in animated figures with those of the figures they follow.

    For `MovingSpritesDataset`. The poses are seen without the networks: a drawing of the figure is
    fitted to each picture, see `ppzoo.media.sprites.fit_poses`, from the known pose of the source
    on. What it follows plays no part in the fit.
    """

    inputs: ClassVar[tuple[str, ...]] = ("animated", "clip", "pose_start", "pose_driver")
    as_uint8: ClassVar[bool] = True
    headline: ClassVar[str | None] = "least"
    kept: ClassVar[tuple[str, ...]] = ("poses", "wanted")

    def update(self, animated: Any, clips: Any, start: Any, wanted: Any) -> None:
        """See animations.

        Args:
            animated: N * T pictures, uint8 RGB, film after film.
            clips: whom they show, numbers for `ppzoo.media.sprites.figure`, [N].
            start: poses of the pictures that they were made of, [N, 6].
            wanted: poses of whom they follow, [N, T, 6].
        """
        truth = as_array(wanted)
        films = np.stack(animated).reshape(*truth.shape[:2], *animated[0].shape)
        shown = zip(as_array(clips), films, as_array(start), strict=True)
        self.keep(np.stack([fit_poses(figure(int(n)), *rest) for n, *rest in shown]), truth)

    def accumulate(self) -> dict[str, float]:
        """Return correlations: `x`, `y` and `turn` of figures, the `least` of these; `arms`.

        The last is the mean of both arms, which are small, and the last that networks learn.

        Raises:
            ValueError: no film was seen.
        """
        found = dict(zip(POSE, motion_correlation(*self.together()), strict=True))
        body = {name: found[name] for name in ("x", "y", "turn")}
        arms = (found["left"] + found["right"]) / 2
        return {"least": min(body.values()), **body, "arms": arms}


def _changes(films: np.ndarray) -> np.ndarray:
    return films - films.mean(axis=1, keepdims=True)


def _fit(known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the matrix [P, Q] that best makes `wanted` [N, T, Q] of `known` [N, T, P]."""
    x, y = (array.reshape(-1, array.shape[-1]) for array in (known, wanted))
    return np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)


def _drivers(pose: np.ndarray, wanted: np.ndarray) -> list[int]:
    """Return which video each animation follows."""
    apart = np.abs(wanted[:, np.newaxis] - pose).sum(axis=(2, 3))
    return [int(number) for number in apart.argmin(axis=1)]
