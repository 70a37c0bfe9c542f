# SPDX-License-Identifier: Apache-2.0
"""KID against sums written out, its expectation, and its independence of order."""

import numpy as np
import pytest

from ppzoo.errors import UserError
from ppzoo.metrics.kid import KID, polynomial_mmd


def flatten(images):
    return images.reshape(len(images), -1)


def naive_mmd(x, y):
    def kernel(a, b):
        return (float(np.dot(a, b)) / len(a) + 1) ** 3

    xx = [kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    yy = [kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    xy = [kernel(a, b) for a in x for b in y]
    return np.mean(xx) + np.mean(yy) - 2 * np.mean(xy)


def images(rng, count, mean=0.0):
    return rng.normal(mean, 1.0, (count, 1, 2, 3)).astype(np.float32)


class TestMmd:
    def test_equals_the_sums_written_out(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(9, 5)), rng.normal(0.5, 1, (7, 5))
        assert polynomial_mmd(x, y) == pytest.approx(naive_mmd(x, y), rel=1e-12)

    def test_by_hand(self):
        x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [1.0]])
        assert polynomial_mmd(x, y) == pytest.approx(1 + 8 - 2 * (1 + 1 + 8 + 8) / 4)
        linear = polynomial_mmd(x, y, degree=1, gamma=2.0, coef0=0.0)
        assert linear == pytest.approx(0 + 2 - 2 * (0 + 0 + 2 + 2) / 4)

    def test_unbiased(self):
        rng = np.random.default_rng(1)
        figures = [
            polynomial_mmd(rng.normal(size=(12, 4)), rng.normal(size=(8, 4))) for _ in range(2000)
        ]
        error = np.std(figures) / np.sqrt(len(figures))
        assert abs(np.mean(figures)) < 4 * error
        assert min(figures) < 0

    def test_shapes_are_named(self):
        with pytest.raises(ValueError, match=r"\[3, 4\] and \[3, 5\]"):
            polynomial_mmd(np.zeros((3, 4)), np.zeros((3, 5)))
        with pytest.raises(ValueError, match="N, M >= 2"):
            polynomial_mmd(np.zeros((1, 4)), np.zeros((3, 4)))


class TestMetric:
    def test_small_sets_are_compared_whole(self):
        rng = np.random.default_rng(2)
        fake, real = images(rng, 20, 0.4), images(rng, 30)
        metric = KID(flatten)
        metric.update(fake[:8], real[:8])
        metric.update(fake[8:], real[8:])
        figures = metric.accumulate()
        assert figures["mean"] == pytest.approx(naive_mmd(flatten(fake), flatten(real)), rel=1e-5)
        assert figures["std"] == 0.0
        assert metric.headline in figures

    def test_subsets_are_fixed_and_do_not_depend_on_order(self):
        rng = np.random.default_rng(3)
        fake, real = images(rng, 60, 0.3), images(rng, 80)
        results = []
        for order in (slice(None), slice(None, None, -1)):
            metric = KID(flatten, subsets=10, subset_size=20)
            metric.update(fake[order], real[order])
            results.append(metric.accumulate())
        other = KID(flatten, subsets=10, subset_size=20, seed=1)
        other.update(fake, real)
        assert results[0] == results[1]
        assert results[0]["std"] > 0
        assert other.accumulate() != results[0]
        whole = polynomial_mmd(flatten(fake), flatten(real))
        assert abs(results[0]["mean"] - whole) < 3 * results[0]["std"] / np.sqrt(10)

    def test_merging_equals_one_process(self):
        rng = np.random.default_rng(4)
        fake, real = images(rng, 31), images(rng, 40)
        whole = KID(flatten, subset_size=15, subsets=5)
        parts = [KID(flatten, subset_size=15, subsets=5) for _ in range(3)]
        whole.update(fake, real)
        for rank in range(2):
            parts[rank].update(fake[rank::2], real[rank::2])
        parts[2].merge([part.state() for part in parts])
        assert parts[2].accumulate() == whole.accumulate()

    def test_separates(self):
        rng = np.random.default_rng(5)
        real = images(rng, 200)
        figures = []
        for mean in (0.0, 0.5, 1.0):
            metric = KID(flatten)
            metric.update(images(rng, 200, mean), real)
            figures.append(metric.accumulate()["mean"])
        assert abs(figures[0]) < 0.2 * figures[1] < 0.1 * figures[2]

    def test_refusals(self):
        with pytest.raises(UserError, match="feature_extractor of the metric KID"):
            KID(3)
        with pytest.raises(ValueError, match="subset_size"):
            KID(flatten, subset_size=1)
        metric = KID(flatten)
        with pytest.raises(ValueError, match="got 0 and 0"):
            metric.accumulate()
        metric.update(np.zeros((1, 1, 2, 2)), np.zeros((3, 1, 2, 2)))
        with pytest.raises(ValueError, match="got 1 and 3"):
            metric.accumulate()
        metric.reset()
        with pytest.raises(ValueError, match="got 0 and 0"):
            metric.accumulate()
