# SPDX-License-Identifier: Apache-2.0
"""What metrics on features share: extractors, running moments, the distance of two Gaussians.

A feature extractor is any callable that maps images [N, C, H, W] with values in [-1, 1] to features
[N, D]: a Paddle layer, a function, or a name: "inception" for InceptionV3 with PaddleGAN's weights,
"digits" for the classifier of `metrics.digits`, which needs no download.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ppzoo.errors import UserError, WeightsError
from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric

Extractor = Callable[[Any], Any]
Dims = Literal[64, 192, 768, 2048]


def find_extractor(
    extractor: Extractor | str | None,
    metric: str,
    dims: int = 2048,
    premodel_path: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
) -> Extractor:
    """Return the extractor that a config or a caller means; a layer is put into eval mode.

    Args:
        extractor: a callable, "inception" (what None means too) or "digits".
        metric: its name, for error messages.
        dims: of InceptionV3.
        premodel_path: InceptionV3's weights; the official ones by default.
        batch_size: pictures that InceptionV3 looks at together.

    Raises:
        UserError: the name is unknown, or weights are given to another extractor.
        WeightsError: InceptionV3's weights are missing, or are those of another network.
    """
    if extractor is None or extractor == "inception":
        try:
            return inception_features(dims, premodel_path, batch_size)
        except WeightsError as error:
            if premodel_path is not None:
                raise
            raise WeightsError(
                f"the metric {metric} needs InceptionV3: {error}, or name it in premodel_path"
            ) from error
    if premodel_path is not None:
        raise UserError(
            f"premodel_path of the metric {metric} is for InceptionV3 and feature_extractor is "
            "another one: give one of them"
        )
    if extractor == "digits":
        from ppzoo.metrics.digits import digit_classifier

        return digit_classifier().image_features
    if not callable(extractor):
        raise UserError(
            f"feature_extractor of the metric {metric} is a callable, 'inception' or 'digits', got "
            f"{extractor!r}"
        )
    if callable(getattr(extractor, "eval", None)):
        # In train mode, batch norm would make features depend on the rest of the batch.
        extractor.eval()
    return extractor


def inception_features(
    dims: int = 2048,
    weight_path: str | os.PathLike[str] | None = None,
    batch_size: int = 16,
) -> Extractor:
    """Return a function from images [N, 1 or 3, H, W] in [-1, 1] to InceptionV3's features.

    Pictures of any size are resized to 299 x 299 as PaddleGAN does it, bilinearly and without a
    filter against aliasing. Features of 64, 192 and 768 dimensions are means over the picture.

    Args:
        dims: 2048 (the usual), 768, 192 or 64.
        weight_path: weights in PaddleGAN's layout; the official ones by default, downloaded if need
            be.
        batch_size: pictures that are looked at together; of no account for the result.

    Raises:
        UserError: other dimensions, or a batch of none.
        WeightsError: the weights are missing, or are those of another network.
    """
    from ppzoo.networks.inception import BLOCK_OF_DIMS
    from ppzoo.weights.manifest import find_weights

    if dims not in BLOCK_OF_DIMS:
        raise UserError(f"InceptionV3 has features of {list(BLOCK_OF_DIMS)} dimensions, not {dims}")
    if batch_size < 1:
        raise UserError(f"batch_size must be at least 1, got {batch_size}")
    path = find_weights("inception_v3", weight_path).resolve()
    network = _inception(dims, path, path.stat().st_mtime_ns)

    def features(images: Any) -> np.ndarray:
        import paddle

        x = images if isinstance(images, paddle.Tensor) else paddle.to_tensor(images)
        x = x.astype("float32")
        if x.shape[1] == 1:
            x = x.expand([-1, 3, -1, -1])
        parts = []
        for start in range(0, x.shape[0], batch_size):
            (output,), _ = network(x[start : start + batch_size])
            parts.append(output.mean(axis=[2, 3]).numpy())
        return np.concatenate(parts)

    return features


@functools.lru_cache(maxsize=2)
def _inception(dims: int, path: Path, changed: int) -> Any:
    """Return the network with the weights of a file; FID and KID of one config share it."""
    from ppzoo.networks.inception import BLOCK_OF_DIMS, InceptionV3
    from ppzoo.weights import load_state, read, select_net

    network = InceptionV3([BLOCK_OF_DIMS[dims]], normalize_input=False)
    arrays = select_net(read(path), "inception_v3", path)
    # The file may hold the classifier's last layer, and blocks behind the one asked for.
    wanted = network.state_dict().keys()
    load_state(network, {k: v for k, v in arrays.items() if k in wanted}, path)
    network.eval()
    for parameter in network.parameters():
        parameter.stop_gradient = True
    return network


class FeatureMetric(Metric):
    """A metric that compares generated with real images by their features."""

    inputs: ClassVar[tuple[str, ...]] = ("fake", "real")

    def update_from(
        self, outputs: Mapping[str, Any], min_max: Sequence[float] = (-1.0, 1.0)
    ) -> None:
        """Update from a model's outputs `fake` and `real`, brought from `min_max` to [-1, 1].

        Raises:
            ConfigError: the model does not give them.
        """
        low, high = min_max
        images = (self._pick(name, outputs, min_max) for name in self.inputs)
        if (low, high) != (-1.0, 1.0):
            images = ((image - low) * (2.0 / (high - low)) - 1.0 for image in images)
        self.update(*images)


def extract(extractor: Extractor, images: Any) -> np.ndarray:
    """Return the features of images as float64 [N, D], computed without gradients.

    Args:
        extractor: a feature extractor.
        images: [N, C, H, W] in [-1, 1], or uint8 pictures [N, H, W, 3], also as a list.

    Raises:
        ValueError: images or features of another shape.
    """
    if isinstance(images, (list, tuple)):
        images = np.stack(images) if len(images) else np.zeros((0, 1, 1, 1))
    if len(images.shape) != 4:
        raise ValueError(f"expected images [N, C, H, W], got {list(images.shape)}")
    if images.shape[0] == 0:
        return np.zeros((0, 0))  # networks may fail on an empty batch
    if str(images.dtype).endswith("uint8"):
        images = _from_uint8(as_array(images))
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


def _from_uint8(pictures: np.ndarray) -> np.ndarray:
    if pictures.shape[-1] != 3:
        raise ValueError(f"uint8 pictures are [N, H, W, 3], got {list(pictures.shape)}")
    return pictures.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0


def _without_gradients(images: Any) -> contextlib.AbstractContextManager[Any]:
    # Functions on arrays may have nothing to do with Paddle, which takes seconds to import.
    if not hasattr(images, "stop_gradient") and "paddle" not in sys.modules:
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
