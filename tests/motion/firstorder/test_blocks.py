# SPDX-License-Identifier: Apache-2.0
import paddle
import pytest

from ppzoo.motion.firstorder.blocks import Hourglass, MobileResBlock, ResBlock


@pytest.mark.parametrize("mobile", [False, True])
def test_an_hourglass_keeps_the_size_and_the_input(mobile):
    net, x = (
        Hourglass(4, 3, num_blocks=2, max_features=8, mobile_net=mobile),
        paddle.rand([2, 3, 8, 8]),
    )
    out = net(x)
    assert out.shape == [2, net.out_filters, 8, 8]
    assert (out[:, 4:] == x).all()


def test_one_for_phones_has_fewer_weights():
    sizes = [
        sum(p.size for p in Hourglass(32, 3, 3, 256, mobile).parameters())
        for mobile in (False, True)
    ]
    assert sizes[1] < sizes[0] / 5


@pytest.mark.parametrize("block", [ResBlock, MobileResBlock])
def test_residual_blocks_add_to_their_input(block):
    layer, x = block(4), paddle.rand([1, 4, 6, 6])
    last = layer.conv2 if block is ResBlock else layer.norm_pw_linear
    last.weight.set_value(paddle.zeros_like(last.weight))
    if last.bias is not None:
        last.bias.set_value(paddle.zeros_like(last.bias))
    assert (layer(x) - x).abs().max() < 1e-6
