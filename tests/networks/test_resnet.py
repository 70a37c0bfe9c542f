# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.networks.resnet import ResnetBlock, ResnetGenerator
from ppzoo.nn.norm import build_norm_layer


@pytest.mark.parametrize("padding_type", ["reflect", "replicate", "zero"])
def test_shapes_and_range(padding_type):
    net = ResnetGenerator(1, 3, ngf=4, n_blocks=2, padding_type=padding_type)
    y = net(paddle.randn([2, 1, 20, 24]))
    assert y.shape == [2, 3, 20, 24]
    assert float(y.abs().max()) <= 1


def test_a_block_adds_to_its_input():
    block = ResnetBlock(4, build_norm_layer("none"))
    for parameter in block.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    x = paddle.randn([1, 4, 6, 6])
    assert np.array_equal(block(x).numpy(), x.numpy())


def test_the_border_goes_on_as_asked():
    x = paddle.ones([1, 2, 5, 5])
    results = []
    for padding_type in ("replicate", "zero"):
        block = ResnetBlock(2, build_norm_layer("none"), padding_type=padding_type)
        for parameter in block.parameters():
            parameter.set_value(paddle.ones_like(parameter))
        results.append(block(x).numpy())
    assert np.ptp(results[0]) == 0  # a flat picture stays flat
    assert np.ptp(results[1]) > 0


def test_dropout_only_in_training():
    net = ResnetGenerator(3, 3, ngf=4, n_blocks=1, use_dropout=True)
    x = paddle.randn([1, 3, 16, 16])
    net.train()
    assert not np.array_equal(net(x).numpy(), net(x).numpy())
    net.eval()
    assert np.array_equal(net(x).numpy(), net(x).numpy())


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="padding_type is 'mirror'"):
        ResnetGenerator(3, 3, ngf=2, padding_type="mirror")
    with pytest.raises(ValueError, match="spectral"):
        ResnetGenerator(3, 3, norm_type="spectral")
    with pytest.raises(ConfigError, match=r"ResnetGenerator takes .* multiples of 4, got 18 x 16"):
        ResnetGenerator(3, 3, ngf=2)(paddle.zeros([1, 3, 16, 18]))
