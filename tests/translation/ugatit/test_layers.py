# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest
from paddle import nn

from ppzoo.errors import ConfigError
from ppzoo.translation.ugatit import layers


def pictures(*shape, seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).normal(1, 2, shape).astype("float32"))


def spelled_out(x, rho, gamma, beta):
    """Layer-instance norm as the paper's equation has it, with unbiased variances."""
    x = x.numpy().astype("float64")
    normal = []
    for axes in ((2, 3), (1, 2, 3)):
        mean = x.mean(axis=axes, keepdims=True)
        variance = x.var(axis=axes, keepdims=True, ddof=1)
        normal.append((x - mean) / np.sqrt(variance + layers.EPSILON))
    return (rho * normal[0] + (1 - rho) * normal[1]) * gamma + beta


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_layer_instance_norm_is_the_papers(rho):
    x, gamma, beta = (
        pictures(2, 5, 7, 6),
        pictures(2, 5, 1, 1, seed=1),
        pictures(2, 5, 1, 1, seed=2),
    )
    shares = paddle.full([1, 5, 1, 1], rho)
    got = layers.layer_instance_norm(x, shares, gamma, beta).numpy()
    assert np.allclose(got, spelled_out(x, rho, gamma.numpy(), beta.numpy()), atol=1e-4)


def test_its_gradient_is_that_of_the_equation():
    x, rho = pictures(1, 3, 4, 4).astype("float64"), np.full([1, 3, 1, 1], 0.4)
    one, zero = np.ones([1, 3, 1, 1]), np.zeros([1, 3, 1, 1])
    weight = np.random.default_rng(3).normal(size=x.shape)
    x.stop_gradient = False
    shares, gamma, beta = (paddle.to_tensor(value) for value in (rho, one, zero))
    (layers.layer_instance_norm(x, shares, gamma, beta) * paddle.to_tensor(weight)).sum().backward()
    step = 1e-5
    for place in [(0, 0, 0, 0), (0, 1, 2, 3), (0, 2, 3, 1)]:
        values = []
        for sign in (1, -1):
            moved = x.detach().clone()
            moved[place] = moved[place] + sign * step
            values.append((spelled_out(moved, rho, one, zero) * weight).sum())
        slope = (values[0] - values[1]) / (2 * step)
        assert float(x.grad[place]) == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_a_norm_starts_as_it_should():
    x = pictures(2, 4, 6, 6)
    assert np.allclose(layers.ILN(4)(x).numpy(), spelled_out(x, 0.0, 1.0, 0.0), atol=1e-4)
    ones = paddle.ones([2, 4])
    got = layers.AdaILN(4)(x, ones, paddle.zeros_like(ones)).numpy()
    assert np.allclose(got, spelled_out(x, 0.9, 1.0, 0.0), atol=1e-4)


def test_style_alone_decides_at_first_in_the_soft_norm():
    norm, x = layers.SoftAdaLIN(4), pictures(2, 4, 6, 6)
    style = pictures(2, 4, seed=5)
    first, second = (norm(x, pictures(2, 4, seed=seed), style).numpy() for seed in (6, 7))
    assert np.array_equal(first, second)
    norm.w_gamma.set_value(paddle.ones([1, 4]))
    first, second = (norm(x, pictures(2, 4, seed=seed), style).numpy() for seed in (6, 7))
    assert not np.allclose(first, second)


def test_attention_weights_the_maps_as_written_out():
    x = pictures(2, 4, 5, 5)
    gap_fc, gmp_fc = layers.linear(4, 1), layers.linear(4, 1)
    conv = nn.Conv2D(8, 4, 1)
    got, logits = layers.attend(x, gap_fc, gmp_fc, conv)
    by_average = x * gap_fc.weight.reshape([1, 4, 1, 1])
    by_largest = x * gmp_fc.weight.reshape([1, 4, 1, 1])
    expected = conv(paddle.concat([by_average, by_largest], 1))
    assert np.allclose(got.numpy(), expected.numpy(), atol=1e-4)
    average, largest = x.numpy().mean((2, 3)), x.numpy().max((2, 3))
    expected = np.concatenate(
        [average @ gap_fc.weight.numpy(), largest @ gmp_fc.weight.numpy()], axis=1
    )
    assert np.allclose(logits.numpy(), expected, atol=1e-4)


def test_a_full_generator_takes_one_size():
    net = nn.Layer()
    net.light, net.img_size = False, 32
    layers.check_full_size(paddle.zeros([1, 3, 32, 32]), net)
    with pytest.raises(ConfigError, match="takes pictures of 32 x 32 pixels, got 64 x 32"):
        layers.check_full_size(paddle.zeros([1, 3, 32, 64]), net)
    net.light = True
    layers.check_full_size(paddle.zeros([1, 3, 32, 64]), net)
