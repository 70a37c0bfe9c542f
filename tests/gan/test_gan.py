# SPDX-License-Identifier: Apache-2.0
"""WGAN, WGAN-GP and the conditional GAN: who learns when, and where PaddleGAN is not followed."""

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.losses.gan import GANLoss, GradientPenalty
from ppzoo.nn import random
from tests.gan.pieces import N_CLASS, batch_of, changed, make_dcgan, make_gan, state

CLIP = 0.01


def train(model, iterations, size=8):
    """Train and return the losses of each iteration."""
    logs = []
    for iteration in range(iterations):
        model.iteration = iteration
        logs.append(model.train_step(batch_of(size)))
    return [{name: float(value) for name, value in log.items()} for log in logs]


class TestTurns:
    def generators_turns(self, **params):
        return [i for i, log in enumerate(train(make_gan(params=params), 9)) if "G_adv_loss" in log]

    def test_iteration_0_is_the_discriminators_alone(self):
        assert self.generators_turns() == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_disc_iters(self):
        assert self.generators_turns(disc_iters=3) == [3, 6]

    def test_disc_start_iters(self):
        assert self.generators_turns(disc_start_iters=5) == [6, 7, 8]
        assert self.generators_turns(disc_start_iters=3, disc_iters=3) == [6]

    def test_a_generator_that_waits_keeps_its_weights(self):
        model = make_gan(params={"disc_iters": 5})
        before = state(model)
        train(model, 1)
        moved = changed(before, state(model))
        assert "netD.model.0.weight" in moved
        # Its statistics move: it did make pictures.
        assert {key.rsplit(".")[-1] for key in moved if key.startswith("netG")} == {
            "_mean",
            "_variance",
        }

    def test_a_generator_learns_in_its_turn(self):
        model = make_gan()
        train(model, 1)
        before = state(model)
        model.iteration = 1
        model.train_step(batch_of(8))
        moved = changed(before, state(model))
        assert {"netG.l1.0.weight", "netG.conv_blocks.9.weight", "netD.model.0.weight"} <= moved

    def test_noise_is_one_normal_draw_a_step(self):
        drawn = []

        class Source:
            def normal(self, shape):
                drawn.append(("normal", list(shape)))
                return np.zeros(shape)

            def randint(self, low, high, shape):
                drawn.append(("randint", low, high, list(shape)))
                return np.ones(shape, "int64")

        with random.source(Source()):
            train(make_gan(), 2)
            train(make_gan(conditional=True), 1)
        normal = ("normal", [5, 4])
        assert drawn == [normal, normal, normal, ("randint", 0, N_CLASS, [5])]


class TestEveryMode:
    @pytest.mark.parametrize("norm_type", ["batch", "instance", "spectral", "none"])
    @pytest.mark.parametrize("conditional", [False, True])
    @pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgan", "wgangp", "hinge", "logistic"])
    def test_trains(self, mode, conditional, norm_type):
        model = make_gan(mode, conditional, norm_type, optimizer={"name": "Adam", "beta1": 0.5})
        before = state(model)
        logs = train(model, 2)
        assert np.isfinite([*logs[0].values(), *logs[1].values()]).all()
        moved = changed(before, state(model))
        assert any(key.startswith("netG") and key.endswith("weight") for key in moved)

    @pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgan", "wgangp"])
    def test_samples_move_towards_the_pictures(self, mode):
        """Against pictures that are all white, a few steps make the samples brighter."""
        adam = {"name": "Adam", "beta1": 0.5}
        model = make_gan(mode, norm_type="none", lr=1e-2, optimizer=adam)
        white = {"img": paddle.ones([8, 1, 8, 8])}
        assert abs(float(model.nets.netG.sample(16).mean())) < 0.05
        for iteration in range(40):
            model.iteration = iteration
            model.train_step(white)
        assert float(model.nets.netG.sample(16).mean()) > 0.4

    def test_classes_reach_both_networks(self):
        """Class 0 is black, class 2 white: samples follow their class."""
        adam = {"name": "Adam", "beta1": 0.5}
        model = make_gan("lsgan", conditional=True, norm_type="none", lr=1e-2, optimizer=adam)
        classes = paddle.to_tensor([0, 2] * 8)
        shades = classes.astype("float32").reshape([-1, 1, 1, 1]) - 1.0
        batch = {"img": shades.expand([16, 1, 8, 8]), "class_id": classes}
        for iteration in range(120):
            model.iteration = iteration
            model.train_step(batch)
        black, white = (float(model.nets.netG.sample(16, class_id=c).mean()) for c in (0, 2))
        assert white - black > 0.5


