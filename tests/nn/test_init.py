# SPDX-License-Identifier: Apache-2.0
"""Weight initialisation: the distributions, and what it leaves alone."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from ppzoo.nn.init import bilinear_kernels, hand_through, init_weights, start_at_zero
from ppzoo.nn.norm import BatchNormOfBatch, SpectralNorm, build_norm_layer


def values(parameter):
    return parameter.numpy().astype("float64")


def test_normal_is_that_of_the_papers():
    net = nn.Sequential(
        nn.Conv2D(16, 32, 5),
        nn.Conv2DTranspose(32, 16, 5),
        nn.Linear(64, 128),
        nn.BatchNorm2D(4096),
    )
    assert init_weights(net) is net
    for layer in (net[0], net[1], net[2]):
        assert abs(values(layer.weight).mean()) < 1e-3
        assert values(layer.weight).std() == pytest.approx(0.02, rel=0.03)
        assert not values(layer.bias).any()
    assert values(net[3].weight).mean() == pytest.approx(1.0, abs=2e-3)
    assert values(net[3].weight).std() == pytest.approx(0.02, rel=0.05)
    assert not values(net[3].bias).any()


def test_gain_is_the_standard_deviation():
    layer = init_weights(nn.Linear(100, 100), gain=0.5)
    assert values(layer.weight).std() == pytest.approx(0.5, rel=0.03)


def test_xavier():
    # [c_out, c_in, k, k]: variance 2 / (fan_in + fan_out).
    layer = init_weights(nn.Conv2D(24, 40, 5), "xavier", gain=1.0)
    assert values(layer.weight).std() == pytest.approx((2 / ((24 + 40) * 25)) ** 0.5, rel=0.03)


def test_kaiming():
    layer = init_weights(nn.Conv2D(24, 40, 5), "kaiming")
    assert values(layer.weight).std() == pytest.approx((2 / (24 * 25)) ** 0.5, rel=0.03)


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="'orthogonal', expected 'normal', 'xavier' or 'kaiming'"):
        init_weights(nn.Linear(2, 2), "orthogonal")


def test_a_zero_bias_is_made_where_there_was_none():
    layer = nn.Conv2D(2, 2, 3, bias_attr=nn.initializer.Constant(7.0))
    assert values(init_weights(layer).bias).tolist() == [0.0, 0.0]


def test_layers_without_weights_or_biases_pass():
    net = nn.Sequential(nn.ReLU(), nn.Conv2D(2, 2, 3, bias_attr=False), nn.Flatten())
    assert init_weights(net)[1].bias is None


def test_frozen_parameters_keep_their_values():
    frozen = nn.Conv2D(2, 2, 3, weight_attr=paddle.ParamAttr(trainable=False))
    norm = build_norm_layer("instance")(3)
    before = values(frozen.weight)
    init_weights(nn.Sequential(frozen, norm))
    assert np.array_equal(values(frozen.weight), before)
    assert values(norm.scale).tolist() == [1.0] * 3
    assert values(norm.bias).tolist() == [0.0] * 3


def test_a_spectrally_normalised_layer_is_reached():
    layer = SpectralNorm(nn.Conv2D(32, 32, 5, bias_attr=nn.initializer.Constant(7.0)))
    init_weights(nn.Sequential(layer))
    assert values(layer.weight_orig).std() == pytest.approx(0.02, rel=0.03)
    assert not values(layer.layer.bias).any()


def test_the_other_batch_norm_is_one_too():
    norm = init_weights(BatchNormOfBatch(4096))
    assert values(norm.weight).std() == pytest.approx(0.02, rel=0.05)


def test_is_a_function_of_the_seed():
    states = []
    for _ in range(2):
        paddle.seed(3)
        states.append(values(init_weights(nn.Linear(4, 4)).weight))
    assert np.array_equal(*states)


class TestInterpolation:
    @pytest.mark.parametrize("factor", [2, 3, 4])
    def test_bilinear_kernels(self, factor):
        kernels = bilinear_kernels(factor)
        assert kernels.shape == (factor**2, 3, 3)
        np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1.0, rtol=1e-6)
        x = paddle.rand([1, 1, 6, 6])
        weight = paddle.to_tensor(kernels[:, np.newaxis])
        got = F.pixel_shuffle(F.conv2d(x, weight, padding=1), factor)
        want = F.interpolate(x, scale_factor=factor, mode="bilinear")
        inside = (..., slice(factor, -factor), slice(factor, -factor))
        np.testing.assert_allclose(got[inside].numpy(), want[inside].numpy(), atol=1e-6)

    def test_hands_the_first_channels_through(self):
        conv = nn.Conv2D(4, 6, 5, padding=2)
        others = conv.weight.numpy()[2:]
        hand_through(conv, 2)
        x = paddle.rand([1, 4, 7, 7])
        np.testing.assert_array_equal(conv(x)[:, :2].numpy(), x[:, :2].numpy())
        np.testing.assert_array_equal(conv.weight.numpy()[2:], others)

    def test_starts_at_zero(self):
        conv = nn.Conv2D(2, 2, 3, padding=1)
        start_at_zero(conv)
        assert not conv(paddle.rand([1, 2, 5, 5])).numpy().any()
