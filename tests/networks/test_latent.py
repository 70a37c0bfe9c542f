# SPDX-License-Identifier: Apache-2.0
"""Sampling: a function of the seed, truncation, classes in turn, walks between latents."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.networks.latent import LatentGenerator, lerp, slerp
from ppzoo.nn import random


class Copy(LatentGenerator):
    """Returns its latents as pictures, plus 100 for each class number."""

    def __init__(self, distribution="normal", n_class=0):
        super().__init__()
        self.latent_shape = (3, 1, 1)
        self.latent_distribution = distribution
        self.n_class = n_class
        self.norm = nn.BatchNorm2D(3)
        self.batches = []

    def forward(self, z, class_id=None):
        self.batches.append(z.shape[0])
        assert paddle.is_grad_enabled() == self.training
        return (
            z if class_id is None else z + 100.0 * class_id.reshape([-1, 1, 1, 1]).astype(z.dtype)
        )


def classes_of(samples):
    return np.round(samples.numpy()[:, 0, 0, 0] / 100).astype(int).tolist()


class TestRandomInputs:
    def test_normal(self):
        (z,) = Copy().random_inputs(2000)
        assert z.shape == [2000, 3, 1, 1]
        assert z.numpy().std() == pytest.approx(1.0, abs=0.05)
        assert z.numpy().min() < -2

    def test_uniform(self):
        (z,) = Copy("uniform").random_inputs(2000)
        assert 0.0 <= z.numpy().min() < 0.01 < 0.99 < z.numpy().max() < 1.0

    def test_conditional(self):
        z, classes = Copy(n_class=4).random_inputs(200)
        assert z.shape == [200, 3, 1, 1]
        assert classes.dtype == paddle.int64
        assert set(classes.numpy().tolist()) == {0, 1, 2, 3}

    def test_draws_from_the_common_source(self):
        class Zeros:
            def normal(self, shape):
                return np.zeros(shape)

        with random.source(Zeros()):
            assert not Copy().random_inputs(4)[0].numpy().any()


class TestLatents:
    @pytest.mark.parametrize("distribution", ["normal", "uniform"])
    def test_are_a_function_of_the_seed(self, distribution):
        generator = Copy(distribution)
        paddle.seed(1)
        first = generator.latents(5, seed=3).numpy()
        paddle.seed(2)
        assert np.array_equal(generator.latents(5, seed=3).numpy(), first)
        assert not np.array_equal(generator.latents(5, seed=4).numpy(), first)

    def test_more_begin_with_the_fewer(self):
        generator = Copy()
        fewer, more = generator.latents(3, seed=1).numpy(), generator.latents(8, seed=1).numpy()
        assert np.array_equal(more[:3], fewer)

    def test_normal_ones_are_truncated_towards_zero(self):
        generator = Copy()
        full, half = generator.latents(500).numpy(), generator.latents(500, truncation=0.5).numpy()
        np.testing.assert_allclose(half, 0.5 * full, rtol=1e-6)

    def test_uniform_ones_are_truncated_towards_the_middle(self):
        z = Copy("uniform").latents(500, truncation=0.5).numpy()
        assert 0.25 <= z.min() < 0.26
        assert 0.74 < z.max() < 0.75

    @pytest.mark.parametrize("truncation", [0.0, -0.5, 1.01, float("nan")])
    def test_truncation_has_a_range(self, truncation):
        with pytest.raises(ValueError, match="truncation is"):
            Copy().latents(2, truncation=truncation)


class TestSample:
    def test_is_what_the_latents_give(self):
        generator = Copy()
        samples = generator.sample(70, seed=2)
        assert np.array_equal(samples.numpy(), generator.latents(70, seed=2).numpy())
        assert generator.batches == [64, 6]

    def test_needs_no_gradient_and_restores_the_mode(self):
        generator = Copy()
        assert generator.sample(2).stop_gradient
        assert generator.training
        assert generator.norm.training
        generator.eval()
        generator.sample(2)
        assert not generator.training

    def test_a_mode_is_restored_after_an_error_too(self):
        generator = Copy()
        generator.norm.eval()
        generator.forward = None
        with pytest.raises(TypeError):
            generator.sample(2)
        assert generator.training
        assert not generator.norm.training

    def test_does_not_touch_paddles_generator(self):
        generator = Copy(n_class=3)
        paddle.seed(1)
        expected = random.normal([3]).numpy()
        paddle.seed(1)
        generator.sample(3)
        assert np.array_equal(random.normal([3]).numpy(), expected)

    def test_classes_take_turns(self):
        assert classes_of(Copy(n_class=3).sample(7, truncation=0.01)) == [0, 1, 2, 0, 1, 2, 0]

    def test_one_class_for_all(self):
        generator = Copy(n_class=3)
        assert classes_of(generator.sample(4, truncation=0.01, class_id=2)) == [2] * 4
        assert classes_of(generator.sample(2, truncation=0.01, class_id=np.int64(1))) == [1, 1]

    def test_one_class_each(self):
        generator = Copy(n_class=3)
        classes = [2, 0, 1, 1]
        assert classes_of(generator.sample(4, truncation=0.01, class_id=classes)) == classes
        assert (
            classes_of(generator.sample(4, truncation=0.01, class_id=np.array(classes))) == classes
        )

    def test_wrong_classes_are_refused(self):
        generator = Copy(n_class=3)
        with pytest.raises(ValueError, match="class_id is 3, expected 0 to 2"):
            generator.sample(2, class_id=3)
        with pytest.raises(ValueError, match="class_id is -1, expected 0 to 2"):
            generator.sample(2, class_id=[0, -1])
        with pytest.raises(ValueError, match="class_id has 3 entries for 2 samples"):
            generator.sample(2, class_id=[0, 1, 2])
        with pytest.raises(ValueError, match="this generator is not conditional"):
            Copy().sample(2, class_id=0)

    @pytest.mark.parametrize("num", [0, -1])
    def test_there_is_something_to_sample(self, num):
        with pytest.raises(ValueError, match=f"num is {num}, expected at least 1"):
            Copy().sample(num)


class TestInterpolate:
    @pytest.mark.parametrize("distribution", ["normal", "uniform"])
    def test_walks_from_one_latent_to_another(self, distribution):
        generator = Copy(distribution)
        ends = generator.latents(4, seed=6).numpy()
        walks = generator.interpolate(2, steps=5, seed=6).numpy().reshape(2, 5, 3, 1, 1)
        np.testing.assert_allclose(walks[:, 0], ends[:2], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(walks[:, -1], ends[2:], rtol=1e-5, atol=1e-6)

    def test_uniform_latents_go_straight(self):
        walks = Copy("uniform").interpolate(3, steps=3).numpy().reshape(3, 3, 3)
        np.testing.assert_allclose(walks[:, 1], (walks[:, 0] + walks[:, 2]) / 2, atol=1e-6)

    def test_normal_latents_keep_their_length(self):
        generator = Copy()
        generator.latent_shape = (3, 8, 8)
        walks = generator.interpolate(4, steps=5, seed=1).numpy().reshape(4, 5, -1)
        lengths = np.linalg.norm(walks, axis=2) / 192**0.5
        assert lengths.min() > 0.9
        assert lengths.max() < 1.1
        straight = np.linalg.norm(walks[:, 0] + walks[:, -1], axis=1) / 2 / 192**0.5
        assert straight.max() < 0.8

    def test_a_walk_stays_in_its_class(self):
        generator = Copy(n_class=3)
        options = {"num": 2, "steps": 3, "truncation": 0.01}
        assert classes_of(generator.interpolate(**options)) == [0, 0, 0, 1, 1, 1]
        assert classes_of(generator.interpolate(**options, class_id=[2, 1])) == [2, 2, 2, 1, 1, 1]
        assert classes_of(generator.interpolate(**options, class_id=2)) == [2] * 6

    def test_a_walk_has_two_ends(self):
        with pytest.raises(ValueError, match="steps is 1, expected at least 2"):
            Copy().interpolate(2, steps=1)


class TestCurves:
    def test_lerp(self):
        assert lerp(np.array([[0.0]]), np.array([[8.0]]), 0.25).tolist() == [[2.0]]

    def test_slerp_follows_a_circle(self):
        start, end = np.array([[2.0, 0.0]]), np.array([[0.0, 2.0]])
        for t in (0.0, 0.25, 1.0):
            angle = t * np.pi / 2
            expected = [[2 * np.cos(angle), 2 * np.sin(angle)]]
            np.testing.assert_allclose(slerp(start, end, t), expected, atol=1e-12)

    def test_slerp_treats_each_row_alone(self):
        start = np.array([[1.0, 0.0], [3.0, 0.0]]).reshape(2, 2, 1)
        end = np.array([[0.0, 1.0], [3.0, 0.0]]).reshape(2, 2, 1)
        half = slerp(start, end, 0.5)
        assert half.shape == (2, 2, 1)
        np.testing.assert_allclose(half[0, :, 0], [0.5**0.5, 0.5**0.5])
        np.testing.assert_allclose(half[1], start[1])

    @pytest.mark.parametrize("end", [[1.0, 2.0], [-1.0, -2.0]])
    def test_slerp_is_defined_where_there_is_no_circle(self, end):
        start = np.array([[1.0, 2.0]])
        end = np.array([end])
        np.testing.assert_allclose(slerp(start, end, 0.5), (start + end) / 2, atol=1e-12)

    def test_slerp_survives_a_latent_of_zeros(self):
        assert np.isfinite(slerp(np.zeros([1, 2]), np.ones([1, 2]), 0.5)).all()
