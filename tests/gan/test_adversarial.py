# SPDX-License-Identifier: Apache-2.0
"""What all GANs share: losses, evaluation, samples, and mistakes in a config."""

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.gan.adversarial import AdversarialModel
from ppzoo.losses.gan import GANLoss
from ppzoo.networks.deep_conv import ConditionalDeepConvGenerator, DeepConvGenerator
from ppzoo.networks.patch_discriminator import (
    NLayerDiscriminator,
    NLayerDiscriminatorWithClassification,
)
from ppzoo.registry import MODELS, build
from tests.gan.pieces import N_CLASS, batch_of, changed, make_dcgan, make_gan, state


def latent(n_class=0):
    options = {"latent_dim": 4, "output_nc": 1, "size": 8, "ngf": 4}
    if n_class:
        return ConditionalDeepConvGenerator(n_class=n_class, **options)
    return DeepConvGenerator(**options)


class TestScore:
    @pytest.mark.parametrize(
        ("mode", "logits"),
        [
            ("vanilla", True),
            ("logistic", True),
            ("hinge", True),
            ("lsgan", False),
            ("wgan", False),
            ("wgangp", False),
        ],
    )
    def test_losses_of_logits_get_them_from_a_sigmoid_too(self, mode, logits):
        discriminator = NLayerDiscriminator(1, 4, 1, use_sigmoid=True)
        model = AdversarialModel(latent(), discriminator, GANLoss(mode))
        x = paddle.randn([2, 1, 8, 8])
        expected = discriminator.logits(x) if logits else discriminator(x)
        assert np.array_equal(model.score(x, []).numpy(), expected.numpy())

    def test_any_discriminator_will_do(self):
        class Mean(paddle.nn.Layer):
            def forward(self, x):
                return x.mean(axis=[1, 2, 3])

        model = AdversarialModel(latent(), Mean(), GANLoss("vanilla"))
        x = paddle.randn([2, 1, 8, 8])
        np.testing.assert_allclose(model.score(x, []).numpy(), x.numpy().mean((1, 2, 3)), atol=1e-6)


class TestLosses:
    @pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
    def test_of_labels_are_averaged(self, mode):
        model = make_gan(mode)
        x = batch_of(8)["img"]
        total, logs = model.d_loss([x], [-x])
        assert list(logs) == ["D_fake_loss", "D_real_loss"]
        expected = (logs["D_fake_loss"] + logs["D_real_loss"]) / 2
        assert float(total) == pytest.approx(float(expected))

    @pytest.mark.parametrize("mode", ["wgan", "hinge", "logistic"])
    def test_of_others_are_added(self, mode):
        model = make_gan(mode)
        x = batch_of(8)["img"]
        total, logs = model.d_loss([x], [-x])
        assert float(total) == pytest.approx(float(logs["D_fake_loss"] + logs["D_real_loss"]))

    @pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgan", "wgangp", "hinge", "logistic"])
    def test_of_dcgan_are_always_averaged(self, mode):
        model = make_dcgan(mode)
        x = batch_of(64)["img"]
        total, logs = model.d_loss([x], [-x])
        expected = (logs["D_fake_loss"] + logs["D_real_loss"]) / 2
        assert float(total) == pytest.approx(float(expected))

    def test_the_weight_is_for_the_generator(self):
        x = batch_of(8)["img"]
        losses = []
        for weight in (1.0, 0.5):
            paddle.seed(1)
            model = make_gan("lsgan", loss={"loss_weight": weight})
            losses.append([float(model.d_loss([x], [-x])[0]), float(model.g_loss([x])[0])])
        assert losses[1][0] == pytest.approx(losses[0][0])
        assert losses[1][1] == pytest.approx(0.5 * losses[0][1])

    def test_the_weight_of_dcgan_is_for_both(self):
        x = batch_of(64)["img"]
        losses = []
        for weight in (1.0, 0.5):
            paddle.seed(1)
            model = make_dcgan("lsgan", loss={"loss_weight": weight})
            losses.append([float(model.d_loss([x], [-x])[0]), float(model.g_loss([x])[0])])
        np.testing.assert_allclose(losses[1], 0.5 * np.array(losses[0]), rtol=1e-5)


