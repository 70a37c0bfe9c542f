# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from tests.translation import pieces


def test_losses_are_those_of_the_paper():
    """L = cross-entropy of patches, halved for the discriminator, plus 100 times L1."""
    model, batch = pieces.build("pix2pix"), pieces.batch()
    netG, netD = model.nets.netG, model.nets.netD
    fake = netG(batch["A"])
    on_fake = netD(paddle.concat([batch["A"], fake], 1)).numpy()
    on_real = netD(paddle.concat([batch["A"], batch["B"]], 1)).numpy()
    expected_d = 0.5 * (np.log1p(np.exp(on_fake)).mean() + np.log1p(np.exp(-on_real)).mean())
    total, logs = model.d_loss(batch["A"], batch["B"], fake.detach())
    assert float(total) == pytest.approx(expected_d, rel=1e-4)
    assert sorted(logs) == ["D_fake_loss", "D_real_loss"]
    total, logs = model.g_loss(batch["A"], batch["B"], fake)
    l1 = np.abs(fake.numpy() - batch["B"].numpy()).mean()
    assert float(logs["G_L1_loss"]) == pytest.approx(100 * l1, rel=1e-4)
    assert float(logs["G_adv_loss"]) == pytest.approx(np.log1p(np.exp(-on_fake)).mean(), rel=1e-4)
    assert float(total) == pytest.approx(sum(float(value) for value in logs.values()), rel=1e-4)


def test_the_discriminator_learns_first_and_the_generator_alone_afterwards():
    model, batch = pieces.build("pix2pix"), pieces.batch()
    before = pieces.weights(model)
    order = []
    update = model.update

    def watched(optimizer, *args, **kwargs):
        logs = update(optimizer, *args, **kwargs)
        after = pieces.weights(model)
        moved = {key.split(".")[0] for key in after if not np.array_equal(after[key], before[key])}
        order.append((optimizer, moved & {"netG", "netD"}))
        before.update(after)
        return logs

    model.update = watched
    model.train_step(batch)
    # The generator's forward pass moves its running statistics before the first update.
    assert [name for name, _ in order] == ["optimD", "optimG"]
    assert "netD" in order[0][1]
    assert "netG" in order[1][1]


def test_learns_a_simple_translation():
    """The negative of a picture of large squares, from two pairs."""
    model, batch = pieces.build("pix2pix", learning_rate=2e-3), pieces.batch(size=4)
    batch["A"] = paddle.nn.functional.interpolate(batch["A"], scale_factor=8)
    batch["B"] = -batch["A"]
    before = float(paddle.nn.functional.l1_loss(model.eval_step(batch)["fake"], batch["B"]))
    for _ in range(40):
        model.train_step(batch)
    after = float(paddle.nn.functional.l1_loss(model.eval_step(batch)["fake"], batch["B"]))
    assert after < 0.6 * before


def test_a_model_without_a_discriminator_translates():
    model = pieces.build("pix2pix")
    only = pieces.SPECS["pix2pix"] | {"discriminator": None}
    alone = pieces.registry.build(pieces.registry.MODELS, only)
    alone.nets.netG.set_state_dict(model.nets.netG.state_dict())
    batch = pieces.batch()
    expected = model.eval_step(batch)["fake"].numpy()
    assert np.array_equal(alone.eval_step(batch)["fake"].numpy(), expected)


def test_pictures_that_do_not_fit_are_named():
    model, batch = pieces.build("pix2pix"), pieces.batch()
    batch["B"] = batch["B"][:, :1]
    with pytest.raises(ConfigError, match=r"makes pictures of shape \[3, 32, 32\].*\[1, 32, 32\]"):
        model.train_step(batch)
    with pytest.raises(ConfigError, match="multiples of 32, got 40 x 40"):
        model.train_step(pieces.batch(size=40))


def test_missing_criterion_is_named():
    model = pieces.build("pix2pix", gan_criterion=None)
    with pytest.raises(ConfigError, match=r"model\.gan_criterion is missing"):
        model.train_step(pieces.batch())


def test_visuals_have_paddlegans_labels():
    assert list(pieces.build("pix2pix").visuals(pieces.batch())) == ["real_A", "fake_B", "real_B"]
