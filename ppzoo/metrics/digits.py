# SPDX-License-Identifier: Apache-2.0
"""How good generated handwritten digits are, judged by a small classifier trained on the spot.

The classifier is a perceptron with two hidden layers, trained in seconds on three quarters of
scikit-learn's 1797 real digits (8 x 8 pixels), warped a little, against an eleventh class of what
is no digit: noise, flat grey, blends of two digits, shuffled pixels, and noise with the digits' own
mean and covariance. The held-out quarter, on which `DigitsDataset` trains no generator either, are
the real digits that generated ones are compared with. Nothing is downloaded, all seeds are fixed,
and the random states of the training run are not touched.

The idea is that of the Inception score and distance (Salimans et al., 2016; Heusel et al., 2017)
with a classifier that knows the subject.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.digits import handwritten_digits, held_out_digits
from ppzoo.media.image import as_array
from ppzoo.metrics.base import Metric
from ppzoo.metrics.features import Moments, frechet_distance
from ppzoo.registry import METRICS

SIDE = 8
CLASSES = 10
SURE = 0.9
COVERED = 0.02

_WARPED_COPIES = 12
_REJECTS = 80
_HIDDEN = (256, 64)
_SEED = 0


def area_resize(images: np.ndarray, size: int = SIDE) -> np.ndarray:
    """Return images [N, H, W] as [N, size, size], each new pixel the mean of the area it covers."""
    rows, columns = (_area_weights(length, size) for length in images.shape[1:])
    return np.einsum("ah,nhw,bw->nab", rows, images, columns, optimize=True)


def _area_weights(length: int, size: int) -> np.ndarray:
    """Return [size, length], the share that each old pixel has in each new one."""
    edges = np.linspace(0, length, size + 1)
    starts = np.arange(length)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return overlap.clip(0) * (size / length)


def to_digit_scale(images: Any) -> np.ndarray:
    """Return generated images as the classifier sees them.

    Args:
        images: [N, 1 or 3, H, W] with values in [-1, 1], of any size; channels are averaged, what
            lies outside is clipped and what is not a number is -1.

    Returns:
        float64 [N, 8, 8] with values in [0, 1], 0 the background.

    Raises:
        ValueError: another shape.
    """
    array = as_array(images)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise ValueError(f"expected images [N, 1 or 3, H, W], got {list(array.shape)}")
    values = np.nan_to_num(array.astype(np.float64), nan=-1.0).clip(-1, 1)
    return area_resize((values.mean(axis=1) + 1) / 2)


@dataclass(frozen=True)
class DigitClassifier:
    """A trained perceptron and the real digits that it has not seen.

    Attributes:
        weights: matrices of the three layers.
        biases: vectors of the three layers.
        images: real digits kept back, [M, 8, 8] in [0, 1].
        labels: their classes, [M].
        scale: factor that makes 100 of the total variance of their features.
        real_mean: mean of their features, [64].
        real_covariance: covariance of their features, [64, 64].
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    images: np.ndarray
    labels: np.ndarray
    scale: float = 1.0
    real_mean: np.ndarray = field(default_factory=lambda: np.zeros(0))
    real_covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def features(self, digits: np.ndarray) -> np.ndarray:
        """Return the second hidden layer [N, 64] for digits [N, 8, 8] in [0, 1]."""
        hidden = digits.reshape(len(digits), SIDE * SIDE).astype(np.float64)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        return hidden * self.scale

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return [N, 11] for features [N, 64]: ten digits, then "not a digit"."""
        logits = features / self.scale @ self.weights[-1] + self.biases[-1]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def image_features(self, images: Any) -> np.ndarray:
        """Return features [N, 64] of images [N, 1 or 3, H, W] in [-1, 1], for FID and KID."""
        return self.features(to_digit_scale(images))


@functools.cache
def digit_classifier() -> DigitClassifier:
    """Return the classifier, trained at the first call of a process."""
    large, labels = _real_digits(2 * SIDE)
    held_out = held_out_digits()
    weights, biases = _train(*_training_set(large[~held_out], labels[~held_out]))
    kept = area_resize(_real_digits(4 * SIDE)[0][held_out])
    unscaled = DigitClassifier(weights, biases, kept, labels[held_out])
    features = unscaled.features(kept)
    scale = float(np.sqrt(100.0 / np.trace(np.cov(features, rowvar=False))))
    moments = Moments()
    moments.add(features * scale)
    return dataclasses.replace(
        unscaled, scale=scale, real_mean=moments.mean, real_covariance=moments.covariance()
    )


def _train(
    images: np.ndarray, labels: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    network = MLPClassifier(
        _HIDDEN, alpha=1e-5, batch_size=128, random_state=_SEED, warm_start=True, tol=0.0
    )
    # One thread: matrices this small are slower on two, and results must not depend on the number.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for rate, epochs in ((3e-3, 12), (1e-3, 4), (2e-4, 3)):
            network.set_params(learning_rate_init=rate, max_iter=epochs, n_iter_no_change=epochs)
            network.fit(images.reshape(len(images), -1).astype(np.float32), labels)
    return (
        tuple(matrix.astype(np.float64) for matrix in network.coefs_),
        tuple(vector.astype(np.float64) for vector in network.intercepts_),
    )


def _training_set(large: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return digits [N, 16, 16] reduced, some as they are, some warped; then what is no digit."""
    generator = np.random.default_rng(_SEED)
    digits = area_resize(large)
    examples = [digits, *(_warped(large, generator) for _ in range(_WARPED_COPIES))]
    rejects = _rejects(digits, labels, generator)
    targets = np.concatenate([np.tile(labels, len(examples)), np.full(len(rejects), CLASSES)])
    return np.concatenate([*examples, rejects]), targets


