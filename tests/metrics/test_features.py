# SPDX-License-Identifier: Apache-2.0
"""Moments and distances against closed forms; extractors of every kind."""

import numpy as np
import paddle
import pytest
from scipy import linalg

from ppzoo.errors import UserError
from ppzoo.metrics.features import Moments, extract, find_extractor, frechet_distance


@pytest.fixture
def rng():
    return np.random.default_rng(11)


class TestFrechet:
    def test_closed_forms(self):
        one = np.eye(3)
        mean, zero = np.array([1.0, 2.0, 2.0]), np.zeros(3)
        assert frechet_distance(mean, one, zero, one) == pytest.approx(9.0)
        assert frechet_distance(zero, 4 * one, zero, 9 * one) == pytest.approx(3.0)
        a, b = np.diag([1.0, 4.0, 0.0]), np.diag([9.0, 0.0, 16.0])
        assert frechet_distance(zero, a, mean, b) == pytest.approx(4 + 4 + 16 + 9)

    def test_equals_the_matrix_root(self, rng):
        x, y = rng.normal(size=(50, 7)), rng.normal(0.3, 2.0, (40, 7)) @ rng.normal(size=(7, 7))
        s, t = np.cov(x.T), np.cov(y.T)
        root = linalg.sqrtm(s @ t).real
        expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root)
        found = frechet_distance(x.mean(0), s, y.mean(0), t)
        assert found == pytest.approx(expected, rel=1e-9)
        assert frechet_distance(y.mean(0), t, x.mean(0), s) == pytest.approx(found, rel=1e-9)

    def test_singular_covariances(self, rng):
        few = rng.normal(size=(10, 200))
        mean, sigma = few.mean(0), np.cov(few.T)
        assert 0 <= frechet_distance(mean, sigma, mean, sigma) < 1e-6 * np.trace(sigma)
        zero = np.zeros_like(sigma)
        assert frechet_distance(mean, zero, mean, sigma) == pytest.approx(np.trace(sigma))
        assert frechet_distance(mean, zero, mean, zero) == 0.0

    def test_disjoint_subspaces(self, rng):
        basis = np.linalg.qr(rng.normal(size=(20, 20)))[0]
        a, b = (part @ part.T for part in (basis[:, :10], basis[:, 10:]))
        assert frechet_distance(np.zeros(20), a, np.zeros(20), b) == pytest.approx(20)

    def test_not_finite(self):
        bad = np.array([np.nan, 0.0])
        assert np.isnan(frechet_distance(bad, np.eye(2), np.zeros(2), np.eye(2)))

    def test_shapes_are_named(self):
        with pytest.raises(ValueError, match=r"\[2\], \[2, 2\], \[3\] and \[3, 3\]"):
            frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


class TestMoments:
    def test_any_split_equals_numpy(self, rng):
        data = 1e4 + rng.normal(size=(101, 6))
        parts = [Moments() for _ in range(3)]
        for index, batch in enumerate(np.split(data, [1, 1, 30, 37, 90])):
            parts[index % 3].add(batch)
        merged = Moments.merged([part.state("x_") for part in parts], "x_")
        assert merged.count == 101
        np.testing.assert_allclose(merged.mean, data.mean(0), rtol=1e-13)
        np.testing.assert_allclose(merged.covariance(), np.cov(data.T), rtol=1e-8, atol=1e-11)

    def test_merging_leaves_the_parts_alone(self, rng):
        part = Moments()
        part.add(rng.normal(size=(5, 3)))
        before = {key: value.copy() for key, value in part.state("").items()}
        Moments.merged([part.state(""), part.state("")], "")
        for key, value in part.state("").items():
            np.testing.assert_array_equal(value, before[key])

    def test_too_few(self):
        moments = Moments()
        with pytest.raises(ValueError, match="0 seen"):
            moments.covariance()
        moments.add(np.zeros((1, 4)))
        with pytest.raises(ValueError, match="1 seen"):
            moments.covariance()

    def test_another_number_of_features(self):
        moments = Moments()
        moments.add(np.zeros((2, 4)))
        with pytest.raises(ValueError, match="5 features per image after 4"):
            moments.add(np.zeros((2, 5)))


class TestExtractors:
    def test_unknown_names_are_explained(self):
        with pytest.raises(UserError, match=r"'inception' or 'digits', got 'inceptoin'"):
            find_extractor("inceptoin", "FID")

    def test_a_layer_runs_in_eval_mode_without_gradients(self):
        layer = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 2), paddle.nn.BatchNorm2D(4))
        kept = []
        layer.register_forward_post_hook(lambda _, __, output: kept.append(output))
        network = paddle.nn.Sequential(layer, paddle.nn.AdaptiveAvgPool2D(1))
        extractor = find_extractor(network, "FID")
        images = paddle.rand([5, 3, 6, 6])
        features = extract(extractor, images)
        assert features.shape == (5, 4)
        assert features.dtype == np.float64
        assert kept[0].stop_gradient
        np.testing.assert_allclose(features[:2], extract(extractor, images[:2]), atol=1e-5)

    def test_numpy_functions_work(self):
        features = extract(lambda images: images.mean(axis=(2, 3)), np.ones((4, 3, 2, 2)))
        assert features.tolist() == [[1.0] * 3] * 4

    def test_shapes_are_named(self):
        with pytest.raises(ValueError, match=r"\[3, 2, 2\]"):
            extract(lambda images: images, np.zeros((3, 2, 2)))
        with pytest.raises(ValueError, match=r"\[N, D\] for 4 images, got \[4, 3, 2, 2\]"):
            extract(lambda images: images, np.zeros((4, 3, 2, 2)))
        with pytest.raises(ValueError, match=r"got \[1, 7\]"):
            extract(lambda images: np.zeros((1, 7)), np.zeros((4, 3, 2, 2)))
