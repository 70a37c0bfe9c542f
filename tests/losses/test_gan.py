# SPDX-License-Identifier: Apache-2.0
"""Adversarial losses against their formulae, and a gradient penalty with a known answer."""

import numpy as np
import paddle
import pytest

from ppzoo.losses.gan import GANLoss, GradientPenalty, gradient_penalty, wasserstein_loss
from ppzoo.nn import random

SCORES = np.array([[-2.0, -0.5], [0.3, 4.0]])


def softplus(x):
    return np.log1p(np.exp(x))


def cross_entropy(scores, label):
    return softplus(scores) - label * scores


# mode: the loss of real scores and of fake ones, while the discriminator or the generator learns.
DISCRIMINATOR = {
    "vanilla": (lambda s: cross_entropy(s, 1.0), lambda s: cross_entropy(s, 0.0)),
    "lsgan": (lambda s: (s - 1) ** 2, lambda s: s**2),
    "wgan": (lambda s: -s, lambda s: s),
    "wgangp": (lambda s: -s, lambda s: s),
    "hinge": (lambda s: np.maximum(0, 1 - s), lambda s: np.maximum(0, 1 + s)),
    "logistic": (lambda s: softplus(-s), softplus),
}
GENERATOR = DISCRIMINATOR | {"hinge": (lambda s: -s, lambda s: s)}


def scores():
    return paddle.to_tensor(SCORES.astype("float32"))


