# SPDX-License-Identifier: Apache-2.0
"""Fréchet inception distance (Heusel et al., GANs trained by a two time-scale rule, 2017)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppzoo.metrics.features import (
    Dims,
    Extractor,
    FeatureMetric,
    Moments,
    extract,
    find_extractor,
    frechet_distance,
)
from ppzoo.registry import METRICS


def fid_from_features(act1: np.ndarray, act2: np.ndarray) -> float:
    """Return the Fréchet distance of two sets of features, each described by mean and covariance.

    Args:
        act1: features [N, D].
        act2: features [M, D]; N and M may differ and be smaller than D, but not than 2.

    Raises:
        ValueError: other shapes.
    """
    sides = []
    for features in (act1, act2):
        features = np.asarray(features, dtype=np.float64)
        if features.ndim != 2:
            raise ValueError(f"expected features [N, D], got {list(features.shape)}")
        moments = Moments()
        moments.add(features)
        sides += [moments.mean, moments.covariance()]
    return frechet_distance(*sides)


@METRICS.register()
class FID(FeatureMetric):
    """Fréchet distance of generated and real images in a feature space; 0 for equal distributions.

    Only running sums are kept, so memory does not grow with the number of images. With few images
    the distance is biased upwards: compare only figures of equal numbers.

    Args:
        batch_size: images that InceptionV3 looks at together; of no account for the result.
        use_GPU: accepted for PaddleGAN's configs; the extractor runs on the device of the run.
        dims: number of InceptionV3's features; another extractor decides itself.
        premodel_path: InceptionV3's weights; the official ones by default, downloaded if need be.
        model: another name of `feature_extractor`, PaddleGAN's.
        feature_extractor: images [N, C, H, W] in [-1, 1] -> features [N, D], "digits", or
            "inception", the default.

    Raises:
        UserError: the feature extractor is unknown.
        WeightsError: InceptionV3's weights are missing, or are those of another network.
    """

    def __init__(
        self,
        batch_size: int = 1,
        use_GPU: bool = True,
        dims: Dims = 2048,
        premodel_path: str | os.PathLike[str] | None = None,
        model: Extractor | str | None = None,
        feature_extractor: Extractor | str | None = None,
    ) -> None:
        chosen = feature_extractor if feature_extractor is not None else model
        self._extractor = find_extractor(chosen, "FID", dims, premodel_path, batch_size)
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._fake, self._real = Moments(), Moments()

    def update(self, fake: Any, real: Any) -> None:
        """See generated and real images; their numbers may differ.

        Args:
            fake: [N, C, H, W] in [-1, 1], or uint8 pictures [N, H, W, 3], also as a list.
            real: likewise.

        Raises:
            ValueError: other shapes.
        """
        self._fake.add(extract(self._extractor, fake))
        self._real.add(extract(self._extractor, real))

    def accumulate(self) -> float:
        """Return the distance.

        Raises:
            ValueError: fewer than two images of a side were seen.
        """
        return frechet_distance(
            self._fake.mean, self._fake.covariance(), self._real.mean, self._real.covariance()
        )

    def state(self) -> dict[str, np.ndarray]:
        """Return the running moments of both sides."""
        return {**self._fake.state("fake_"), **self._real.state("real_")}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._fake = Moments.merged(states, "fake_")
        self._real = Moments.merged(states, "real_")