class TestClipping:
    def test_clipping_spares_frozen_scales(self):
        model = make_gan("wgan", norm_type="instance")
        train(model, 3)
        critic = model.nets.netD.state_dict()
        assert critic["model.3.scale"].numpy().tolist() == [1.0] * 8
        scores = model.nets.netD(batch_of(8)["img"]).numpy()
        # Clipped as well, the scale would leave 1e-6 of the differences between pictures.
        assert np.ptp(scores) > 1e-4

    def test_every_trained_weight_is_clipped(self):
        model = make_gan("wgan", norm_type="instance", lr=10.0)
        train(model, 2)
        trained = [p for p in model.nets.netD.parameters() if not p.stop_gradient]
        sizes = [float(p.abs().max()) for p in trained]
        assert len(sizes) == 6
        assert max(sizes) == pytest.approx(CLIP)

    def test_running_statistics_are_not_clipped(self):
        model = make_gan("wgan", norm_type="batch")
        train(model, 2)
        critic = model.nets.netD.state_dict()
        assert critic["model.3._variance"].numpy().min() > 0.5
        assert critic["model.3.weight"].numpy().max() <= CLIP + 1e-9

    def test_the_generator_is_not_clipped(self):
        model = make_gan("wgan")
        train(model, 2)
        assert float(model.nets.netG.l1[0].weight.abs().max()) > 2 * CLIP

    def test_its_limit_is_an_option(self):
        model = make_gan("wgan", lr=10.0, params={"clip_limit": 0.5})
        train(model, 2)
        assert float(model.nets.netD.model[0].weight.abs().max()) == pytest.approx(0.5)

    @pytest.mark.parametrize("mode", ["vanilla", "wgangp"])
    def test_other_modes_do_not_clip(self, mode):
        model = make_gan(mode, lr=1.0)
        train(model, 1)
        assert float(model.nets.netD.model[0].weight.abs().max()) > CLIP

    def test_the_critic_keeps_its_gradient_for_the_next_step(self):
        model = make_gan("wgan")
        train(model, 2)
        assert all(not p.stop_gradient for p in model.nets.netD.model[0].parameters())


class TestGradientPenalty:
    def d_loss(self, model, batch):
        classes = [batch["class_id"].reshape([-1])] if model.nets.netG.n_class else []
        return model.d_loss([batch["img"], *classes], [-batch["img"], *classes])

    def test_wgangp_has_its_penalty(self):
        model, batch = make_gan("wgangp", norm_type="none"), batch_of(8)
        assert isinstance(model.gp_criterion, GradientPenalty)
        paddle.seed(2)
        total, logs = self.d_loss(model, batch)
        paddle.seed(2)
        penalty = GradientPenalty(10.0)(model.nets.netD, batch["img"], -batch["img"])
        assert list(logs) == ["D_fake_loss", "D_real_loss", "D_gp_loss"]
        assert float(logs["D_gp_loss"]) == pytest.approx(float(penalty))
        assert float(penalty) > 1.0
        expected = logs["D_fake_loss"] + logs["D_real_loss"] + penalty
        assert float(total) == pytest.approx(float(expected))

    def test_it_bounds_the_slope(self):
        """Trained to tell black from white, a critic without penalty grows without end."""
        adam = {"name": "Adam", "beta1": 0.5}
        white, slopes = paddle.ones([8, 1, 8, 8]), {}
        for weight in (10.0, 0.0):
            penalty = {"name": "GradientPenalty", "loss_weight": weight}
            model = make_gan(
                "wgangp", norm_type="none", lr=5e-3, optimizer=adam, gp_criterion=penalty
            )
            for _ in range(150):
                model.update("optimizer_D", model.d_loss, [white], [-white])
            grey = paddle.full([1, 1, 8, 8], 0.5)
            grey.stop_gradient = False
            (slope,) = paddle.grad(model.nets.netD(grey).sum(), grey)
            slopes[weight] = float(np.linalg.norm(slope.numpy()))
        assert slopes[10.0] == pytest.approx(1.0, abs=0.5)
        assert slopes[0.0] > 1000

    def test_with_classes(self):
        model = make_gan("wgangp", conditional=True)
        _, logs = self.d_loss(model, batch_of(8))
        assert np.isfinite(float(logs["D_gp_loss"]))

    def test_its_weight_is_an_option(self):
        model = make_gan("wgangp", gp_criterion={"name": "GradientPenalty", "loss_weight": 3.0})
        assert model.gp_criterion.loss_weight == 3.0

    @pytest.mark.parametrize("mode", ["vanilla", "wgan", "hinge"])
    def test_others_have_none_unless_asked(self, mode):
        assert make_gan(mode).gp_criterion is None
        model = make_gan(mode, gp_criterion={"name": "GradientPenalty"})
        assert "D_gp_loss" in train(model, 1)[0]


