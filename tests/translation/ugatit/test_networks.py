# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.nn.init import init_weights
from ppzoo.translation.ugatit import (
    ResnetUGATITGenerator,
    ResnetUGATITP2CGenerator,
    UGATITDiscriminator,
)


@pytest.mark.parametrize("size", [(32, 32), (36, 44)])
def test_the_light_generator_takes_any_multiple_of_four(size):
    net = ResnetUGATITGenerator(3, 1, ngf=4, n_blocks=1, img_size=256, light=True)
    picture, logits, heatmap = net(paddle.zeros([2, 3, *size]))
    assert picture.shape == [2, 1, *size]
    assert logits.shape == [2, 2]
    assert heatmap.shape == [2, 1, size[0] // 4, size[1] // 4]
    assert float(picture.abs().max()) <= 1
    assert float(heatmap.min()) >= 0


def test_the_full_generator_takes_its_size_only():
    net = ResnetUGATITGenerator(3, 3, ngf=4, n_blocks=1, img_size=32)
    assert net(paddle.zeros([1, 3, 32, 32]))[0].shape == [1, 3, 32, 32]
    with pytest.raises(ConfigError, match="full generator"):
        net(paddle.zeros([1, 3, 64, 64]))


def test_sizes_that_cannot_be_halved_are_named():
    with pytest.raises(ConfigError, match="multiples of 4, got 30 x 32"):
        ResnetUGATITGenerator(3, 3, 4, 1, light=True)(paddle.zeros([1, 3, 32, 30]))
    with pytest.raises(ConfigError, match="multiples of 16, got 24 x 32"):
        ResnetUGATITP2CGenerator(ngf=4)(paddle.zeros([1, 3, 32, 24]))


@pytest.mark.parametrize("blocks", [1, 4])
def test_the_generator_of_photo2cartoon_has_as_many_blocks_as_asked(blocks):
    """PaddleGAN's works with four only."""
    net = ResnetUGATITP2CGenerator(ngf=4, n_blocks=blocks)
    assert net(paddle.zeros([1, 3, 32, 48]))[0].shape == [1, 3, 32, 48]


def test_arguments_that_make_no_network_are_refused():
    with pytest.raises(ValueError, match="ngf is 6, expected a multiple of 4"):
        ResnetUGATITP2CGenerator(ngf=6)
    with pytest.raises(ValueError, match="n_layers is 2"):
        UGATITDiscriminator(3, n_layers=2)


def test_the_discriminators_patches_grow_with_its_layers():
    sizes = [
        UGATITDiscriminator(3, ndf=4, n_layers=n)(paddle.zeros([1, 3, 64, 64]))[0].shape[2:]
        for n in (4, 5, 6)
    ]
    assert sizes == [[14, 14], [6, 6], [2, 2]]


def test_its_layers_have_a_largest_singular_value_of_one():
    net = init_weights(UGATITDiscriminator(3, ndf=4, n_layers=4))
    x = paddle.randn([1, 3, 32, 32])
    net.train()
    for _ in range(60):
        net(x)
    for layer in net.sublayers():
        if hasattr(layer, "weight_orig"):
            weight = layer.weight.numpy()
            matrix = weight.T if weight.ndim == 2 else weight.reshape(len(weight), -1)
            assert np.linalg.norm(matrix, 2) == pytest.approx(1, rel=0.05)


def test_initialising_reaches_weights_under_spectral_norm():
    net = UGATITDiscriminator(3, ndf=16, n_layers=4)
    init_weights(net, gain=0.02)
    assert float(net.model[4].weight_orig.std()) == pytest.approx(0.02, rel=0.1)