class TestGANLoss:
    @pytest.mark.parametrize("updating_d", [True, False])
    @pytest.mark.parametrize("real", [True, False])
    @pytest.mark.parametrize("mode", DISCRIMINATOR)
    def test_formulae(self, mode, real, updating_d):
        formula = (DISCRIMINATOR if updating_d else GENERATOR)[mode][0 if real else 1]
        loss = GANLoss(mode)(scores(), real, is_updating_D=updating_d)
        assert loss.shape == []
        assert float(loss) == pytest.approx(formula(SCORES).mean(), rel=1e-5)

    @pytest.mark.parametrize("mode", DISCRIMINATOR)
    def test_gradients_equal_finite_differences(self, mode):
        formula = DISCRIMINATOR[mode][0]
        tensor = scores()
        tensor.stop_gradient = False
        GANLoss(mode)(tensor, True, is_updating_D=True).backward()
        difference = (formula(SCORES + 1e-6) - formula(SCORES - 1e-6)) / 2e-6 / SCORES.size
        np.testing.assert_allclose(tensor.grad.numpy(), difference, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize(
        ("mode", "formula"), [("vanilla", cross_entropy), ("lsgan", lambda s, y: (s - y) ** 2)]
    )
    def test_labels(self, mode, formula):
        criterion = GANLoss(mode, target_real_label=0.9, target_fake_label=0.1)
        assert float(criterion(scores(), True)) == pytest.approx(formula(SCORES, 0.9).mean())
        assert float(criterion(scores(), False)) == pytest.approx(formula(SCORES, 0.1).mean())

    @pytest.mark.parametrize("mode", DISCRIMINATOR)
    def test_weight_applies_unless_the_discriminator_learns(self, mode):
        plain, weighted = GANLoss(mode), GANLoss(mode, loss_weight=0.25)
        expected = float(plain(scores(), False))
        assert float(weighted(scores(), False)) == pytest.approx(0.25 * expected)
        assert float(weighted(scores(), False, is_disc=True)) == pytest.approx(expected)

    def test_shapes_may_change_from_call_to_call(self):
        criterion = GANLoss("vanilla")
        for shape in ([2, 1], [3, 1, 6, 6], [1, 1, 3, 3]):
            assert float(criterion(paddle.zeros(shape), True)) == pytest.approx(np.log(2))

    def test_large_logits_stay_finite(self):
        tensor = paddle.to_tensor([-1e4, 1e4])
        for mode in ("vanilla", "logistic"):
            assert float(GANLoss(mode)(tensor, True)) == pytest.approx(5e3)

    def test_an_unknown_mode_is_refused(self):
        with pytest.raises(ValueError, match="gan_mode is 'wgan-gp', expected one of 'vanilla'"):
            GANLoss("wgan-gp")

    def test_a_negative_weight_is_refused(self):
        with pytest.raises(ValueError, match=r"loss_weight is -1.0, expected at least 0"):
            GANLoss("vanilla", loss_weight=-1.0)
        with pytest.raises(ValueError, match=r"loss_weight is -0.5, expected at least 0"):
            GradientPenalty(loss_weight=-0.5)

    def test_has_no_weights(self):
        assert not GANLoss("vanilla").state_dict()

    def test_a_perfect_critic_earns_the_distance_of_the_means(self):
        loss = wasserstein_loss(paddle.full([4], 3.0), True) + wasserstein_loss(
            paddle.full([4], 1.0), False
        )
        assert float(loss) == pytest.approx(-2.0)


class Halves:
    """Noise that puts every point half-way."""

    def uniform(self, shape):
        return np.full(shape, 0.5)


class TestGradientPenalty:
    def test_penalty_is_zero_for_unit_slope(self):
        """The slope of a function of a whole sample, over all its values."""
        direction = np.random.default_rng(0).normal(size=[3, 8, 8])
        direction = paddle.to_tensor((direction / np.linalg.norm(direction)).astype("float32"))

        def critic(x):
            return (x * direction).sum(axis=[1, 2, 3])

        real, fake = paddle.randn([4, 3, 8, 8]), paddle.randn([4, 3, 8, 8])
        assert float(gradient_penalty(critic, real, fake)) == pytest.approx(0.0, abs=1e-8)
        steep = gradient_penalty(lambda x: 3 * critic(x), real, fake)
        assert float(steep) == pytest.approx(4.0, rel=1e-4)

    def test_points_lie_between_fake_and_real(self):
        """For D(x) = |x|^2 / 2 the slope is the point itself."""
        real, fake = paddle.full([1, 1, 1, 4], 4.0), paddle.full([1, 1, 1, 4], 1.0)

        def critic(x):
            return 0.5 * (x * x).sum(axis=[1, 2, 3])

        with random.source(Halves()):
            assert float(gradient_penalty(critic, real, fake)) == pytest.approx((5 - 1) ** 2)
        sizes = {float(gradient_penalty(critic, real, fake)) for _ in range(20)}
        assert len(sizes) == 20
        assert (2 - 1) ** 2 < min(sizes) < max(sizes) < (8 - 1) ** 2

    def test_each_sample_has_its_point(self):
        asked = []

        class Ramp:
            def uniform(self, shape):
                asked.append(tuple(shape))
                return np.linspace(0, 1, shape[0])

        slopes = []

        def critic(x):
            slopes.append(x.numpy()[:, 0, 0, 0])
            return x.sum(axis=[1, 2, 3])

        with random.source(Ramp()):
            gradient_penalty(critic, paddle.ones([3, 1, 2, 2]), paddle.zeros([3, 1, 2, 2]))
        assert asked == [(3,)]
        np.testing.assert_allclose(slopes[0], [0.0, 0.5, 1.0])

    def test_gradient_reaches_the_critics_weights(self):
        """(||w|| - 1)^2 for a linear critic: its gradient is 2 (||w|| - 1) w / ||w||."""
        weight = paddle.to_tensor([3.0, 4.0])
        weight.stop_gradient = False
        penalty = gradient_penalty(lambda x: x @ weight, paddle.randn([5, 2]), paddle.randn([5, 2]))
        penalty.backward()
        assert float(penalty) == pytest.approx(16.0, rel=1e-5)
        np.testing.assert_allclose(weight.grad.numpy(), [8 * 0.6, 8 * 0.8], rtol=1e-4)

    def test_gradient_does_not_reach_the_samples(self):
        real, fake = paddle.randn([2, 3]), paddle.randn([2, 3])
        fake.stop_gradient = False
        weight = paddle.ones([3])
        weight.stop_gradient = False
        gradient_penalty(lambda x: (x**2) @ weight, real, fake).backward()
        assert fake.grad is None
        assert weight.grad is not None

    def test_a_flat_critic_costs_one_and_has_a_gradient(self):
        weight = paddle.zeros([3])
        weight.stop_gradient = False
        penalty = gradient_penalty(lambda x: x @ weight, paddle.randn([2, 3]), paddle.randn([2, 3]))
        penalty.backward()
        assert float(penalty) == pytest.approx(1.0, abs=1e-5)
        assert np.isfinite(weight.grad.numpy()).all()

    def test_scores_may_be_maps(self):
        """PatchGAN: the slope of the sum of all patches."""
        real, fake = paddle.randn([2, 1, 4, 4]), paddle.randn([2, 1, 4, 4])
        as_map = gradient_penalty(lambda x: 0.25 * x, real, fake)
        assert float(as_map) == pytest.approx(0.0, abs=1e-6)

    def test_criterion_has_a_weight(self):
        real, fake = paddle.randn([2, 3]), paddle.randn([2, 3])
        criterion = GradientPenalty(loss_weight=10.0)
        weight = paddle.full([3], 2.0)
        expected = 10 * (12**0.5 - 1) ** 2
        assert float(criterion(lambda x: x @ weight, real, fake)) == pytest.approx(expected, 1e-4)
        assert GradientPenalty().loss_weight == 1.0
