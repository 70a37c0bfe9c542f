# SPDX-License-Identifier: Apache-2.0
"""Whether translated pictures look like the target domain, judged by a classifier made on the spot.

For translation without pairs there is no truth to compare with. Instead a linear classifier learns
from real pictures of both domains how they differ in texture, edges and colour, and judges pictures
that it has not learned from. The idea is that of the classifier two-sample test (Lopez-Paz & Oquab
2017, arXiv:1610.06545), with features that are few enough for some dozens of pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ppzoo.media.image import as_array
from ppzoo.metrics.features import FeatureMetric
from ppzoo.nn.checks import check_at_least
from ppzoo.registry import METRICS

_LEAST = 10
_PARTS = 5
_SMALLEST = 16
_LUMA = np.array([0.299, 0.587, 0.114])
# Edges of histogram bins, in levels of 0..1; differences are spread over powers of two.
_SLOPES = np.array([0, 1, 2, 4, 8, 16, 32, 64, 512]) / 256
_SHARES = np.linspace(0, 1, 7)
_SIDES = ("fake", "real", "source", "spoiled")


def picture_features(picture: np.ndarray) -> np.ndarray:
    """Return what describes the look of a picture, whatever it shows.

    These are, at full and half size, histograms of the gradient's magnitude and of the standard
    deviation in 3 x 3 pixels, the shares of flat places and of thin dark lines; histograms of
    saturation and brightness, and how unevenly levels of brightness are used. Entries of histograms
    are roots of shares, so that rare things count.

    Args:
        picture: [H, W, 3] in [0, 1], at least 16 x 16.

    Returns:
        float64 [D].
    """
    import cv2

    picture = np.ascontiguousarray(picture, dtype=np.float32)
    parts = []
    halved = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for view in (picture, halved):
        grey = (view @ _LUMA).astype(np.float32)
        dx, dy = cv2.Sobel(grey, -1, 1, 0, scale=0.25), cv2.Sobel(grey, -1, 0, 1, scale=0.25)
        mean = cv2.blur(grey, (3, 3))
        deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, (3, 3)) - mean * mean, 0))
        closed = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        line = (closed - grey > 0.15) & (grey < 0.4)
        parts += [
            _histogram(np.hypot(dx, dy), _SLOPES),
            _histogram(deviation, _SLOPES),
            [np.sqrt((deviation < 0.004).mean()), np.sqrt(line.mean())],
        ]
    brightness = picture.max(axis=-1)
    saturation = (brightness - picture.min(axis=-1)) / np.maximum(brightness, 1e-3)
    levels = _histogram(picture @ _LUMA, np.linspace(0, 1, 65)) ** 2
    entropy = -(levels * np.log(np.maximum(levels, 1e-12))).sum()
    parts += [_histogram(saturation, _SHARES), _histogram(brightness, _SHARES), [entropy]]
    return np.concatenate(parts).astype(np.float64)


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the root of each bin's share; what lies outside counts in the first or last bin."""
    bins = np.searchsorted(edges[1:-1], values.ravel(), side="right")
    return np.sqrt(np.bincount(bins, minlength=len(edges) - 1) / values.size)


def spoiled(picture: np.ndarray) -> list[np.ndarray]:
    """Return a picture [H, W, 3] in [0, 1] blurred, noisy, drowned in noise, pale, and flat."""
    import cv2

    picture = np.ascontiguousarray(picture, dtype=np.float32)
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.15, picture.shape)
    return [
        cv2.GaussianBlur(picture, (0, 0), 3.0),
        (picture + noise).clip(0, 1),
        picture * 0.2 + generator.uniform(0, 0.8, picture.shape),
        picture * 0.25 + 0.375,
        picture * 0.02 + picture.mean(axis=(0, 1)) * 0.98,
    ]


