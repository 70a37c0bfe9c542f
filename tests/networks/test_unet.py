# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import ConfigError
from ppzoo.networks.unet import UnetGenerator


def test_shapes_and_range():
    net = UnetGenerator(1, 3, num_downs=5, ngf=4)
    y = net(paddle.randn([2, 1, 32, 64]))
    assert y.shape == [2, 3, 32, 64]
    assert float(y.abs().max()) <= 1


def test_every_size_is_handed_across():
    """With the deepest level cut, what the input says still arrives."""
    net = UnetGenerator(3, 3, num_downs=5, ngf=4, norm_type="none")
    net.eval()
    x = paddle.randn([1, 3, 32, 32])
    whole = net(x).numpy()
    level = net.model.model[1]
    depth = 1
    while len(level.model) > 5:  # the deepest has no level inside and no norm on the way down
        level, depth = level.model[3], depth + 1
    assert depth == 4
    level.model[3].weight.set_value(paddle.zeros_like(level.model[3].weight))
    cut = net(x).numpy()
    assert not np.array_equal(whole, cut)
    assert cut.std() > 0.1 * whole.std()


@pytest.mark.parametrize(("num_downs", "layers"), [(5, 0), (6, 1), (8, 3)])
def test_dropout_is_where_the_paper_has_it(num_downs, layers):
    net = UnetGenerator(3, 3, num_downs, ngf=2, use_dropout=True)
    dropouts = [layer for layer in net.sublayers() if isinstance(layer, paddle.nn.Dropout)]
    assert len(dropouts) == layers
    assert all(layer.p == 0.5 for layer in dropouts)


def test_instance_norm_keeps_the_biases_in_front_of_it():
    keys = UnetGenerator(3, 3, 5, ngf=2, norm_type="instance").state_dict()
    assert "model.model.0.bias" in keys
    assert "model.model.0.bias" not in UnetGenerator(3, 3, 5, ngf=2).state_dict()


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="num_downs is 4, expected at least 5"):
        UnetGenerator(3, 3, 4)
    with pytest.raises(ValueError, match="spectral"):
        UnetGenerator(3, 3, 5, norm_type="spectral")
    with pytest.raises(ConfigError, match=r"UnetGenerator takes .* multiples of 32, got 48 x 32"):
        UnetGenerator(3, 3, 5, ngf=2)(paddle.zeros([1, 3, 32, 48]))