class TestEvalStep:
    def test_as_many_samples_as_pictures(self):
        model, batch = make_gan(), batch_of(8)
        outputs = model.eval_step(batch)
        assert list(outputs) == ["fake", "real"]
        assert outputs["fake"].shape == [5, 1, 8, 8]
        assert outputs["fake"].stop_gradient
        assert np.array_equal(outputs["real"].numpy(), batch["img"].numpy())

    def test_with_classes_if_conditional(self):
        model, batch = make_gan(conditional=True), batch_of(8)
        outputs = model.eval_step(batch)
        assert list(outputs) == ["fake", "real", "fake_class", "real_class"]
        assert outputs["real_class"].numpy().tolist() == batch["class_id"].numpy().ravel().tolist()
        assert outputs["fake_class"].shape == [5]
        # The pictures are of the classes that are said: drawn again, they come out the same.
        paddle.seed(4)
        outputs = model.eval_step(batch)
        paddle.seed(4)
        z, classes = model.nets.netG.random_inputs(5)
        assert classes.numpy().tolist() == outputs["fake_class"].numpy().tolist()
        with model.evaluating():
            assert np.array_equal(model.nets.netG(z, classes).numpy(), outputs["fake"].numpy())

    def test_changes_nothing(self):
        model = make_gan(conditional=True)
        before = state(model)
        model.eval_step(batch_of(8))
        assert not changed(before, state(model))
        assert model.nets.netG.training


class TestVisuals:
    def test_samples_stay_comparable_through_training(self):
        model, batch = make_gan(), batch_of(8)
        first, second = model.visuals(batch), model.visuals(batch)
        assert list(first) == ["fixed_generated_imgs", "real_imgs"]
        samples = first["fixed_generated_imgs"]
        assert samples.shape == [64, 1, 8, 8]
        assert np.array_equal(samples.numpy(), second["fixed_generated_imgs"].numpy())
        model.iteration = 1
        model.train_step(batch)
        assert not np.array_equal(
            samples.numpy(), model.visuals(batch)["fixed_generated_imgs"].numpy()
        )

    @pytest.mark.parametrize(("n_class", "rows"), [(3, 8), (10, 10), (40, 16)])
    def test_a_row_shows_one_class(self, n_class, rows):
        model = AdversarialModel(latent(n_class))
        classes = [row % n_class for row in range(rows) for _ in range(8)]
        expected = model.nets.netG.sample(8 * rows, seed=0, class_id=classes)
        shown = model.visuals(batch_of(8))["fixed_generated_imgs"]
        assert np.array_equal(shown.numpy(), expected.numpy())


class TestMistakes:
    def test_one_network_is_conditional(self):
        with pytest.raises(
            ConfigError, match=r"model.generator is conditional and model.discriminator is not"
        ):
            AdversarialModel(latent(N_CLASS), NLayerDiscriminator(1, 4, 1), GANLoss("vanilla"))
        with pytest.raises(
            ConfigError, match=r"model.discriminator is conditional and model.generator is not"
        ):
            AdversarialModel(
                latent(), NLayerDiscriminatorWithClassification(1, 3, 4, 1), GANLoss("vanilla")
            )

    def test_no_criterion(self):
        model = AdversarialModel(latent(), NLayerDiscriminator(1, 4, 1))
        x = batch_of(8)["img"]
        with pytest.raises(ConfigError, match=r"model.gan_criterion is missing: name the GANLoss"):
            model.d_loss([x], [x])

    def test_another_kind_of_criterion(self):
        spec = {
            "name": "GANModel",
            "generator": {"name": "DeepConvGenerator", "latent_dim": 4, "output_nc": 1, "size": 8},
            "gan_criterion": {"name": "GradientPenalty"},
        }
        with pytest.raises(ConfigError, match=r"model.gan_criterion is .*, expected a GANLoss"):
            build(MODELS, spec)

    def test_pictures_of_another_size(self):
        model = make_gan()
        with pytest.raises(ConfigError) as raised:
            model.train_step(batch_of(28))
        assert str(raised.value) == (
            "model.generator makes pictures of shape [1, 8, 8] and the dataset has [1, 28, 28]: "
            "make their channels and sizes equal"
        )

    @pytest.mark.parametrize("step", ["train_step", "eval_step"])
    def test_a_dataset_without_pictures_or_classes(self, step):
        model, batch = make_gan(conditional=True), batch_of(8)
        with pytest.raises(
            ConfigError,
            match=r"needs 'class_id' of each sample, .* only 'img'; set return_label: True",
        ):
            getattr(model, step)({"img": batch["img"]})
        with pytest.raises(
            ConfigError, match=r"needs 'img' of each sample, .* gives only 'A', 'B'"
        ):
            getattr(model, step)({"A": batch["img"], "B": batch["img"]})

    def test_a_model_without_discriminator_still_samples(self):
        model = AdversarialModel(latent())
        assert list(model.nets) == ["netG"]
        assert model.eval_step(batch_of(8))["fake"].shape == [5, 1, 8, 8]
        assert model.visuals(batch_of(8))["fixed_generated_imgs"].shape == [64, 1, 8, 8]
