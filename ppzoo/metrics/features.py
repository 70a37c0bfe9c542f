# SPDX-License-Identifier: Apache-2.0
"""What metrics on features share: extractors, running moments, the distance of two Gaussians.

A feature extractor is any callable that maps images [N, C, H, W] with values in [-1, 1] to features
[N, D]: a Paddle layer, a function, or the name "digits" for the classifier of `metrics.digits`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppzoo.errors import UserError
from ppzoo.media.image import as_array

Extractor = Callable[[Any], Any]


def find_extractor(extractor: Extractor | str | None, metric: str) -> Extractor:
    """Return the extractor that a config or a caller means; a layer is put into eval mode.

    Raises:
        UserError: none is given, or the name is unknown.
    """
    if extractor is None:
        raise UserError(
            f"the metric {metric} needs a feature extractor: InceptionV3's weights (premodel_path) "
            "arrive in a later version of ppzoo, until then give feature_extractor (a callable, or "
            "'digits' in a config), or use the metric DigitQuality for digits"
        )
    if extractor == "digits":
        from ppzoo.metrics.digits import digit_classifier

        return digit_classifier().image_features
    if not callable(extractor):
        raise UserError(
            f"feature_extractor of the metric {metric} is a callable or 'digits', got {extractor!r}"
        )
    if callable(getattr(extractor, "eval", None)):
        # In train mode, batch norm would make features depend on the rest of the batch.
        extractor.eval()
    return extractor


def extract(extractor: Extractor, images: Any) -> np.ndarray:
    """Return the features of images [N, C, H, W] as float64 [N, D], computed without gradients.

    Raises:
        ValueError: images or features of another shape.
    """
    if len(images.shape) != 4:
        raise ValueError(f"expected images [N, C, H, W], got {list(images.shape)}")
    if images.shape[0] == 0:
        return np.zeros((0, 0))  # networks may fail on an empty batch
    with _without_gradients(images):
        features = as_array(extractor(images))
    if features.ndim == 4 and features.shape[2:] == (1, 1):
        features = features[:, :, 0, 0]
    if features.ndim != 2 or len(features) != images.shape[0]:
        raise ValueError(
            f"a feature extractor returns [N, D] for {images.shape[0]} images, "
            f"got {list(features.shape)}"
        )
    return features.astype(np.float64)


def _without_gradients(images: Any) -> contextlib.AbstractContextManager[Any]:
    if not hasattr(images, "stop_gradient"):
        return contextlib.nullcontext()
    import paddle

    return paddle.no_grad()


class Moments:
    """Count, mean and covariance of vectors, in memory that does not grow with their number.

    Batches are combined by the formula of Chan, Golub and LeVeque (1979), which unlike sums of
    squares keeps its precision where the mean is large compared with the spread.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(0)
        self._scatter = np.zeros((0, 0))

    def add(self, features: np.ndarray) -> None:
        """See float64 [N, D].

        Raises:
            ValueError: another number of features than before.
        """
        if len(features) == 0:
            return
        mean = features.mean(axis=0)
        centred = features - mean
        self._combine(len(features), mean, centred.T @ centred)

    def covariance(self) -> np.ndarray:
        """Return the unbiased covariance [D, D].

        Raises:
            ValueError: fewer than two vectors were seen.
        """
        if self.count < 2:
            raise ValueError(f"a covariance needs at least two images, {self.count} seen")
        return self._scatter / (self.count - 1)

    def state(self, prefix: str) -> dict[str, np.ndarray]:
        """Return all that was seen, as arrays whose names begin with `prefix`."""
        return {
            f"{prefix}count": np.array(self.count),
            f"{prefix}mean": self.mean,
            f"{prefix}scatter": self._scatter,
        }

    @classmethod
    def merged(cls, states: Sequence[Mapping[str, np.ndarray]], prefix: str) -> Moments:
        """Return the moments of all that those with these states have seen."""
        result = cls()
        for state in states:
            count = int(state[f"{prefix}count"])
            if count:
                result._combine(count, state[f"{prefix}mean"], state[f"{prefix}scatter"])
        return result

    def _combine(self, count: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if self.count == 0:
            self.count, self.mean, self._scatter = count, mean.copy(), scatter.copy()
            return
        if mean.shape != self.mean.shape:
            raise ValueError(f"{len(mean)} features per image after {len(self.mean)}")
        total = self.count + count
        delta = mean - self.mean
        self._scatter += scatter + np.outer(delta, delta) * (self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total


def frechet_distance(
    mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray
) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance of two Gaussians.

    |mu1 - mu2|^2 + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^(1/2)), after Dowson and Landau (1982).
    The root's trace comes from the eigenvalues of the symmetric s sigma2 s with s = sigma1^(1/2):
    they are real, and singular covariances need no special case.

    Args:
        mu1: mean [D].
        sigma1: covariance [D, D].
        mu2: mean [D].
        sigma2: covariance [D, D].

    Returns:
        A distance of at least 0, or NaN if an argument is not finite.

    Raises:
        ValueError: shapes that do not fit.
    """
    mu1, sigma1, mu2, sigma2 = (
        np.asarray(array, dtype=np.float64) for array in (mu1, sigma1, mu2, sigma2)
    )
    size = mu1.shape[0] if mu1.ndim == 1 else -1
    if mu2.shape != (size,) or sigma1.shape != (size, size) or sigma2.shape != (size, size):
        raise ValueError(
            f"expected means [D] and covariances [D, D], got {list(mu1.shape)}, "
            f"{list(sigma1.shape)}, {list(mu2.shape)} and {list(sigma2.shape)}"
        )
    if not all(np.isfinite(array).all() for array in (mu1, sigma1, mu2, sigma2)):
        return float("nan")
    root = _symmetric_root(sigma1)
    product = root @ sigma2 @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    trace = np.sqrt(_without_noise(eigenvalues)).sum()
    difference = mu1 - mu2
    distance = difference @ difference + np.trace(sigma1) + np.trace(sigma2) - 2.0 * trace
    return float(max(distance, 0.0))


def _symmetric_root(matrix: np.ndarray) -> np.ndarray:
    eigenvalues, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.sqrt(_without_noise(eigenvalues))) @ vectors.T


def _without_noise(eigenvalues: np.ndarray) -> np.ndarray:
    """Set to 0 what rounding made of a singular matrix's zeros; their roots would add up."""
    limit = eigenvalues.max(initial=0.0) * len(eigenvalues) * np.finfo(np.float64).eps
    return np.where(eigenvalues > limit, eigenvalues, 0.0)
