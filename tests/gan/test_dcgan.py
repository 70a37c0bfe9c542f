# SPDX-License-Identifier: Apache-2.0
"""DCGAN and LSGAN: layout of the networks, and one step of each an iteration."""

import numpy as np
import paddle
import pytest

from ppzoo.gan.dcgan import DCDiscriminator, DCGenerator
from ppzoo.nn import random
from tests.gan.pieces import batch_of, changed, make_dcgan, state

NORMS = ["batch", "instance", "none"]
Z = paddle.to_tensor(np.linspace(0, 1, 20).reshape(5, 4, 1, 1).astype("float32"))


class Same:
    """Noise that is the same at every draw."""

    def uniform(self, shape):
        assert list(shape) == list(Z.shape)
        return Z.numpy()


def biases(net):
    return [key for key in net.state_dict() if key.endswith("bias")]


class TestDCGenerator:
    @pytest.mark.parametrize("norm_type", NORMS)
    def test_pictures(self, norm_type):
        generator = DCGenerator(5, 3, 2, ngf=4, norm_type=norm_type)
        pictures = generator(paddle.rand([2, 5, 1, 1]))
        assert pictures.shape == [2, 2, 64, 64]
        assert np.abs(pictures.numpy()).max() <= 1.0

    @pytest.mark.parametrize("norm_type", NORMS)
    def test_convolutions_have_no_biases(self, norm_type):
        generator = DCGenerator(5, 1, 1, ngf=4, norm_type=norm_type)
        of_norms = [] if norm_type == "none" else [f"model.{i}.bias" for i in (1, 4, 7, 10)]
        assert biases(generator) == of_norms

    def test_batch_norm_is_the_ordinary_one(self):
        generator = DCGenerator(5, 1, 1, ngf=4)
        generator(paddle.rand([8, 5, 1, 1]))
        samples = [generator.sample(num, seed=1).numpy()[0] for num in (1, 5)]
        np.testing.assert_allclose(samples[0], samples[1], atol=1e-5)

    def test_latents_are_uniform(self):
        (z,) = DCGenerator(5, 1, 1, ngf=4).random_inputs(400)
        assert z.shape == [400, 5, 1, 1]
        assert 0.0 <= z.numpy().min() < 0.01 < 0.99 < z.numpy().max() < 1.0

    @pytest.mark.parametrize("name", ["input_nz", "output_nc", "ngf"])
    def test_there_is_something_of_everything(self, name):
        options = {"input_nz": 5, "input_nc": 1, "output_nc": 1, "ngf": 4, name: 0}
        with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
            DCGenerator(**options)

    def test_spectral_norm_is_not_for_generators(self):
        with pytest.raises(ValueError, match="'spectral' is for discriminators"):
            DCGenerator(5, 1, 1, norm_type="spectral")


class TestDCDiscriminator:
    @pytest.mark.parametrize("norm_type", NORMS)
    def test_one_score_a_picture(self, norm_type):
        discriminator = DCDiscriminator(2, ndf=4, norm_type=norm_type)
        assert discriminator(paddle.rand([3, 2, 64, 64])).shape == [3, 1, 1, 1]

    @pytest.mark.parametrize("norm_type", NORMS)
    def test_biases_stand_before_batch_norm_and_at_the_end(self, norm_type):
        found = biases(DCDiscriminator(1, ndf=4, norm_type=norm_type))
        of_norms = [] if norm_type == "none" else [f"model.{i}.bias" for i in (3, 6, 9)]
        of_convolutions = [f"model.{i}.bias" for i in (2, 5, 8)] if norm_type == "batch" else []
        assert sorted(found) == sorted([*of_convolutions, *of_norms, "model.11.bias"])

    @pytest.mark.parametrize("name", ["input_nc", "ndf"])
    def test_there_is_something_of_everything(self, name):
        with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
            DCDiscriminator(**{"input_nc": 1, "ndf": 4, name: 0})

    def test_spectral_norm_is_refused(self):
        with pytest.raises(ValueError, match="takes norm_type 'batch', 'instance' or 'none'"):
            DCDiscriminator(1, norm_type="spectral")


class TestDCGANModel:
    def test_both_networks_learn_at_every_step(self):
        model, batch = make_dcgan(), batch_of(64)
        for iteration in range(2):
            before = state(model)
            model.iteration = iteration
            logs = model.train_step(batch)
            assert list(logs) == ["D_fake_loss", "D_real_loss", "G_adv_loss"]
            assert all(np.isfinite(float(value)) for value in logs.values())
            moved = changed(before, state(model))
            assert {"netG.model.0.weight", "netD.model.0.weight"} <= moved

    def test_the_discriminator_goes_first(self):
        """The generator's loss is scored by the discriminator that has just learned."""
        model, twin = (make_dcgan(norm_type="none", lr=0.1) for _ in range(2))
        twin.nets.netG.set_state_dict(model.nets.netG.state_dict())
        twin.nets.netG.train()
        with random.source(Same()):
            logs = model.train_step(batch_of(64))
        twin.nets.netD.set_state_dict(model.nets.netD.state_dict())
        g_adv, _ = twin.g_loss([twin.nets.netG(Z)])
        assert float(g_adv) == pytest.approx(float(logs["G_adv_loss"]), rel=1e-5)

    def test_a_step_of_the_discriminator_follows_its_gradient(self):
        model, batch = make_dcgan("lsgan", norm_type="none", lr=0.05), batch_of(64)
        start = state(model)
        total, _ = model.d_loss([batch["img"]], [model.nets.netG(Z).detach()])
        total.backward()
        gradient = model.nets.netD.model[0].weight.grad.numpy()
        for name, net in model.nets.items():
            net.set_state_dict({key: start[f"{name}.{key}"] for key in net.state_dict()})
        with random.source(Same()):
            model.train_step(batch)
        moved = state(model)["netD.model.0.weight"] - start["netD.model.0.weight"]
        np.testing.assert_allclose(moved, -0.05 * gradient, rtol=1e-3, atol=1e-7)

    def test_noise_is_one_uniform_draw_a_step(self):
        drawn = []

        class Source:
            def uniform(self, shape):
                drawn.append(list(shape))
                return np.full(shape, 0.5)

        model = make_dcgan()
        with random.source(Source()):
            model.train_step(batch_of(64))
            model.train_step(batch_of(64))
        assert drawn == [[5, 4, 1, 1]] * 2

    @pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgan", "hinge", "logistic"])
    def test_every_mode_trains(self, mode):
        model = make_dcgan(mode, optimizer={"name": "Adam", "beta1": 0.5})
        for _ in range(2):
            logs = model.train_step(batch_of(64))
        assert all(np.isfinite(float(value)) for value in logs.values())

    def test_samples_move_towards_the_pictures(self):
        """Against pictures that are all white, a few steps make the samples brighter."""
        adam = {"name": "Adam", "beta1": 0.5}
        model = make_dcgan("lsgan", norm_type="none", lr=1e-2, optimizer=adam)
        white = {"img": paddle.ones([8, 1, 64, 64])}
        assert abs(float(model.nets.netG.sample(16).mean())) < 0.05
        for _ in range(40):
            model.train_step(white)
        assert float(model.nets.netG.sample(16).mean()) > 0.4