def _real_digits(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all real digits as [N, size, size] in [0, 1], and their classes."""
    images, labels = handwritten_digits(size)
    return images / 255.0, labels


def _warped(large: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return [N, 16, 16] as [N, 8, 8], each stretched, sheared, shifted and made noisy a little."""
    from scipy.ndimage import map_coordinates

    count, size = large.shape[:2]
    stretch = generator.normal(0.0, [[0.08, 0.12], [0.12, 0.08]], (count, 2, 2)) + np.eye(2)
    shift = generator.normal(0.0, 0.044 * size, (count, 2, 1))
    centre = (size - 1) / 2
    grid = np.indices((size, size)).reshape(1, 2, -1) - centre
    places = stretch @ grid + shift + centre
    which = np.repeat(np.arange(count), size * size)
    coordinates = np.stack([which, places[:, 0].ravel(), places[:, 1].ravel()])
    warped = area_resize(map_coordinates(large, coordinates, order=1).reshape(large.shape))
    return (warped + generator.normal(0.0, 0.03, warped.shape)).clip(0, 1)


def _rejects(digits: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return what generators make that have not learned yet, and what noise makes."""
    count = _REJECTS
    shape = (count, SIDE, SIDE)
    level, contrast = generator.random((2, count, 1, 1))
    coarse = np.kron(generator.random((count, 4, 4)), np.ones((1, 2, 2)))
    picks = digits[generator.integers(len(digits), size=2 * count)]
    shuffled = generator.permuted(picks[:count].reshape(count, -1), axis=1)
    first, second = generator.integers(len(digits), size=(2, 2 * count))
    differ = labels[first] != labels[second]
    share = generator.uniform(0.4, 0.6, (differ.sum(), 1, 1))
    blends = digits[first[differ]] * share + digits[second[differ]] * (1 - share)
    return np.concatenate(
        [
            generator.random(shape),
            (level + 0.4 * contrast * generator.normal(size=shape)).clip(0, 1),
            np.broadcast_to(generator.random((count // 2, 1, 1)), (count // 2, SIDE, SIDE)),
            (coarse + np.roll(coarse, 1, axis=1) + np.roll(coarse, 1, axis=2)) / 3,
            shuffled.reshape(shape),
            blends,
            _gaussian_digits(digits, generator),
            1 - picks[count : count + count // 2],
        ]
    )


def _gaussian_digits(digits: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return what has the digits' mean and covariance but not their shapes."""
    pixels = digits.reshape(len(digits), -1)
    noise = generator.normal(size=(_REJECTS, len(digits))) / np.sqrt(len(digits) - 1)
    samples = pixels.mean(axis=0) + noise @ (pixels - pixels.mean(axis=0))
    return samples.clip(0, 1).reshape(-1, SIDE, SIDE)


@METRICS.register()
class DigitQuality(Metric):
    """Quality of generated handwritten digits, in figures that need no download.

    `accumulate` returns
        frechet: the Fréchet distance from 450 held-out real digits in the classifier's features,
            in per cent of the real features' total variance; the one to quote. Lower is better; few
            images raise it. Real digits have about 0.5, noise more than 100.
        sure: the share of images that are one of the ten digits with a probability of at least 0.9.
        coverage: how many digits are surely seen in at least 2 % of all images (a fifth of their
            fair share), 0 to 10.
        label_accuracy: where classes were asked for, the share of images taken for theirs.
    `reference_figures` gives the same figures of real digits and of noise.
    """

    inputs: ClassVar[tuple[str, ...]] = ("fake", "fake_class?")
    headline: ClassVar[str | None] = "frechet"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._moments = Moments()
        self._sure = np.zeros(CLASSES, np.int64)
        self._labelled = np.zeros(2, np.int64)

    def update(self, fake: Any, fake_class: Any = None) -> None:
        """See generated images.

        Args:
            fake: [N, 1 or 3, H, W] in [-1, 1], of any size.
            fake_class: [N], the digits that were asked for.

        Raises:
            ValueError: other shapes.
        """
        classifier = digit_classifier()
        features = classifier.image_features(fake)
        probabilities = classifier.probabilities(features)
        found = probabilities.argmax(axis=1)
        sure = (found < CLASSES) & (probabilities.max(axis=1) >= SURE)
        if fake_class is not None:
            asked = as_array(fake_class).reshape(-1)
            if len(asked) != len(found):
                raise ValueError(f"{len(asked)} classes were given for {len(found)} images")
            self._labelled += (np.count_nonzero(found == asked), len(asked))
        self._moments.add(features)
        self._sure += np.bincount(found[sure], minlength=CLASSES)

    def accumulate(self) -> dict[str, float]:
        """Return the figures named above.

        Raises:
            ValueError: fewer than two images were seen.
        """
        classifier = digit_classifier()
        count = self._moments.count
        figures = {
            "frechet": frechet_distance(
                self._moments.mean,
                self._moments.covariance(),
                classifier.real_mean,
                classifier.real_covariance,
            ),
            "sure": float(self._sure.sum() / count),
            "coverage": float(np.count_nonzero(self._sure >= COVERED * count)),
        }
        right, labelled = self._labelled
        if labelled:
            figures["label_accuracy"] = float(right / labelled)
        return figures

    def state(self) -> dict[str, np.ndarray]:
        """Return moments and counts."""
        return {
            **self._moments.state(""),
            "sure": self._sure.copy(),
            "labelled": self._labelled.copy(),
        }

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._moments = Moments.merged(states, "")
        self._sure = sum((state["sure"] for state in states), np.zeros(CLASSES, np.int64))
        self._labelled = sum((state["labelled"] for state in states), np.zeros(2, np.int64))


@functools.cache
def reference_figures() -> dict[str, dict[str, float]]:
    """Return DigitQuality's figures of known material, to compare a generator's with.

    Returns:
        Figures of "real digits" (the held-out ones; as Fréchet distance that of the others from
        them, the best that a generator can hope for), and of "uniform noise" and "grey images" of
        all levels, 1000 images of 32 x 32 pixels each.
    """
    images, labels = _real_digits(4 * SIDE)
    images, held_out = images[:, np.newaxis] * 2 - 1, held_out_digits()
    real = _figures(images[held_out], labels[held_out])
    real["frechet"] = _figures(images[~held_out])["frechet"]
    noise = np.random.default_rng(_SEED).uniform(-1, 1, (1000, 1, 32, 32))
    grey = np.broadcast_to(np.linspace(-1, 1, 1000).reshape(-1, 1, 1, 1), noise.shape)
    return {"real digits": real, "uniform noise": _figures(noise), "grey images": _figures(grey)}


def _figures(images: np.ndarray, classes: np.ndarray | None = None) -> dict[str, float]:
    metric = DigitQuality()
    metric.update(images, classes)
    return metric.accumulate()