@METRICS.register()
class DomainClassifier(FeatureMetric):
    """Share of translated pictures that pass for the target domain.

    A picture passes if one logistic regression finds it closer to real pictures of the target
    domain than to those of the source domain, and a second one closer to the target domain than to
    spoiled source pictures (blurred, noisy, pale, flat), which resemble neither and could fall on
    either side of the first.

    Every fifth picture of each kind is judged by classifiers that have learned from the others. So
    a picture is judged by what has seen neither its source nor the target picture of the same
    number, which may be its true translation.

    `accumulate` returns
        fooled: the share of translated pictures that pass; the one to quote. Higher is better.
        accuracy: of the same judgement on real pictures: the mean of the shares of source pictures
            that do not pass and of target pictures that do. Below 0.9 the domains are too alike,
            or the pictures too few, for `fooled` to mean much.
        ceiling: the share of target pictures that pass, what `fooled` is for a perfect translation.

    Args:
        reduce: judge pictures whose sides are divided by this, averages of pixels: 1 looks at
            single pixels, where networks trained for minutes give themselves away; 2 does not.

    Raises:
        ValueError: `reduce` is below 1.
    """

    inputs: ClassVar[tuple[str, ...]] = ("fake", "real", "source")
    headline: ClassVar[str | None] = "fooled"

    def __init__(self, reduce: int = 1) -> None:
        check_at_least(1, reduce=reduce)
        self.reduce = reduce
        self.reset()

    def reset(self) -> None:
        """Forget all that was seen."""
        self._seen: dict[str, list[np.ndarray]] = {side: [] for side in _SIDES}

    def update(self, fake: Any, real: Any, source: Any) -> None:
        """See pictures; translated and source ones belong together by their place in the batch.

        Args:
            fake: translated pictures [N, 3, H, W] in [-1, 1]; what lies outside is clipped.
            real: pictures of the target domain [M, 3, H, W].
            source: the pictures that were translated, [N, 3, H, W].

        Raises:
            ValueError: other shapes, numbers that differ, pictures smaller than 16 x 16.
        """
        sides = {"fake": fake, "real": real, "source": source}
        pictures = {side: _pictures(images, self.reduce) for side, images in sides.items()}
        if len(pictures["fake"]) != len(pictures["source"]):
            raise ValueError(
                f"{len(pictures['fake'])} translated pictures do not come from "
                f"{len(pictures['source'])}"
            )
        for side, batch in pictures.items():
            self._seen[side] += [picture_features(picture) for picture in batch]
        self._seen["spoiled"] += [
            np.stack([picture_features(variant) for variant in spoiled(picture)])
            for picture in pictures["source"]
        ]

    def accumulate(self) -> dict[str, float]:
        """Return the figures named above.

        Raises:
            ValueError: fewer than ten pictures of a side were seen.
        """
        sides = {side: np.array(rows) for side, rows in self._seen.items()}
        least = min(map(len, sides.values()))
        if least < _LEAST:
            raise ValueError(
                f"DomainClassifier needs {_LEAST} pictures of each domain, got {least}"
            )
        part = {side: np.arange(len(rows)) % _PARTS for side, rows in sides.items()}
        passed: dict[str, list[bool]] = {"fake": [], "real": [], "source": []}
        for number in range(_PARTS):
            others = {side: rows[part[side] != number] for side, rows in sides.items()}
            spoilt = others["spoiled"].reshape(-1, others["real"].shape[1])
            judges = [_judge(others["source"], others["real"]), _judge(spoilt, others["real"])]
            for side, results in passed.items():
                rows = sides[side][part[side] == number]
                results.extend(np.logical_and.reduce([judge(rows) for judge in judges]))
        fooled, ceiling, floor = (float(np.mean(passed[s])) for s in ("fake", "real", "source"))
        return {"fooled": fooled, "accuracy": (ceiling + 1 - floor) / 2, "ceiling": ceiling}

    def state(self) -> dict[str, np.ndarray]:
        """Return the features of all pictures."""
        return {side: np.array(rows) for side, rows in self._seen.items()}

    def merge(self, states: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Replace what was seen by what the processes with these states have seen together."""
        self._seen = {side: [row for state in states for row in state[side]] for side in _SIDES}


def _pictures(images: Any, reduce: int) -> np.ndarray:
    """Return images [N, 3, H, W] in [-1, 1] as [N, H / reduce, W / reduce, 3] in [0, 1]."""
    array, least = as_array(images), _SMALLEST * reduce
    if array.ndim != 4 or array.shape[1] != 3 or min(array.shape[2:]) < least:
        raise ValueError(
            f"expected images [N, 3, H, W] of at least {least} x {least}, got {list(array.shape)}"
        )
    values = np.nan_to_num(array.astype(np.float32), nan=-1.0).clip(-1, 1)
    height, width = (side // reduce for side in values.shape[2:])
    values = values[:, :, : height * reduce, : width * reduce]
    values = values.reshape([len(values), 3, height, reduce, width, reduce]).mean(axis=(3, 5))
    return (values.transpose(0, 2, 3, 1) + 1) / 2


def _judge(negative: np.ndarray, positive: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that tells which rows are closer to the positive ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    classes = np.repeat([False, True], [len(negative), len(positive)])
    regression = LogisticRegression(class_weight="balanced", max_iter=5000)
    # One thread: the last digits of sums, and so of the result, must not depend on their number.
    with threadpool_limits(limits=1):
        pipeline = make_pipeline(StandardScaler(), regression)
        pipeline.fit(np.concatenate([negative, positive]), classes)
    return pipeline.predict
