# SPDX-License-Identifier: Apache-2.0
"""Kernel inception distance (Bińkowski et al., Demystifying MMD GANs, 2018)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.metrics.features import Dims, Extractor, FeatureMetric, extract, find_extractor
from ppzoo.registry import METRICS


def polynomial_mmd(
    x: np.ndarray,
    y: np.ndarray,
    degree: int = 3,
    gamma: float | None = None,
    coef0: float = 1.0,
) -> float:
    """Return the unbiased squared maximum mean discrepancy under (gamma a.b + coef0)^degree.

    Args:
        x: features [N, D], N >= 2.
        y: features [M, D], M >= 2.
        degree: of the polynomial.
        gamma: 1 / D by default.
        coef0: constant of the polynomial.

    Returns:
        A figure whose expectation is 0 for equal distributions; it may be negative.

    Raises:
        ValueError: other shapes.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"expected features [N, D] and [M, D] with N, M >= 2, got {list(x.shape)} and "
            f"{list(y.shape)}"
        )
    scale = 1.0 / x.shape[1] if gamma is None else gamma

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T * scale + coef0) ** degree

    def mean_off_diagonal(a: np.ndarray) -> float:
        gram = kernel(a, a)
        return float((gram.sum() - np.trace(gram)) / (len(a) * (len(a) - 1)))

    return mean_off_diagonal(x) + mean_off_diagonal(y) - 2.0 * float(kernel(x, y).mean())


@METRICS.register()
class KID(FeatureMetric):
    """Kernel distance of generated and real images in a feature space; unbiased, unlike FID.

    Features are kept (as float32) until the figure is taken. It is the mean over random subsets,
    which are the same in every run and however images were spread over batches and processes; sets
    no larger than a subset are compared whole.

    Args:
        feature_extractor: images [N, C, H, W] in [-1, 1] -> features [N, D], "digits", or
            "inception", the default.
        subsets: number of subsets.
        subset_size: images of each side in a subset.
        seed: of the subsets.
        dims: number of InceptionV3's features; another extractor decides itself.
        premodel_path: InceptionV3's weights; the official ones by default, downloaded if need be.
        batch_size: images that InceptionV3 looks at together; of no account for the result.

    Raises:
        UserError: the feature extractor is unknown.
        WeightsError: InceptionV3's weights are missing, or are those of another network.
        ValueError: no subsets, or subsets of fewer than two images.
    """

    headline: ClassVar[str | None] = "mean"

    def __init__(
        self,
        feature_extractor: Extractor | str | None = None,
        subsets: int = 100,
        subset_size: int = 1000,
        seed: int = 0,
        dims: Dims = 2048,
        premodel_path: str | os.PathLike[str] | None = None,
        batch_size: int = 16,
    ) -> None:
        if subsets < 1 or subset_size < 2:
            raise ValueError(
                f"KID needs subsets >= 1 and subset_size >= 2, got {subsets} and {subset_size}"
            )
        self._extractor = find_extractor(feature_extractor, "KID", dims, premodel_path, batch_size)
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._features: dict[str, list[np.ndarray]] = {"fake": [], "real": []}

    def update(self, fake: Any, real: Any) -> None:
        """See generated and real images; their numbers may differ.

        Args:
            fake: [N, C, H, W] in [-1, 1], or uint8 pictures [N, H, W, 3], also as a list.
            real: likewise.

        Raises:
            ValueError: other shapes.
        """
        for side, images in (("fake", fake), ("real", real)):
            features = extract(self._extractor, images)
            if len(features):
                self._features[side].append(features.astype(np.float32))

    def accumulate(self) -> dict[str, float]:
        """Return `mean` and `std` (of the subsets' figures; 0 where the whole sets are compared).

        Raises:
            ValueError: fewer than two images of a side were seen.
        """
        fake, real = (_in_fixed_order(array) for array in self.state().values())
        if min(len(fake), len(real)) < 2:
            raise ValueError(f"KID needs two images of each side, got {len(fake)} and {len(real)}")
        whole = max(len(fake), len(real)) <= self.subset_size
        generator = np.random.default_rng(self.seed)
        figures = [
            polynomial_mmd(self._subset(fake, generator), self._subset(real, generator))
            for _ in range(1 if whole else self.subsets)
        ]
        return {"mean": float(np.mean(figures)), "std": float(np.std(figures))}

    def state(self) -> dict[str, np.ndarray]:
        """Return the features of both sides."""
        return {
            side: np.concatenate(arrays) if arrays else np.zeros((0, 0), np.float32)
            for side, arrays in self._features.items()
        }

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._features = {
            side: [state[side] for state in states if len(state[side])] for side in ("fake", "real")
        }

    def _subset(self, features: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if len(features) <= self.subset_size:
            return features
        return features[generator.choice(len(features), self.subset_size, replace=False)]


def _in_fixed_order(features: np.ndarray) -> np.ndarray:
    """Sort rows by their bytes, so that subsets do not depend on the order images came in."""
    if features.size == 0:
        return features
    rows = np.ascontiguousarray(features)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))[:, 0]
    return rows[np.argsort(keys, kind="stable")]