class TestSigmoid:
    @pytest.mark.parametrize("make", [make_gan, make_dcgan])
    def test_sigmoid_is_applied_once(self, make):
        """Certain scores cost almost nothing; sigmoid(sigmoid(x)) could not fall below 0.5."""
        model = make("vanilla")

        class Certain(paddle.nn.Layer):
            use_sigmoid = True

            def logits(self, x):
                return 20.0 * x.mean(axis=[1, 2, 3])

            def forward(self, x):
                return paddle.nn.functional.sigmoid(self.logits(x))

        model.nets["netD"] = Certain()
        white = paddle.ones([3, 1, 8, 8])
        total, _ = model.d_loss([white], [-white])
        assert float(total) == pytest.approx(0.0, abs=1e-6)
        assert float(model.g_loss([-white])[0]) == pytest.approx(20.0, rel=1e-4)

    def test_with_and_without_it_training_is_the_same(self):
        losses = []
        for use_sigmoid in (False, True):
            paddle.seed(3)
            losses.append(train(make_gan("vanilla", True, use_sigmoid=use_sigmoid), 3))
        assert losses[0] == losses[1]


class TestHinge:
    @pytest.mark.parametrize("make", [make_gan, make_dcgan])
    def test_hinge_has_its_margin(self, make):
        """Scores beyond the margin cost the discriminator nothing, and pull no more."""
        model = make("hinge")

        class Scale(paddle.nn.Layer):
            def __init__(self):
                super().__init__()
                self.scale = self.create_parameter([1])
                self.scale.set_value(paddle.to_tensor([2.0]))

            def forward(self, x):
                return self.scale * x.mean(axis=[1, 2, 3])

        model.nets["netD"] = critic = Scale()
        white = paddle.ones([3, 1, 8, 8])
        total, logs = model.d_loss([white], [-white])
        assert float(total) == 0.0
        total.backward()
        assert critic.scale.grad.item() == 0.0
        # On the wrong side the cost grows, and the generator has no margin.
        assert float(model.d_loss([-white], [white])[1]["D_real_loss"]) == pytest.approx(3.0)
        assert float(model.g_loss([white])[0]) == pytest.approx(-2.0)
        assert list(logs) == ["D_fake_loss", "D_real_loss"]


class TestLooking:
    @pytest.mark.parametrize("conditional", [False, True])
    def test_looking_changes_nothing(self, conditional):
        model, batch = make_gan("wgan", conditional), batch_of(8)
        train(model, 2)
        before = state(model)
        model.visuals(batch)
        model.eval_step(batch)
        assert not changed(before, state(model))
        assert all(layer.training for layer in model.nets.netG.sublayers(True))

    def test_nor_what_comes_next(self):
        outcomes = []
        for look in (False, True):
            paddle.seed(1)
            model = make_gan("wgan", params={"visual_interval": 1, "samples_every_row": 2})
            train(model, 2)
            if look:
                model.visuals(batch_of(8))
            paddle.seed(9)
            model.iteration = 2
            outcomes.append((model.train_step(batch_of(8)), state(model)))
        (logs, weights), (other_logs, other_weights) = outcomes
        assert {k: float(v) for k, v in logs.items()} == {
            k: float(v) for k, v in other_logs.items()
        }
        assert not changed(weights, other_weights)


class TestParams:
    def test_an_unknown_one_is_named(self):
        with pytest.raises(ConfigError) as raised:
            make_gan(params={"disc_iter": 5})
        assert (
            str(raised.value) == "model.params has no key 'disc_iter'; did you mean 'disc_iters'?"
        )

    @pytest.mark.parametrize("disc_iters", [0, -1])
    def test_the_generator_gets_a_turn(self, disc_iters):
        with pytest.raises(ConfigError, match=f"disc_iters is {disc_iters}, expected at least 1"):
            make_gan(params={"disc_iters": disc_iters})

    def test_none_means_defaults(self):
        model = make_gan(params=None)
        assert (model.disc_iters, model.disc_start_iters, model.clip_limit) == (1, 0, 0.01)

    def test_criterion_is_built(self):
        model = make_gan("lsgan", loss={"loss_weight": 0.5})
        assert isinstance(model.gan_criterion, GANLoss)
        assert model.gan_criterion.loss_weight == 0.5
