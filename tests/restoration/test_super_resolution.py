# SPDX-License-Identifier: Apache-2.0
"""Models of super-resolution: which losses they take, and what they say about mistakes."""

import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.restoration.super_resolution import init_by_fan_in
from tests.restoration.pieces import FEATURES, L1, SMALL_D, VANILLA, batch, build


@pytest.mark.parametrize("name", ["ESRGAN", "SRGANModel"])
@pytest.mark.parametrize(
    ("losses", "logs"),
    [
        ({"pixel_criterion": L1}, {"loss_pix"}),
        ({"perceptual_criterion": FEATURES}, {"loss_percep"}),
        ({"perceptual_criterion": FEATURES | {"style_weight": 1.0}}, {"loss_percep", "loss_style"}),
        (
            {"discriminator": SMALL_D, "gan_criterion": VANILLA},
            {"l_g_gan", "l_d_real", "l_d_fake", "out_d_real", "out_d_fake"},
        ),
    ],
)
def test_each_loss_can_stand_alone(name, losses, logs):
    """PaddleGAN's ESRGAN fails without a perceptual loss; the paper's losses are a sum."""
    model = build(name, **losses)
    before = model.nets.generator.conv_first.weight.numpy()
    assert set(model.train_step(batch())) == logs
    assert not np.array_equal(before, model.nets.generator.conv_first.weight.numpy())


def test_discriminator_and_its_loss_belong_together():
    for half in ({"discriminator": SMALL_D}, {"gan_criterion": VANILLA}):
        with pytest.raises(ConfigError, match="belong together"):
            build("ESRGAN", pixel_criterion=L1, **half)


def test_no_loss_at_all_is_refused():
    with pytest.raises(ConfigError, match="no loss to train with"):
        build("ESRGAN").train_step(batch())
    with pytest.raises(ConfigError, match="pixel_criterion is missing"):
        build("BaseSRModel").train_step(batch())


def test_wrong_scale_is_explained():
    with pytest.raises(ConfigError, match=r"\[3, 32, 32\] and the dataset has \[3, 16, 16\]"):
        build("BaseSRModel", pixel_criterion=L1).train_step(batch(scale=2))


def test_batch_without_truth():
    model = build("BaseSRModel", pixel_criterion=L1)
    with pytest.raises(ConfigError, match="gives no 'gt'"):
        model.train_step({"lq": batch()["lq"]})
    assert set(model.eval_step({"lq": batch()["lq"]})) == {"output", "lq"}


def test_a_net_that_cannot_start_as_bilinear():
    unet = {"name": "UnetGenerator", "input_nc": 3, "output_nc": 3, "num_downs": 5, "ngf": 4}
    with pytest.raises(ConfigError, match="UnetGenerator cannot begin so"):
        build("BaseSRModel", generator=unet, start_as_bilinear=True)


def test_initial_weights_by_fan_in():
    net = paddle.nn.Sequential(
        paddle.nn.Conv2D(16, 64, 3), paddle.nn.BatchNorm2D(64), paddle.nn.Linear(100, 50)
    )
    init_by_fan_in(net)
    for layer, fan_in in ((net[0], 144), (net[2], 100)):
        weight = abs(layer.weight.numpy())
        assert weight.max() <= fan_in**-0.5
        assert weight.mean() == pytest.approx(fan_in**-0.5 / 2, rel=0.05)
        assert 0 < abs(layer.bias.numpy()).max() <= fan_in**-0.5
    assert (net[1].weight.numpy() == 1).all()
