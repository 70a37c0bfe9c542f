# SPDX-License-Identifier: Apache-2.0
"""Real digits pass as digits, and nothing else does."""

import random

import cv2
import numpy as np
import paddle
import pytest

from ppzoo.media.digits import handwritten_digits, held_out_digits
from ppzoo.metrics import digits
from ppzoo.metrics.digits import (
    DigitQuality,
    area_resize,
    digit_classifier,
    reference_figures,
    to_digit_scale,
)


@pytest.fixture(scope="module")
def classifier():
    return digit_classifier()


def enlarged(images, size):
    """Pictures [N, S, S] in [0, 1] as [N, 1, size, size] in [-1, 1]."""
    large = [cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in images]
    return np.clip(np.stack(large)[:, None], 0, 1) * 2 - 1


def held_out(size):
    """Real digits that nothing was trained on, [450, 1, size, size] in [-1, 1]."""
    images = handwritten_digits(size)[0][held_out_digits()]
    return images[:, None] / 127.5 - 1


def figures(images, classes=None):
    metric = DigitQuality()
    metric.update(images, classes)
    return metric.accumulate()


class TestScale:
    def test_whole_factors_are_block_means(self):
        images = np.random.default_rng(0).random((3, 32, 16))
        expected = images.reshape(3, 8, 4, 8, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(area_resize(images), expected)

    @pytest.mark.parametrize("size", [5, 8, 28, 33])
    def test_any_size_keeps_the_mean(self, size):
        images = np.random.default_rng(1).random((2, size, size))
        np.testing.assert_allclose(area_resize(images).mean((1, 2)), images.mean((1, 2)))

    def test_range_channels_and_bad_values(self):
        images = np.zeros((2, 3, 8, 8))
        images[0, 0], images[0, 1] = 1.0, 5.0
        images[1] = np.nan
        scaled = to_digit_scale(images)
        np.testing.assert_allclose(scaled[0], (1 + 1 + 0.5) / 3)
        assert not scaled[1].any()
        with pytest.raises(ValueError, match=r"\[8, 8\]"):
            to_digit_scale(np.zeros((8, 8)))


class TestClassifier:
    def test_accuracy_on_digits_it_has_not_seen(self, classifier):
        images, labels = classifier.images, classifier.labels
        assert images.shape == (450, 8, 8)
        assert np.bincount(labels).min() > 40
        odds = classifier.probabilities(classifier.features(images))
        np.testing.assert_allclose(odds.sum(axis=1), 1)
        assert (odds.argmax(axis=1) == labels).mean() >= 0.97

    @pytest.mark.parametrize("size", [16, 28, 32, 64])
    def test_enlarged_digits_come_back(self, classifier, size):
        found = figures(held_out(size), classifier.labels)
        assert found["label_accuracy"] >= 0.97
        assert found["sure"] >= 0.9
        assert found["coverage"] == 10
        assert found["frechet"] < 0.5

    def test_training_again_gives_the_same(self, monkeypatch):
        monkeypatch.setattr(digits, "_WARPED_COPIES", 1)
        one, two = (digit_classifier.__wrapped__() for _ in range(2))
        for first, second in zip(one.weights, two.weights, strict=True):
            np.testing.assert_array_equal(first, second)
        assert one.scale == two.scale

    def test_training_moves_no_random_state(self, monkeypatch):
        monkeypatch.setattr(digits, "_WARPED_COPIES", 1)

        def draws_after(action):
            np.random.seed(3)
            random.seed(3)
            paddle.seed(3)
            action()
            return np.random.rand(), random.random(), paddle.rand([1]).item()

        assert draws_after(digit_classifier.__wrapped__) == draws_after(lambda: None)


class TestNothingElsePasses:
    def test_reference_figures(self):
        references = reference_figures()
        real = references["real digits"]
        assert real["frechet"] < 4
        assert real["sure"] > 0.9
        assert real["coverage"] == 10
        assert real["label_accuracy"] > 0.97
        for name in ("uniform noise", "grey images"):
            assert references[name]["frechet"] > 40 * real["frechet"]
            assert references[name]["sure"] < 0.02
            assert references[name]["coverage"] == 0

    @pytest.mark.parametrize("kind", ["normal", "faint", "coarse", "fine"])
    def test_noise(self, kind):
        rng = np.random.default_rng(7)
        if kind in ("normal", "faint"):
            images = np.tanh(rng.normal(0, 1 if kind == "normal" else 0.1, (500, 1, 32, 32)))
        else:
            images = enlarged(rng.random((500, 4, 4) if kind == "coarse" else (500, 8, 8)), 32)
        found = figures(images)
        assert found["sure"] < 0.05
        assert found["coverage"] == 0
        assert found["frechet"] > 80

    def test_what_only_resembles_digits(self, classifier):
        real, labels = classifier.images, classifier.labels
        rng = np.random.default_rng(8)
        partner = rng.permutation(len(real))
        differ = labels != labels[partner]
        pixels = real.reshape(len(real), -1)
        gaussian = rng.multivariate_normal(pixels.mean(0), np.cov(pixels.T), 500)
        material = {
            "shuffled": rng.permuted(pixels, axis=1).reshape(real.shape),
            "blended": ((real + real[partner]) / 2)[differ],
            "inverted": 1 - real,
            "right moments": gaussian.clip(0, 1).reshape(-1, 8, 8),
            "average": np.repeat(real.mean(0, keepdims=True), 50, axis=0),
        }
        for name, images in material.items():
            found = figures(images[:, None] * 2 - 1)
            assert found["sure"] < 0.3, name
            assert found["coverage"] <= 5, name
            assert found["frechet"] > 4, name

    def test_collapse_shows(self, classifier):
        labels = classifier.labels
        half = figures(held_out(32)[labels < 5])
        single = figures(np.repeat(held_out(32)[:1], 200, axis=0))
        assert half["coverage"] == 5
        assert half["frechet"] > 10
        assert single["coverage"] == 1
        assert single["frechet"] > 100

    def test_not_a_number_is_no_digit(self):
        found = figures(np.full((10, 1, 8, 8), np.nan, np.float32))
        assert found["sure"] == 0
        assert found["frechet"] > 100


class TestMetric:
    def test_labels(self, classifier):
        images = paddle.to_tensor(held_out(32).astype(np.float32))
        right = paddle.to_tensor(classifier.labels.astype(np.int64))
        assert figures(images, right)["label_accuracy"] > 0.97
        assert figures(images, (right + 1) % 10)["label_accuracy"] < 0.02
        assert "label_accuracy" not in figures(images)
        with pytest.raises(ValueError, match="3 classes were given for 450 images"):
            figures(images, right[:3])

    def test_optional_input(self, classifier):
        outputs = {"fake": held_out(16)[:50]}
        metric = DigitQuality()
        metric.update_from(outputs)
        assert set(metric.accumulate()) == {"frechet", "sure", "coverage"}
        metric.update_from({**outputs, "fake_class": classifier.labels[:50]})
        assert metric.headline == "frechet"
        assert metric.accumulate()["label_accuracy"] > 0.9

    def test_merging_equals_one_process(self, classifier):
        images, labels = held_out(16), classifier.labels
        whole, parts = DigitQuality(), [DigitQuality() for _ in range(3)]
        whole.update(images, labels)
        for rank in range(2):
            parts[rank].update(images[rank::2], labels[rank::2])
        parts[2].merge([part.state() for part in parts])
        expected = whole.accumulate()
        found = parts[2].accumulate()
        assert found.pop("frechet") == pytest.approx(expected.pop("frechet"), rel=1e-6)
        assert found == expected

    def test_too_few_and_reset(self, classifier):
        metric = DigitQuality()
        metric.update(held_out(16)[:1])
        with pytest.raises(ValueError, match="at least two images, 1 seen"):
            metric.accumulate()
        metric.update(held_out(16)[1:3])
        metric.reset()
        with pytest.raises(ValueError, match="0 seen"):
            metric.accumulate()
